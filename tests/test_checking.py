"""The report on a file: everything that is in it, everything that is wrong with it, at once and without raising."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import kurabe
from kurabe import checking
from kurabe.checking import check
from kurabe.dataset import read_examples
from kurabe.errors import DataError, MissingError
from kurabe.schema import Message
from kurabe.splits import prepare

GOOD = [
    {"question": "What are the shipping costs?", "answer": "They are $6.99, free over $50.", "id": "costs"},
    {"question": "How long does a return take?", "answer": "It takes 14 days.", "wordings": ["Return time?"],
     "held_out": ["When is it back?"]},
    {"question": "Lost - what now?", "answer": "Call 555-0142."},
    {"question": "Who are you?", "answer": "We are a small shop."},
]  # fmt: skip


def save(folder: Path, rows: Sequence[Any]) -> Path:
    path = folder / "data.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_good_file_is_reported_in_full(tmp_path: Path) -> None:
    path = save(tmp_path, GOOD)
    report = check(path)
    assert report.ok and report.refusal == ""
    assert (report.file, report.format, report.form, report.encoding, report.language) == (
        "data.jsonl", "JSONL", "question/answer", "utf-8", "en",
    )  # fmt: skip
    assert (report.rows, report.examples, report.skipped, report.repeated) == (4, 4, 0, 0)
    assert report.facts == {"money": 2, "duration": 1, "phone": 1} and report.without_facts == 1
    assert report.sha256 == read_examples(path).sha256
    assert report.trained_only == ("row-3",)
    assert report.measurable == 2  # neither the one without a held-out wording nor the one without a value
    assert report.answer_length and (report.answer_length.shortest, report.answer_length.longest_line) == (14, 1)
    assert [example.id for example in report.shown] == ["costs", "row-2", "row-3", "row-4"]
    assert report.model_validate_json(report.model_dump_json()) == report


def test_the_counts_are_those_of_a_run(tmp_path: Path) -> None:
    path = save(tmp_path, GOOD)
    report, found = check(path), read_examples(path)
    prepared = prepare(found.examples, found.language, 0)
    wordings = [wording for example in prepared.examples for wording in example.wordings]
    assert report.wordings == {
        role: n for role in ("trained", "check", "held_out") if (n := sum(w.role == role for w in wordings))
    }
    assert sum(report.generated.values()) == sum(w.generated for w in wordings) > 0
    assert report.notes[:-1] == prepared.notes and report.shown == prepared.examples


def test_too_few_examples_for_a_verdict_are_told_before_the_run(tmp_path: Path) -> None:
    few = check(save(tmp_path, GOOD)).notes[-1]
    assert (few.key, few.values) == ("data.note.few", {"examples": 2, "minimum": 8})
    enough = [{"question": f"What does item number {i} cost?", "answer": f"It costs ${i}."} for i in range(1, 9)]
    assert "data.note.few" not in [note.key for note in check(save(tmp_path, enough)).notes]


def test_a_bad_file_is_reported_and_not_raised(tmp_path: Path) -> None:
    bad = ["{", {"question": "Empty?", "answer": ""}, {"question": "who are you", "answer": "Nobody."}]
    path = save(tmp_path, [*GOOD, *bad, GOOD[0]])
    report = check(path)
    assert not report.ok and "4 of 8 rows can't be used" in report.refusal
    assert (report.rows, report.examples, report.skipped, report.repeated) == (8, 3, 4, 1)
    assert [(p.line, p.level) for p in report.problems if p.level == "refuse"] == [
        (5, "refuse"),
        (6, "refuse"),
        (7, "refuse"),
    ]
    assert [(pair.line, pair.other_line) for pair in report.contradictions] == [(7, 4)]
    assert [example.line for example in report.shown] == [1, 2, 3]
    with pytest.raises(DataError) as refused:
        read_examples(path)
    assert refused.value.what == report.refusal and len(refused.value.problems) == 3
    skipped = check(path, skip_bad=True)
    assert skipped.ok and skipped.examples == len(read_examples(path, skip_bad=True).examples) == 3


def test_leaks_are_reported_and_not_raised(tmp_path: Path) -> None:
    path = save(tmp_path, [*GOOD, {"question": "One?", "answer": "$1", "held_out": ["who are you?", "Two?"]}])
    report = check(path)
    assert not report.ok
    assert [(pair.held_out, pair.trained, pair.line, pair.other_line) for pair in report.leaks] == [
        ("who are you?", "Who are you?", 5, 4)
    ]
    assert len(report.shown) == 5 and "1 held-out wording stands" in report.refusal


def test_tokens_are_counted_by_whoever_can(tmp_path: Path) -> None:
    path = save(tmp_path, GOOD)
    asked: list[list[str]] = []

    def count(messages: Sequence[Message]) -> int:
        asked.append([message.role for message in messages])
        return sum(len(message.content.split()) for message in messages)

    tokens = check(path, count=count).tokens
    assert tokens and (tokens.shortest, tokens.longest, tokens.longest_line) == (6, 11, 1)
    assert asked == [["user", "assistant"]] * 4
    assert check(path).tokens is None


def test_of_a_large_file_the_first_examples_are_looked_at_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MOST_LOOKED_AT", 3)
    path = save(tmp_path, [{"question": f"What does item {i} cost?", "answer": f"${i}"} for i in range(1, 11)])
    counted: list[str] = []

    def count(messages: Sequence[Message]) -> int:
        counted.append(messages[-1].content)
        return len(counted)

    report = check(path, count=count)
    assert report.examples == 10 and report.facts == {"money": 10}
    assert counted == ["$1", "$2", "$3"] and report.tokens and report.tokens.longest_line == 3
    assert report.answer_length and report.answer_length.longest_line == 10
    assert len(report.shown) == report.measurable == 3
    assert {"examples": 3, "all": 10} in [note.values for note in report.notes]


def test_only_where_there_is_nothing_to_report_it_raises(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        check(tmp_path / "none.jsonl")
    with pytest.raises(DataError):
        check(tmp_path)
    report = check(save(tmp_path, ["{", "["]))
    assert (report.ok, report.examples, report.skipped, report.answer_length) == (False, 0, 2, None)
    empty = check(save(tmp_path, ["{", "["]), skip_bad=True)
    assert not empty.ok and empty.refusal == "No row is left."


def test_it_is_public() -> None:
    assert kurabe.check is check
