"""Roles of wordings: nothing held out is trained, nothing depends on chance, nothing of the user's is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe.errors import EXIT_DATA, DataError
from kurabe.schema import Example, Wording
from kurabe.splits import CHECK_WORDINGS, LEAST_TRAINED, find_close, find_leaks, generate, prepare
from kurabe.texts import LANGUAGES, Texts
from kurabe.wordings import normal

WORDS = ["red", "green", "blue", "warm", "cold", "tall", "wide", "slow"]


def example(
    question: str, trained: Sequence[str] = (), held_out: Sequence[str] = (), name: str = "", line: int = 0
) -> Example:
    wordings = [Wording(text=text, role="trained") for text in (question, *trained)]
    wordings += [Wording(text=text, role="held_out") for text in held_out]
    return Example(id=name or question, answer="$5", facts=(), wordings=tuple(wordings), line=line)


def many(n: int, name: str = "one") -> Example:
    return example(
        f"What is {name}?", [f"Tell me {name} in the {word} way" for word in WORDS[: n - 1]], [f"Is {name}?"]
    )


def notes(examples: Sequence[Example], language: str = "en") -> dict[str, dict[str, object]]:
    return {note.key.rsplit(".", 1)[1]: note.values for note in prepare(examples, language, 0).notes}


# --- check wordings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 9))
def test_two_of_enough_trained_wordings_are_checked_and_never_the_first(n: int) -> None:
    (prepared,) = prepare([many(n)], "en", seed=3).examples
    checked = CHECK_WORDINGS if n >= LEAST_TRAINED else 0
    own = [wording for wording in prepared.wordings if not wording.generated]
    assert sum(wording.role == "check" for wording in own) == checked
    assert sum(wording.role == "trained" for wording in own) == n - checked
    assert own[0].role == "trained"
    assert [wording.text for wording in own] == [wording.text for wording in many(n).wordings]  # in their order


def test_the_split_depends_on_the_seed_and_the_example_alone() -> None:
    examples = [many(8, f"thing {i}") for i in range(20)]
    first = prepare(examples, "en", seed=1).examples
    assert prepare(examples, "en", seed=1).examples == first
    assert prepare(examples[::-1], "en", seed=1).examples == first[::-1]
    assert prepare(examples, "en", seed=2).examples != first
    assert len({tuple(w.role for w in e.wordings) for e in first}) > 5  # not the same two everywhere


# --- generated wordings ----------------------------------------------------------------------------------------


def test_only_the_lacking_role_is_generated() -> None:
    bare, trained, held_out, full = (
        example("What are the opening hours?"),
        example("What are the parking fees?", ["Parking fees?"]),
        example("What are the house rules?", [], ["House rules?"]),
        example("What are the guided tours?", ["Guided tours?"], ["Tours?"]),
    )
    prepared = prepare([bare, trained, held_out, full], "en", seed=0).examples
    made = [{w.role for w in e.wordings if w.generated} for e in prepared]
    assert made == [{"trained", "held_out"}, {"held_out"}, {"trained"}, set()]
    assert all(not any(w.role == "check" for w in e.wordings) for e in prepared)
    assert all(len(e.texts("held_out")) >= 5 for e in prepared[:2]) and len(prepared[0].texts("trained")) >= 6


def test_generated_wordings_never_repeat_the_users() -> None:
    user = "Could you tell me what the opening hours are?"  # one of our own trained frames
    asked = "I was wondering what the opening hours are."  # one of our own held-out frames
    for other in (example("Other?", [user, asked]), example("Other?", ["Another?"], [user, asked])):
        first = generate([example("What are the opening hours?"), other], "en")[0]
        assert {normal(w.text) for w in first.wordings if w.generated}.isdisjoint({normal(user), normal(asked)})
        assert first.texts("held_out")


@pytest.mark.parametrize("language", LANGUAGES)
def test_generated_wordings_can_be_written_to_a_file_and_used_from_there(language: str) -> None:
    questions = {
        "en": ["What are the opening hours?", "How do I return a shirt?", "Can I pay by card?", "When is it open?"],
        "ja": ["送料はいくらですか？", "返品するにはどうすればよいですか？", "予約は必要ですか？"],
    }
    examples = [example(question) for question in questions[language]]
    made = generate(examples, language)
    written = [example(e.question, e.texts("trained")[1:], e.texts("held_out")) for e in made]
    assert all(e.texts("held_out") for e in made)
    assert generate(written, language) == tuple(written)
    assert prepare(written, language, 0).examples


def test_what_the_rules_cannot_reword_stays_trained_only_and_is_noted() -> None:
    examples = [example("Lost ticket - what now?", name="lost"), example("What are the fees?")]
    lost, fees = prepare(examples, "en", seed=0).examples
    assert (lost.texts("trained"), lost.texts("held_out")) == (("Lost ticket - what now?",), ())
    assert notes(examples)["trained-only"] == {"examples": 1, "ids": "lost"}
    assert notes(examples)["generated"] == {"examples": 1, "wordings": len(fees.texts("held_out"))}


def test_a_complete_file_has_no_notes() -> None:
    assert prepare([many(8)], "en", 0).notes == ()


# --- leaks -----------------------------------------------------------------------------------------------------

SAME = [
    ("What are the costs?", "what are the  COSTS"),
    ("What are the costs?", "Ｗhat are “the costs”!"),
    ("送料はいくらですか？", "送料は、いくらですか"),
    ("ガイドはいますか？", "ｶﾞｲﾄﾞはいますか"),
]


@pytest.mark.parametrize(("trained", "held_out"), SAME)
@pytest.mark.parametrize("place", ["question", "wordings", "another example"])
def test_a_held_out_wording_in_training_stops_everything(trained: str, held_out: str, place: str) -> None:
    if place == "another example":
        examples = [example("Other?", [], [held_out], "a", 3), example(trained, name="b", line=7)]
    else:
        own = (trained, []) if place == "question" else ("Other?", [trained])
        examples = [example(*own, [held_out], "a", 3)]
    with pytest.raises(DataError) as refused:
        prepare(examples, "en", 0)
    error = refused.value
    assert error.exit_code == EXIT_DATA and error.where == "line 3"
    assert held_out in error.problems[0] and trained in error.problems[0]
    assert ("line 7" in error.problems[0]) == (place == "another example")


def test_every_leak_is_named_at_once() -> None:
    examples = [example(f"What is {word}?", [], [f"what is {word}"], line=i) for i, word in enumerate(WORDS, 1)]
    with pytest.raises(DataError) as refused:
        prepare(examples, "en", 0)
    assert len(refused.value.problems) == len(WORDS)


def test_a_check_wording_is_training_text_too() -> None:
    leaking = example("One?", ["Two?"], ["Two!"])
    checked = leaking.model_copy(
        update={
            "wordings": tuple(
                w.model_copy(update={"role": "check"}) if w.text == "Two?" else w for w in leaking.wordings
            )
        }
    )
    assert len(find_leaks([checked])) == 1


def test_a_held_out_wording_wrapped_in_a_greeting_is_a_leak() -> None:
    assert find_leaks(
        [example("Hello, how much is the delivery to my house?", [], ["How much is the delivery to my house?"])]
    )
    assert find_leaks([example("すみません、送料はいくらになりますか？", [], ["送料はいくらになりますか"])])
    # A few common words of a longer question are none, nor is a part of a word.
    assert not find_leaks([example("How do I pay for my order from abroad?", [], ["How do I pay?"])])
    assert not find_leaks([example("When is parking free?", [], ["Is parking free?"])])
    assert not find_leaks([example("Who says it is a part or there?", [], ["it is a part or the"])])


def test_close_wordings_are_noted_with_their_pairs_and_far_ones_are_not() -> None:
    close = example("How much is the delivery to my house?", ["x"], ["How much is the delivery to our house?"])
    far = example("Can I return a shirt?", ["y"], ["It doesn't fit. Will you take it back?"])
    assert [pair.held_out for pair in find_close([close, far])] == ["How much is the delivery to our house?"]
    values = notes([close, far])["close"]
    assert values["wordings"] == 1 and "our house" in str(values["pairs"])
    assert find_close([example("送料はいくらになりますか？", [], ["送料はいくらになりますかね"])])
    assert not find_close([example("送料はいくらですか？", [], ["届けてもらうのに別のお金が必要ですか？"])])


def test_each_note_speaks_both_languages() -> None:
    close = example("How much is the delivery to my house?", ["x"], ["How much is the delivery to our house?"])
    examples = [close, example("Lost?"), example("What are the fees?")]
    prepared = prepare(examples, "en", 0)
    assert len(prepared.notes) == 3
    for language in LANGUAGES:
        assert all(Texts(language)(note.key, **note.values) for note in prepared.notes)


# --- for any file ----------------------------------------------------------------------------------------------

TEXT = st.text(st.sampled_from("abcdefg ?送料は"), min_size=1, max_size=12).filter(normal)


@given(
    st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=6), st.lists(TEXT, max_size=4)), max_size=6),
    st.sampled_from(LANGUAGES),
    st.integers(0, 5),
)
def test_whatever_the_file_no_held_out_wording_is_trained(
    files: list[tuple[str, list[str], list[str]]], language: str, seed: int
) -> None:
    examples = [example(q, trained, held_out, str(i), i) for i, (q, trained, held_out) in enumerate(files)]
    try:
        prepared = prepare(examples, language, seed).examples
    except DataError as error:
        assert len(error.problems) == len(find_leaks(examples)) > 0
        return
    trained = {normal(t) for e in prepared for role in ("trained", "check") for t in e.texts(role)}  # type: ignore[arg-type]
    assert trained.isdisjoint(normal(t) for e in prepared for t in e.texts("held_out"))
    for before, after in zip(examples, prepared, strict=True):
        assert after.question == before.question
        assert [w.text for w in after.wordings if not w.generated] == [w.text for w in before.wordings]
