"""The example files: what the issue of the demo promises about them, and that they are what users' files are."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from kurabe.arms import write_prompt
from kurabe.checking import check
from kurabe.dataset import Dataset, read_examples
from kurabe.splits import find_close, prepare

FOLDER = Path(__file__).parents[1] / "examples"
SUPPORT = {language: FOLDER / f"support-{language}.jsonl" for language in ("en", "ja")}
OTHERS = {
    "clinic-en.jsonl": "instruction/input/output",
    "museum-ja.jsonl": "messages",
    "library-en.csv": "question/answer",
}
# The facts of the demo; (kind, canonical value).
PROMISED = {
    "shipping": {("money", "USD 6.99"), ("money", "USD 50"), ("duration", "3-5 business_day"), ("money", "USD 14.99"),
                 ("duration", "1-2 business_day")},
    "returns": {("duration", "14 day"), ("duration", "3-5 business_day")},
    "bulk": {(kind, value) for kind, values in (("percentage", ("10", "15", "20", "25")),
             ("count", ("10 item", "25 item", "50 item", "100 item"))) for value in values},
    "price-match": {("duration", "14 day"), ("percentage", "5")},
    "cancellation": {("duration", "1 hour")},
    "international": {("count", "180+ country"), ("duration", "7-14 business_day"), ("money", "USD 19.99"),
                      ("money", "USD 39.99"), ("money", "USD 150")},
    "damage": {("duration", "2 hour"), ("email", "help@shop.example")},
    "payment": {("name", "visa"), ("name", "mastercard"), ("name", "paypal")},
    "tracking": {("duration", "1 day"), ("url", "shop.example/track")},
    "address": {("phone", "5550142")},
}  # fmt: skip


def read(language: str) -> Dataset:
    return read_examples(SUPPORT[language])


@pytest.mark.parametrize("language", SUPPORT)
def test_support_rows_hold_the_promised_facts_and_no_others(language: str) -> None:
    found = read(language)
    assert (found.language, found.problems, len(found.examples)) == (language, (), 10)
    for example in found.examples:
        values = {(fact.kind, fact.value) for fact in example.facts}
        extra = {"payment": 1}.get(example.id, 0)  # bank transfer, named in the file's own language
        assert values >= PROMISED[example.id] and len(values) == len(PROMISED[example.id]) + extra


@pytest.mark.parametrize("language", SUPPORT)
def test_support_rows_have_enough_wordings_far_from_each_other(language: str) -> None:
    examples = read(language).examples
    for example in examples:
        assert len(example.texts("trained")) >= 10 and len(example.texts("held_out")) >= 5
    assert find_close(examples) == ()
    prepared = prepare(examples, language, 0)
    assert prepared.notes == ()
    assert all(
        len(example.texts("trained")) >= 10 and len(example.texts("check")) == 2 for example in prepared.examples
    )


@pytest.mark.parametrize("language", SUPPORT)
def test_support_rows_and_their_prompt_are_short_for_the_embedded_model(language: str) -> None:
    tokenizer = Tokenizer.from_file(str(Path(str(files("kurabe"))) / "tiny" / "tokenizer.json"))
    examples = read(language).examples
    for example in examples:
        assert len(tokenizer.encode(f"{example.question}\n{example.answer}").ids) <= 80
    assert len(tokenizer.encode(write_prompt(examples, language)).ids) <= 1200


def test_two_of_the_questions_are_the_old_shows() -> None:
    questions = {example.question for example in read("en").examples}
    assert {"What are the shipping costs?", "How do I return a product?"} <= questions


def test_both_languages_say_the_same() -> None:
    english, japanese = (
        [(e.id, sorted((f.kind, f.value) for f in e.facts if f.kind != "name")) for e in read(language).examples]
        for language in SUPPORT
    )
    assert english == japanese


@pytest.mark.parametrize("name", OTHERS)
def test_other_trades_files_are_as_users_have_them(name: str) -> None:
    report = check(FOLDER / name)
    assert report.ok and report.form == OTHERS[name]
    assert 8 <= report.measurable < report.examples  # enough for a verdict, and not every question can be reworded
    assert report.trained_only
    assert {note.key for note in report.notes} == {"data.note.generated", "data.note.trained-only"}
    assert "held_out" not in (FOLDER / name).read_text(encoding="utf-8")


def test_files_are_plain_and_listed_with_their_licence() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "CC0" in text
    for path in FOLDER.glob("*.*"):
        data = path.read_bytes()
        assert b"\r" not in data and not data.startswith(b"\xef\xbb\xbf") and data.endswith(b"\n")
        assert path.name in text or path.name == "README.md"
        if path.suffix == ".jsonl":
            assert all(json.loads(line) for line in data.decode("utf-8").splitlines())
