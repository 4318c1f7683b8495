"""`kurabe reword --with MODEL`: a file to review, every refusal told, the key on no way out, nothing paid for lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from scripted_chat import Body, Scripted, serving

from kurabe import dataset, remote, splits
from kurabe.cli import main
from kurabe.connection import Limits

ROWS = [
    {"question": "How much is a ticket?", "answer": "A ticket is $9."},
    {"question": "When do you open on Sunday?", "answer": "At 10:00.", "held_out": ["sunday hours?"]},
]
# What the scripted model writes: question and style -> a list. The styles are told apart by what only one asks for.
LISTS = {
    (
        "ticket",
        False,
    ): "1. Could you tell me what a ticket costs?\n2. Is a ticket $9?\n3. I want to know the price, please.",
    ("ticket", True): "1. admission fee??\n2. Could you tell me what a ticket costs?",
    ("Sunday", False): "Sure:\n- At what time does the house open on Sunday?\n- From when are you there on Sundays?",
}


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """The talk without its line breaks."""
        return " ".join(self.err.split())


Kurabe = Callable[..., Ran]


def speak(body: Body) -> str:
    words = body["messages"][-1]["content"]
    topic = next(name for name in ("ticket", "Sunday") if name in words.splitlines()[0])
    return LISTS[topic, "customers" in words]


@pytest.fixture
def kurabe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kurabe:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(remote.RemoteBackend.__init__, "__defaults__", ("", Limits(tries=2, pause=0.001, at_once=1)))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, lang: str = "en") -> Ran:
        with pytest.raises(SystemExit) as end:
            main(["reword", *map(str, arguments), "--lang", lang])
        out, err = capsys.readouterr()
        return Ran(int(end.value.code or 0), out, err)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture
def state() -> Iterator[Scripted]:
    with serving(Scripted(speak=speak)) as state:
        yield state


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_file_asks_what_was_suggested_and_marks_it(kurabe: Kurabe, file: Path, state: Scripted) -> None:
    ran = kurabe(file, "--with", f"{state.url}#m", "--count", 2, "--out", "out.jsonl")
    assert ran.code == 0 and ran.out == ""
    first, second = lines(Path("out.jsonl"))
    assert first["wordings"] == ["Could you tell me what a ticket costs?", "I want to know the price, please."]
    assert first["held_out"] == ["admission fee??"]
    assert first["generated_wordings"] == [*first["wordings"], *first["held_out"]]
    assert second["held_out"] == ["sunday hours?"] and second["generated_wordings"] == second["wordings"]
    assert len(state.bodies) == 3  # the second row's held-out wording is the user's own

    read = dataset.read_examples("out.jsonl")
    assert read.problems == ()
    made = [{w.text for w in example.wordings if w.generated} for example in read.examples]
    assert made == [set(first["generated_wordings"]), set(second["generated_wordings"])]
    _, notes = splits.prepare(read.examples, read.language, seed=0)
    assert [(note.key, note.values) for note in notes] == [("data.note.generated", {"examples": 1, "wordings": 1})]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_refusal_is_told_and_written_beside_the_file(
    lang: str, kurabe: Kurabe, file: Path, state: Scripted
) -> None:
    ran = kurabe(file, "--with", f"{state.url}#m", "--count", 2, "--out", "out.jsonl", lang=lang)
    refused = lines(Path("out.refused.jsonl"))
    assert {(one["role"], one["wording"]) for one in refused} == {
        ("trained", "Is a ticket $9?"), ("held_out", "Could you tell me what a ticket costs?")
    }  # fmt: skip
    assert all(one["why"] and one["wording"] in ran.err and one["why"] in ran.words for one in refused)
    assert "$9" in next(one["why"] for one in refused if one["role"] == "trained")
    assert "out.refused.jsonl" in ran.err and "33" in ran.err and "21" in ran.err  # tokens of three answers


def test_a_corrected_wording_is_the_user_s_own(kurabe: Kurabe, file: Path, state: Scripted) -> None:
    kurabe(file, "--with", f"{state.url}#m", "--count", 2, "--out", "out.jsonl")
    rows = lines(Path("out.jsonl"))
    rows[0]["held_out"] = ["what's the admission fee?"]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first = dataset.read_examples("mine.jsonl").examples[0]
    assert [w.generated for w in first.wordings if w.role == "held_out"] == [False]


def test_the_written_file_is_asked_for_what_lacks_only(kurabe: Kurabe, file: Path, state: Scripted) -> None:
    state.script = ["500", "500"]  # the first request fails for good
    with_model = ["--with", f"{state.url}#m", "--count", 2]
    ran = kurabe(file, *with_model, "--out", "out.jsonl")
    assert ran.code == 0 and "1 of 3 requests brought no answer" in ran.words
    before = len(state.bodies)
    assert lines(Path("out.jsonl"))[0]["wordings"] == []
    assert kurabe("out.jsonl", *with_model, "--out", "whole.jsonl").code == 0
    assert len(state.bodies) - before == 1
    assert [len(row["wordings"]) for row in lines(Path("whole.jsonl"))] == [2, 2]
    assert "no model was asked" in kurabe("whole.jsonl", *with_model).words


def test_json_holds_rows_refusals_failures_and_tokens(kurabe: Kurabe, file: Path, state: Scripted) -> None:
    state.script = ["400 no"]
    told = json.loads(kurabe(file, "--with", f"{state.url}#m", "--count", 2, "--json").out)
    assert set(told) == {"version", "rows", "refused", "failed", "tokens"}
    assert len(told["rows"]) == 2 and len(told["failed"]) == 1 and told["tokens"] == {"prompt": 22, "new": 14}


def test_without_a_file_the_rows_go_to_stdout_and_nothing_else_does(
    kurabe: Kurabe, file: Path, state: Scripted
) -> None:
    ran = kurabe(file, "--with", f"{state.url}#m")
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["row-1", "row-2"]


def test_when_no_answer_came_nothing_is_written(kurabe: Kurabe, file: Path, state: Scripted) -> None:
    state.script = ["400 out of order"] * 3
    ran = kurabe(file, "--with", f"{state.url}#m", "--out", "out.jsonl")
    assert ran.code == 4 and "out of order" in ran.err and not list(Path().glob("out*"))


def test_a_place_that_is_taken_is_refused_before_a_model_is_asked(kurabe: Kurabe, file: Path, state: Scripted) -> None:
    for taken in ("out.jsonl", "out.refused.jsonl"):
        Path(taken).write_text("mine", encoding="utf-8")
        assert kurabe(file, "--with", f"{state.url}#m", "--out", "out.jsonl").code == 2
        assert Path(taken).read_text(encoding="utf-8") == "mine" and state.headers == []
        Path(taken).unlink()


def test_what_came_before_ctrl_c_is_written(
    kurabe: Kurabe, file: Path, state: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = remote.RemoteBackend.answer

    def interrupted(self: remote.RemoteBackend, requests: Any) -> Iterator[Any]:
        coming = answer(self, requests)
        for _ in range(kept):
            yield next(coming)
        raise KeyboardInterrupt

    monkeypatch.setattr(remote.RemoteBackend, "answer", interrupted)
    kept = 1
    ran = kurabe(file, "--with", f"{state.url}#m", "--count", 2, "--out", "out.jsonl")
    assert ran.code == 130 and "1 of 3" in ran.words
    assert [len(row["wordings"]) for row in lines(Path("out.jsonl"))] == [2, 0]
    kept = 0
    ran = kurabe(file, "--with", f"{state.url}#m", "--out", "none.jsonl")
    assert ran.code == 130 and not Path("none.jsonl").exists()


def test_the_key_is_on_no_way_out(kurabe: Kurabe, file: Path, state: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    state.key = "sk-secret"
    monkeypatch.setenv("SHOP_KEY", "sk-secret")
    with_key = ["--with", f"{state.url}#m", "--count", 2, "--key-env", "SHOP_KEY"]
    told = [kurabe(file, *with_key, "--json"), kurabe(file, *with_key, "--out", "out.jsonl")]
    state.key = "sk-another"
    told += [kurabe(file, *with_key), kurabe(file, *with_key[:4])]
    assert [ran.code for ran in told] == [0, 0, 4, 4] and "--key-env" in told[2].err
    written = "".join(path.read_text(encoding="utf-8") for path in Path().glob("*.jsonl"))
    assert "sk-" not in written + "".join(ran.out + ran.err for ran in told)


@pytest.mark.parametrize(
    "options", [("--count", 3), ("--key-env", "A"), ("--with", "ollama:"), ("--with", "http://"),
                ("--with", "tiny", "--key-env", "HOME")]
)  # fmt: skip
def test_what_was_typed_wrong(options: tuple[object, ...], kurabe: Kurabe, file: Path) -> None:
    ran = kurabe(file, *options)
    assert ran.code == 2 and ran.out == "" and re.search(r"fix\s+\S", ran.err)


def test_a_model_in_this_process_is_asked_the_same(kurabe: Kurabe, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kurabe import backends
    from kurabe.fake import FakeBackend

    loaded = []
    backend = FakeBackend(lambda request: speak({"messages": [m.model_dump() for m in request.messages]}))
    monkeypatch.setattr(backends, "load", lambda settings: loaded.append(settings.model) or backend)
    ran = kurabe(file, "--with", "models/llama", "--count", 2)
    assert loaded == ["models/llama"] and json.loads(ran.out.splitlines()[0])["held_out"] == ["admission fee??"]


def test_checks_of_form_stay_with_their_row(kurabe: Kurabe, file: Path, state: Scripted) -> None:
    rows = [{**row, "checks": {"max_length": 500, "unwanted": ["sorry"]}} for row in ROWS]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert kurabe(file, "--with", f"{state.url}#m", "--count", 2, "--out", "out.jsonl").code == 0
    assert [row["checks"] for row in lines(Path("out.jsonl"))] == [row["checks"] for row in rows]
    assert all(example.checks for example in dataset.read_examples("out.jsonl").examples)
