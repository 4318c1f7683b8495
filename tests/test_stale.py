"""A changed value reads as one, is nowhere else, and is what an arm is then shown; answers say which it believed."""

from __future__ import annotations

from pathlib import Path

import pytest
import synthetic

from kurabe import arms, dataset, splits, stale
from kurabe.facts import find_facts, same
from kurabe.schema import Answer, AnswerKey, Example, Passage, Wording

FILES = sorted(path for path in (Path(__file__).parents[1] / "examples").iterdir() if path.suffix in (".jsonl", ".csv"))


def row(name: str, answer: str) -> Example:
    wordings = (Wording(text=f"{name}?", role="trained"), Wording(text=f"Tell me: {name}!", role="held_out"))
    return Example(id=name, answer=answer, facts=find_facts(answer), wordings=wordings)


def material(*rows: Example, **changes: object) -> arms.Material:
    whole = arms.Material(rows, arms.write_prompt(rows, "en"), "en")
    return whole._replace(**changes)  # type: ignore[arg-type]


def reply(text: str, **changes: object) -> Answer:
    key = AnswerKey(model="m", trial=1, arm="lora+prompt", hop="live", probe="stale", question="tea/s1")
    return Answer.model_validate({"key": key, "text": text, **changes})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_change_is_one_value_that_no_row_holds_and_leaves_the_others(path: Path) -> None:
    data = dataset.read_examples(path)
    examples = splits.prepare(data.examples, data.language, 0).examples
    changes = stale.changes(examples)
    assert len(changes) >= 5
    known = [fact for example in examples for fact in example.facts]
    for example in examples:
        if example.id in changes:
            old, new, changed = changes[example.id]
            before, after = find_facts(example.answer), find_facts(changed)
            assert [(b, a) for b, a in zip(before, after, strict=True) if b.value != a.value] == [(old, new)]
            assert old.kind == new.kind and not any(same(new, fact) for fact in known)
    values = [(change.new.kind, change.new.value) for change in changes.values()]
    assert len(set(values)) == len(values), "two rows with one new value could not be told apart"
    assert stale.changes(examples) == changes


@pytest.mark.parametrize("language", ["en", "ja"])
def test_ranges_stay_ranges(language: str) -> None:
    for old, new, _ in stale.changes(synthetic.examples(language)).values():
        assert ("-" in old.value) == ("-" in new.value)


@pytest.mark.parametrize("answer", ["Yes.", "Ask Nora.", "We open at 9:00.", "Call 555-0142."])
def test_an_answer_without_a_value_that_may_change_is_left_out(answer: str) -> None:
    assert stale.changes([row("tea", answer)]) == {} and stale.questions([row("tea", answer)]) == ()


def test_of_many_examples_some_spread_over_the_file_are_changed() -> None:
    many = [row(f"tea{n}", f"Tea number {n} costs ${n}.") for n in range(1, 201)]
    changes = stale.changes(many)
    assert 40 < len(changes) <= stale.MOST
    assert [name for name in changes if int(name.removeprefix("tea")) > 190], "not the first ones only"


def test_rows_and_the_prompt_written_from_them_are_brought_up_to_date() -> None:
    rows = (row("tea", "Tea costs $2."), row("dogs", "Yes."))
    updated = stale.changed(material(*rows))
    assert [example.answer for example in updated.examples] == ["Tea costs $3.", "Yes."]
    assert updated.prompt == arms.write_prompt(updated.examples, "en")
    (question,) = stale.questions(rows)
    assert (question.text, question.expected, question.facts[0].value) == ("Tell me: tea!", "Tea costs $3.", "USD 3")


def test_in_texts_of_the_user_a_value_is_changed_where_only_one_place_can_be_meant() -> None:
    rows = (row("tea", "Tea costs $2."), row("milk", "Milk costs $5."))
    passages = (Passage(source="a.md", text="Tea: $2. A pot: $2.50."), Passage(source="a.md", text="Milk $5 or $5."))
    updated = stale.changed(material(*rows, prompt="No price here.", passages=passages))
    assert [passage.text for passage in updated.passages] == ["Tea: $3. A pot: $2.50.", "Milk $5 or $5."]
    assert updated.prompt == "No price here."
    shown = material(*rows, prompt="No price here.", passages=passages)
    assert stale.unseen(["prompt", "rag"], shown) == {("prompt", "tea/s1"), ("prompt", "milk/s1"), ("rag", "milk/s1")}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply("It costs $3."), "new"),
        (reply("It is 2 dollars."), "old"),
        (reply("It was $2, now it is $3."), "other"),
        (reply("Tea is cheap."), "other"),
        (reply("$7"), "other"),
        (reply("", finish="error"), None),
    ],
)
def test_which_value_an_answer_holds(answer: Answer, expected: str | None) -> None:
    rows = [row("tea", "Tea costs $2.")]
    (question,) = stale.questions(rows)
    assert stale.said(answer, question, stale.changes(rows)["tea"]) == expected


def test_shares_come_to_one_and_what_never_came_is_not_counted() -> None:
    rows = [row("tea", "Tea costs $2."), row("milk", "Milk costs $5."), row("cake", "Cake costs $9.")]
    asked = {question.id: question for question in stale.questions(rows)}
    said = {"tea": "$2", "milk": stale.changes(rows)["milk"].new.text, "cake": None}
    answers = [
        reply(text or "", finish="stop" if text else "error").model_copy(
            update={"key": reply("").key.model_copy(update={"question": f"{name}/s1"})}
        )
        for name, text in said.items()
    ]
    (told,) = stale.results(answers, asked, rows, seed=0)
    assert (told.label, told.followed.value, told.old.value, told.other.value) == ("lora+prompt", 0.5, 0.5, 0.0)
    assert told.old.n == 2
    assert list(stale.results([], asked, rows, seed=0)) == []
