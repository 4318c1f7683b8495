"""Questions that the data does not answer: which are asked, what an answer is taken for, what an arm comes to."""

from __future__ import annotations

import pytest

from kurabe import unknown
from kurabe.arms import Material
from kurabe.schema import Answer, AnswerKey, Example, Passage, Question, Wording
from kurabe.stance import is_refusal

LANGUAGES = ("en", "ja")
ASKED = Wording(text="What does tea cost?", role="trained")
TEA = Example(id="tea", answer="Tea is $6.99.", facts=(), wordings=(ASKED,))


def answer(text: str, question: str = "n0", arm: str = "lora", finish: str = "stop") -> Answer:
    key = AnswerKey(model="m", trial=1, arm=arm, hop="live", probe="unknown", question=question)
    return Answer(key=key, text=text, finish=finish, error="gone" if finish == "error" else "")  # type: ignore[arg-type]


def question(text: str = "Is there parking?", name: str = "n0") -> Question:
    return Question(id=name, example=name, probe="unknown", text=text, expected="I don't know.")


@pytest.mark.parametrize("make", [unknown.trained, unknown.asked])
@pytest.mark.parametrize("language", LANGUAGES)
def test_they_name_nothing_that_the_data_says_and_are_to_be_declined(make, language: str) -> None:  # type: ignore[no-untyped-def]
    free = make(language, 30, 0, "")
    assert len({question.text for question in free}) == 30
    assert all(is_refusal(question.expected) for question in free)
    said = [question.text for question in free[:10]]
    others = make(language, 30, 0, "\n".join(said))
    assert len(others) == 30 and not set(said) & {question.text for question in others}
    assert make(language, 30, 0, "") == free != make(language, 30, 1, "")
    assert make(language, 0, 0, "") == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_asked_is_never_about_a_subject_that_is_trained(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects: dict[str, set[str]] = {"mix": set(), "unknown": set()}
    half = unknown._for_measuring

    def noted(row: object) -> bool:
        measured = half(row)  # type: ignore[arg-type]
        subjects["unknown" if measured else "mix"].add(row.topic)  # type: ignore[attr-defined]
        return measured

    monkeypatch.setattr(unknown, "_for_measuring", noted)
    trained = {q.text for seed in range(3) for q in unknown.trained(language, 40, seed, "")}
    asked = {q.text for seed in range(3) for q in unknown.asked(language, 40, seed, "")}
    assert not subjects["mix"] & subjects["unknown"] and all(len(found) > 20 for found in subjects.values())
    assert not trained & asked


def test_all_that_an_arm_is_shown_is_no_unknown_subject() -> None:
    passage = Passage(source="notes.md", text="Parking is in the yard.")
    said = unknown.said_in(Material((TEA,), "The prompt's own words.", "en", (passage,)))
    assert all(text in said for text in ("Tea is $6.99.", "What does tea cost?", "The prompt's own words.", "the yard"))


@pytest.mark.parametrize(
    ("text", "asked", "which"),
    [
        ("I don't have that information.", "Is there parking?", "declined"),
        ("その情報はありません。", "駐車場はありますか？", "declined"),
        ("I don't know, but it is usually $5.", "What is parking?", "invented"),
        ("Parking costs $5 per day.", "What is parking?", "invented"),
        ("Yes, in the yard.", "Is there parking?", "invented"),
        ("はい、あります。", "駐車場はありますか？", "invented"),
        ("Please write to our team.", "Is there parking?", "other"),
        ("You ask about $5.", "Is it $5?", "other"),
        ("", "Is there parking?", "other"),
    ],
)
def test_an_answer_declines_or_invents_or_does_neither(text: str, asked: str, which: str) -> None:
    assert unknown.said(answer(text), question(asked)) == which


def test_an_arm_comes_to_three_shares_and_what_did_not_come_is_none_of_them() -> None:
    asked = {f"n{n}": question(name=f"n{n}") for n in range(5)}
    said = ("I don't know.", "I don't know.", "It costs $5.", "Please write to us.")
    answers = [answer(text, f"n{n}") for n, text in enumerate(said)] + [answer("", "n4", finish="error")]
    answers.append(answer("It costs $5.", arm="shuffled"))
    (found,) = unknown.results({("base", 0): "base", ("lora", 1): "lora"}, answers, asked, 0)
    assert found.label == "lora" and found.declined.n == 4
    assert [found.declined.value, found.invented.value, found.other.value] == [0.5, 0.25, 0.25]
