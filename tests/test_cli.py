"""The commands: what stands on stdout and stderr, the exit codes, what is stored and what is left alone."""

from __future__ import annotations

import errno
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from kurabe import backends, dataset, errors, experiment
from kurabe.cli import COMMANDS, main, screen_language
from kurabe.cli.demo import packaged
from kurabe.cli.find import find_run
from kurabe.cli.measure import exit_code
from kurabe.cli.output import write_report
from kurabe.fake import FakeBackend, rehearsal
from kurabe.reasons import reason
from kurabe.report import sentences, tables
from kurabe.runs import RunFolder
from kurabe.schema import Results
from kurabe.settings import ARM_NAMES
from kurabe.texts import LANGUAGES, Texts

SHARES = {"prompt": 1.0, "lora": 0.7, "lora+prompt": 1.0, "ceiling": 1.0}


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Kurabe = Callable[..., Ran]


@pytest.fixture
def kurabe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Kurabe:
    """Runs a command in this process, on an English machine, with a scripted model."""
    for name in ("LC_ALL", "LC_MESSAGES", "KURABE_LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(backends, "load", lambda settings: scripted())
    # Drawing the report takes seconds; the test that is about it puts this back.
    monkeypatch.setattr("kurabe.cli.measure.write_report", lambda results, path, language: path)

    def run(*arguments: object) -> Ran:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ran(int(end.value.code or 0), out, err)

    return run


def scripted(language: str = "en") -> FakeBackend:
    examples = dataset.read_examples(packaged(language)).examples
    return FakeBackend(rehearsal(examples, SHARES, language))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo run by the scripted model."""
    parent = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "load", lambda settings: scripted())
        patch.setattr("kurabe.cli.measure.write_report", lambda results, path, language: path)
        with pytest.raises(SystemExit) as end:
            main(["demo", "--runs", str(parent), "--name", "demo", "--quiet", "--lang", "en"])
    assert not end.value.code
    return parent / "demo"


# --- the frame -------------------------------------------------------------------------------------------------


def test_version(kurabe: Kurabe) -> None:
    from kurabe import __version__

    assert kurabe("--version") == (0, f"kurabe {__version__}\n", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_is_in_the_screens_language(kurabe: Kurabe, language: str) -> None:
    text = kurabe("--help", "--lang", language).out
    assert Texts(language)("app.tagline") in text
    assert all(f"\n  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_shared_options_and_about_ten_of_its_own(kurabe: Kurabe, name: str) -> None:
    text = kurabe(name, "--help").out
    options = [line.split()[0] for line in text.splitlines() if line.startswith("  -")]
    assert {"--json", "-q,", "--lang", "-h,"} <= set(options)
    assert len(options) - 4 <= 12
    assert Texts("en")(f"cli.{name}.help").split()[0] in text


def test_a_mistyped_command_is_told_the_nearest_one(kurabe: Kurabe) -> None:
    ran = kurabe("runn", "rows.jsonl")
    assert ran.code == errors.EXIT_USAGE and "Did you mean 'run'?" in ran.err
    assert "Did you mean" not in kurabe("zzzz").err


def test_every_command_is_a_file_and_every_file_of_a_command_is_listed() -> None:
    folder = Path(inspect.getfile(main)).parent
    files = {p.stem for p in folder.glob("*.py") if hasattr(import_module(f"kurabe.cli.{p.stem}"), "command")}
    assert files == {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["run", "x.jsonl", "--no-such-flag"],
        ["doctor", "--lang", "xx"],
        ["--lang", "fr", "doctor"],
        ["ask", "r"],
    ],
)
def test_wrong_usage_is_2_and_said_on_stderr(kurabe: Kurabe, arguments: list[str]) -> None:
    ran = kurabe(*arguments)
    assert (ran.code, ran.out) == (errors.EXIT_USAGE, "") and "Usage" in ran.err


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {"LANG": "ja_JP.UTF-8"}, "ja"),
        ([], {"LANG": "C"}, "en"),
        (["--lang", "ja"], {"LANG": "C"}, "ja"),
        (["demo", "--lang=en"], {"LANG": "ja_JP.UTF-8"}, "en"),
        (["--lang"], {"LANG": "C"}, "en"),
        ([], {"LANG": "C", "KURABE_LANG": "ja"}, "ja"),
    ],
)
def test_language_of_the_screen(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "KURABE_LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("locale.getlocale", lambda: (None, None))
    assert screen_language(arguments) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_stream_without_the_characters_gets_plain_ones(environment: dict[str, str]) -> None:
    arguments = [sys.executable, "-m", "kurabe", "check", str(packaged("ja")), "--lang", "ja"]
    plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONUTF8", "PYTHONIOENCODING", "LANG", "LC_ALL")}
    ran = subprocess.run(arguments, capture_output=True, env=plain | environment)
    assert ran.returncode == 0, ran.stderr
    assert "✓".encode() not in ran.stdout and b"+ A run would take this file: kurabe run" in ran.stdout
    assert b"\\u" in ran.stdout  # the rows' own Japanese, escaped and not dropped


def test_colour_is_left_out_where_nobody_wants_it(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kurabe.cli.screen import Screen

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not Screen(Texts("en")).out.no_color
    monkeypatch.setenv("NO_COLOR", "1")
    assert Screen(Texts("en")).out.no_color


# --- errors ----------------------------------------------------------------------------------------------------

KINDS = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.UserError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_said_once_with_its_four_parts(
    kurabe: Kurabe, monkeypatch: pytest.MonkeyPatch, kind: type[errors.UserError]
) -> None:
    def fail(screen: object, **values: object) -> None:
        raise kind("What \x1b[1m went.", where="here:3", why="because", fix="kurabe doctor")

    signature = inspect.signature(import_module("kurabe.cli.doctor").command)
    fail.__signature__ = signature  # type: ignore[attr-defined]
    monkeypatch.setattr("kurabe.cli.doctor.command", fail)
    ran = kurabe("doctor")
    assert (ran.code, ran.out) == (kind.exit_code, "")
    assert "\x1b" not in ran.err and "Traceback" not in ran.err
    for part in ("went.", "here:3", "because", "kurabe doctor"):
        assert ran.err.count(part) == 1
    told = json.loads(kurabe("doctor", "--json").out)
    assert told["exit_code"] == kind.exit_code and told["error"]["where"] == "here:3"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(screen: object, **values: object) -> None:
        raise ZeroDivisionError("a bug")

    fail.__signature__ = inspect.signature(import_module("kurabe.cli.doctor").command)  # type: ignore[attr-defined]
    monkeypatch.setattr("kurabe.cli.doctor.command", fail)
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_stdout_on_a_full_disk_is_said_in_a_line(option: list[str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "kurabe", "check", str(packaged("en")), *option]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True)
    assert ran.returncode == errors.EXIT_MISSING and "The disk is full." in ran.stderr
    assert "Traceback" not in ran.stderr and "Exception ignored" not in ran.stderr


def test_problems_of_a_file_are_listed_up_to_twenty(kurabe: Kurabe, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join(["{}"] * 30), encoding="utf-8")
    ran = kurabe("run", bad, "--runs", tmp_path / "runs")
    assert ran.code == errors.EXIT_DATA
    assert "bad.jsonl:20" in ran.err and "bad.jsonl:21" not in ran.err and "10 more" in ran.err
    assert not list(tmp_path.glob("runs/*"))


# --- run, demo, resume -----------------------------------------------------------------------------------------


def test_the_demo_ends_with_the_verdict_and_stores_its_report(
    kurabe: Kurabe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kurabe.cli.measure.write_report", write_report)
    ran = kurabe("demo", "--runs", tmp_path, "--name", "d")
    assert ran.code == 0
    folder = RunFolder.open(tmp_path / "d")
    results = folder.results()
    assert results is not None and {t.recipe for t in results.trials} == {"fair", "origin"}
    assert (tmp_path / "d" / "report.html").stat().st_size > 10_000
    assert str(tmp_path / "d" / "report.html") in ran.out
    assert "origin" in ran.err and "✗" in ran.err  # what was wrong in the recipe, before it is trained
    assert "1/5" in ran.err and "5/5" in ran.err


def test_json_is_the_only_thing_on_stdout(kurabe: Kurabe, finished: Path) -> None:
    ran = kurabe("resume", finished, "--json")
    assert Results.model_validate(json.loads(ran.out)) == RunFolder.open(finished).results()


def test_the_installed_rows_come_before_those_of_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert packaged("en").name == "support-en.jsonl" and packaged("ja").is_file()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "support-en.jsonl").write_text("", encoding="utf-8")
    monkeypatch.setattr("kurabe.cli.demo.files", lambda package: tmp_path)
    assert packaged("en") == tmp_path / "data" / "support-en.jsonl"


@pytest.mark.parametrize(
    ("arguments", "language"),
    [(["--lang", "ja"], "en"), (["--lang", "ja", "--model", "x"], "ja"), (["--rows", "ja"], "ja"), ([], "en")],
)
def test_the_rows_are_english_unless_a_model_may_read_japanese(
    kurabe: Kurabe, monkeypatch: pytest.MonkeyPatch, arguments: list[str], language: str
) -> None:
    def refuse(screen: object, data: Path, settings: object) -> None:
        raise errors.DataError(data.name)

    monkeypatch.setattr("kurabe.cli.measure.measure", refuse)
    assert f"support-{language}.jsonl" in kurabe("demo", *arguments).err


def test_flags_win_over_the_settings_file(kurabe: Kurabe, tmp_path: Path) -> None:
    chosen = tmp_path / "s.yaml"
    chosen.write_text("retention: 0\nseed: 3\nrecipes: [origin]\n", encoding="utf-8")
    kurabe("run", packaged("en"), "--settings", chosen, "--seed", "5", "--runs", tmp_path / "r", "--name", "x", "-q")
    results = RunFolder.open(tmp_path / "r" / "x").results()
    assert results is not None
    assert (results.settings["retention"], results.settings["seed"]) == (0, 5)
    assert [t.recipe for t in results.trials] == ["origin"]


def test_every_setting_is_a_flag_of_run_or_belongs_in_a_file() -> None:
    from kurabe.settings import RunSettings

    flags = {
        name: set(inspect.signature(import_module(f"kurabe.cli.{name}").command).parameters)
        for name in ("run", "curve")
    }
    assert set(RunSettings.model_fields) - flags["run"] == {"over", "seeds"}
    assert set(RunSettings.model_fields) == flags["curve"] & set(RunSettings.model_fields)


def test_a_curve_shows_where_the_lora_reaches_the_prompt(
    kurabe: Kurabe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kurabe.cli.measure.write_report", write_report)
    ran = kurabe("curve", packaged("en"), "--over", "wordings,rank", "--seeds", "2", "--runs", tmp_path, "--name", "c")
    assert ran.code == 0
    results = RunFolder.open(tmp_path / "c").results()
    assert results is not None and {p.axis for p in results.curves} == {"step", "wordings", "rank"}
    assert "wordings per example" in ran.out and "reach" in ran.out and "predict" in ran.out
    assert 'id="curves"' in (tmp_path / "c" / "report.html").read_text(encoding="utf-8")
    assert kurabe("curve", packaged("en"), "--over", "wording").code == errors.EXIT_USAGE


def test_a_settings_file_names_the_axes_and_flags_win(kurabe: Kurabe, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("over: [rank]\nseeds: 2\n", encoding="utf-8")

    def trainings(*flags: object) -> float:
        asked = ("--settings", tmp_path / "s.yaml", "--dry-run", "--json", "--runs", tmp_path)
        plan = json.loads(kurabe("curve", packaged("en"), *asked, *flags).out)
        return float(plan["steps"] / plan["trials"][0]["steps"])

    assert trainings() == 2 * 6 and trainings("--seeds", 1) == 6
    assert trainings("--over", "rate", "--seeds", 1) == 5


def test_a_folder_is_no_settings_file(kurabe: Kurabe, tmp_path: Path) -> None:
    ran = kurabe("run", packaged("en"), "--settings", tmp_path)
    assert ran.code == errors.EXIT_USAGE and "cannot be read" in ran.err


@pytest.mark.parametrize("width", ["0", "1"])
def test_a_terminal_without_a_width_is_written_to(
    kurabe: Kurabe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert "There are no runs here." in kurabe("clean", "--runs", tmp_path).out


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_file_name_that_is_no_text_is_told_and_a_setting_refused(kurabe: Kurabe, tmp_path: Path) -> None:
    data = tmp_path / os.fsdecode(b"a\xff.jsonl")
    data.write_bytes(packaged("en").read_bytes())
    ran = kurabe("run", data, "--runs", tmp_path, "--name", "r", "--retention", 0)
    assert ran.code == 0 and RunFolder.open(tmp_path / "r").request().data.endswith("a?.jsonl")
    ran = kurabe("run", data, "--runs", tmp_path / os.fsdecode(b"r\xff"))
    assert ran.code == errors.EXIT_USAGE and "--runs" in ran.err


def test_an_unknown_setting_names_the_nearest(kurabe: Kurabe, tmp_path: Path) -> None:
    chosen = tmp_path / "s.yaml"
    chosen.write_text("retentoin: 0\n", encoding="utf-8")
    ran = kurabe("run", packaged("en"), "--settings", chosen)
    assert ran.code == errors.EXIT_USAGE and "'retention'" in ran.err


def test_a_dry_run_stores_nothing(kurabe: Kurabe, tmp_path: Path) -> None:
    ran = kurabe("run", packaged("en"), "--dry-run", "--runs", tmp_path / "r")
    assert ran.code == 0 and "training positions" in ran.out
    assert not (tmp_path / "r").exists()
    plan = json.loads(kurabe("run", packaged("en"), "--dry-run", "--runs", tmp_path / "r", "--json").out)
    assert plan["answers"] > 0 and plan["steps"] >= 150


def test_a_dry_run_with_minutes_prints_the_fitted_plan(kurabe: Kurabe, tmp_path: Path) -> None:
    command = ("curve", packaged("en"), "--over", "rank", "--minutes", 1, "--dry-run", "--runs", tmp_path / "r")
    ran = kurabe(*command)
    assert ran.code == 0 and "Planned for 1 min" in ran.out and not (tmp_path / "r").exists()
    asked = kurabe("curve", packaged("en"), "--minutes", 0, "--dry-run", "--runs", tmp_path / "r")
    assert asked.code == errors.EXIT_USAGE and "--minutes" in asked.err


def test_the_end_tells_the_planned_time_beside_the_real_one(kurabe: Kurabe, tmp_path: Path) -> None:
    ran = kurabe("run", packaged("en"), "--minutes", 5, "--runs", tmp_path, "--name", "m")
    assert ran.code == 0 and " planned" in ran.out and "Planned for 5 min" in ran.err
    results = RunFolder.open(tmp_path / "m").results()
    assert results is not None and set(results.planned) == {"load", "train", "answer"}
    assert any(label == "Planned" for label, _ in tables.provenance(results, Texts("en")).rows)
    assert "--minutes" not in sentences.command(results), "the command repeats what was chosen"


def test_ctrl_c_before_anything_is_stored_names_no_run(
    kurabe: Kurabe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **values: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", stop)
    ran = kurabe("run", packaged("en"), "--runs", tmp_path)
    assert ran.code == errors.EXIT_INTERRUPTED and "resume" not in ran.err


def test_results_are_shown_where_the_report_cannot_be_written(
    kurabe: Kurabe, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("kurabe.cli.measure.write_report", write_report)
    monkeypatch.setattr("kurabe.cli.output.render", lambda *args: "")
    monkeypatch.setattr(os, "replace", full)
    ran = kurabe("resume", finished)
    assert ran.code == errors.EXIT_MISSING and "recall" in ran.out
    assert f"kurabe report {finished} --out" in ran.err


def test_ctrl_c_pressed_twice_names_the_command_that_goes_on(
    kurabe: Kurabe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(settings: object) -> FakeBackend:
        raise KeyboardInterrupt

    monkeypatch.setattr(backends, "load", stop)
    ran = kurabe("demo", "--runs", tmp_path, "--name", "d")
    assert ran.code == errors.EXIT_INTERRUPTED and f"kurabe resume {tmp_path / 'd'}" in " ".join(ran.err.split())
    monkeypatch.setattr(backends, "load", lambda settings: scripted())
    assert kurabe("resume", tmp_path / "d").code == 0


@pytest.mark.parametrize(
    ("choice", "recall", "gate", "fail_under", "expected"),
    [
        ("cannot-tell", 0.5, False, None, errors.EXIT_OK),
        ("cannot-tell", 0.5, True, None, errors.EXIT_CANNOT_TELL),
        ("cannot-tell", 0.5, False, 10, errors.EXIT_CANNOT_TELL),
        ("prompt", 0.9, True, None, errors.EXIT_OK),
        ("prompt", 0.9, True, 95, errors.EXIT_GATE),
        ("prompt", 0.9, False, 90, errors.EXIT_OK),
        ("prompt", None, False, 90, errors.EXIT_GATE),
        ("fine-tune", 0.9, False, 95, errors.EXIT_GATE),
    ],
)
def test_gates(
    finished: Path, choice: str, recall: float | None, gate: bool, fail_under: float | None, expected: int
) -> None:
    results = RunFolder.open(finished).results()
    assert results is not None
    arms = tuple(a.model_copy(update={"recall": a.recall.model_copy(update={"value": recall})}) for a in results.arms)
    verdict = results.verdict.model_copy(update={"choice": choice})
    judged = results.model_copy(update={"arms": arms, "verdict": verdict})
    assert exit_code(judged, gate=gate, fail_under=fail_under) == expected


@pytest.mark.parametrize("chosen", ["lora+prompt", "lora+rag"])
def test_a_gate_reads_the_recall_of_the_combined_arm_that_was_chosen(finished: Path, chosen: str) -> None:
    results = RunFolder.open(finished).results()
    assert results is not None
    shares = {"lora+prompt": 0.6, "lora+rag": 0.6} | {chosen: 0.95}
    arm = results.arms[0]
    arms = tuple(
        arm.model_copy(update={"label": label, "recall": arm.recall.model_copy(update={"value": share})})
        for label, share in shares.items()
    )
    verdict = results.verdict.model_copy(update={"choice": "both", "reasons": (reason("both", label=chosen),)})
    judged = results.model_copy(update={"arms": arms, "verdict": verdict})
    assert exit_code(judged, gate=True, fail_under=90) == errors.EXIT_OK
    assert exit_code(judged, gate=True, fail_under=96) == errors.EXIT_GATE


# --- report, ask, check, reword --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["md", "json", "csv"])
def test_a_report_is_made_without_a_model(
    kurabe: Kurabe, finished: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "load", None)
    out = tmp_path / f"report.{form}"
    assert kurabe("report", finished, "--format", form, "--out", out).code == 0
    text = out.read_text(encoding="utf-8")
    assert "What is the price of shipping" in text
    again = kurabe("report", finished, "--format", form, "--out", out)
    assert again.code == errors.EXIT_USAGE and out.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("form", ["html", "md"])
def test_a_reports_file_is_written_beside_its_json(kurabe: Kurabe, finished: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "report"
    ran = kurabe("report", finished, "--json", "--format", form, "--out", out)
    assert ran.code == 0 and json.loads(ran.out)["verdict"] and out.is_file()


@pytest.mark.parametrize("option", ["--json", "--open"])
def test_a_format_that_has_nowhere_to_go_is_refused(kurabe: Kurabe, finished: Path, option: str) -> None:
    ran = kurabe("report", finished, "--format", "md", option)
    assert ran.code == errors.EXIT_USAGE and "--out report.md" in ran.err


def test_json_alone_writes_nothing(kurabe: Kurabe, finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert kurabe("report", finished, "--json").code == 0
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_report_of_an_unfinished_run_says_how_to_finish_it(kurabe: Kurabe, tmp_path: Path) -> None:
    from synthetic import write_run

    folder = write_run(tmp_path)
    (folder.path / "answers.jsonl").write_text("", encoding="utf-8")
    for words in (("report", folder.path), ("ask", folder.path, "How much is it?")):
        ran = kurabe(*words)
        assert ran.code == errors.EXIT_RESUMABLE and "kurabe resume" in ran.err


def test_ask_answers_with_every_arm_or_the_named_one(kurabe: Kurabe, finished: Path) -> None:
    # The ceiling would have to know which row is asked for; lora answers twice, by both recipes.
    ran = kurabe("ask", finished, "How much is it?")
    assert ran.code == 0 and ran.out.count("I don't have that information.") == len(ARM_NAMES)
    assert len({line.index("I don't") for line in ran.out.splitlines()}) == 1  # one column, whatever the arm's name
    assert Texts("en")("verdict.stand_in") in ran.err
    one = json.loads(kurabe("ask", finished, "How much is it?", "--arm", "base", "--json").out)
    assert [answer["key"]["arm"] for answer in one] == ["base"]
    assert kurabe("ask", finished, "?", "--arm", "ceiling").code == errors.EXIT_USAGE
    assert kurabe("ask", finished, " ").code == errors.EXIT_USAGE


def test_check_shows_what_is_there_and_refuses_what_a_run_would_refuse(kurabe: Kurabe, tmp_path: Path) -> None:
    good = kurabe("check", packaged("en"))
    assert good.code == 0 and "$6.99 (money)" in good.out
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "Q?", "answer": "It is $5."}\n{"question": "R?"}\n', encoding="utf-8")
    ran = kurabe("check", bad)
    assert ran.code == errors.EXIT_DATA and "bad.jsonl:2" in ran.out
    report = json.loads(kurabe("check", bad, "--json").out)
    assert report["ok"] is False and report["skipped"] == 1
    assert f"kurabe run {bad} --skip-bad" in ran.out, "what would leave those rows out"
    assert "--skip-bad" not in good.out
    leak = tmp_path / "leak.jsonl"
    leak.write_text('{"question": "Q?", "answer": "It is $5.", "held_out": ["Q?"]}\n', encoding="utf-8")
    assert "--skip-bad" not in kurabe("check", leak).out, "no row of it is bad"


@pytest.mark.parametrize("name", ["clinic-en.jsonl", "museum-ja.jsonl"])
def test_reworded_rows_are_a_data_file_that_asks_the_same(kurabe: Kurabe, tmp_path: Path, name: str) -> None:
    from kurabe import splits

    source, out = packaged("en").parent / name, tmp_path / "reworded.jsonl"
    assert kurabe("reword", source, "--out", out).code == 0
    before, after = dataset.read_examples(source), dataset.read_examples(out)
    wanted = splits.generate(before.examples, before.language)
    assert [e.texts("held_out") for e in after.examples] == [e.texts("held_out") for e in wanted]
    assert [e.texts("trained") for e in after.examples] == [e.texts("trained") for e in wanted]
    assert [sorted(f.value for f in e.facts) for e in after.examples] == [
        sorted(f.value for f in e.facts) for e in before.examples
    ]
    assert kurabe("reword", source, "--out", out).code == errors.EXIT_USAGE
    assert kurabe("reword", source).out == out.read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "utf-8"])
def test_reworded_rows_and_json_are_exact_in_every_encoding_of_stdout(tmp_path: Path, encoding: str) -> None:
    row = {"question": "What is “the price” of 商品 é 😀?", "answer": "It’s $3 – ¥500 … 😀"}
    data = tmp_path / "a.jsonl"
    data.write_text(json.dumps(row), encoding="utf-8")
    for command in ("reword", "check"):
        ran = subprocess.run(
            [sys.executable, "-m", "kurabe", command, str(data), *(["--json"] if command == "check" else [])],
            capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": encoding},
        )  # fmt: skip
        told = json.loads(ran.stdout.decode(encoding))
        shown = (
            told if command == "reword" else told["shown"][0] | {"question": told["shown"][0]["wordings"][0]["text"]}
        )
        assert {name: shown[name] for name in row} == row


# --- finding and deleting runs ---------------------------------------------------------------------------------


def test_a_run_is_found_by_path_by_name_and_as_the_last(finished: Path, tmp_path: Path) -> None:
    assert find_run(str(finished), tmp_path) == finished
    assert find_run("demo", finished.parent) == finished
    assert find_run("last", finished.parent) == finished
    for wanted, runs in (("demo", tmp_path), ("last", tmp_path), ("nonsense", finished.parent), ("..", finished)):
        with pytest.raises(errors.MissingError):
            find_run(wanted, runs)


def test_a_name_too_long_for_a_file_is_no_run(finished: Path) -> None:
    with pytest.raises(errors.MissingError, match="There is no run"):
        find_run("How much is it? " * 100, finished.parent)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A runs folder with two runs, a stranger's folder and a link to a run elsewhere."""
    from synthetic import write_run

    runs = tmp_path / "runs"
    write_run(runs, "en")
    write_run(runs, "ja")
    elsewhere = write_run(tmp_path / "elsewhere", "en").path
    (runs / "holiday").mkdir()
    (runs / "holiday" / "run.json").write_text("{}", encoding="utf-8")
    (runs / "link").symlink_to(elsewhere, target_is_directory=True)
    return runs


def test_clean_asks_and_without_anybody_to_ask_deletes_nothing(kurabe: Kurabe, mixed: Path) -> None:
    ran = kurabe("clean", "--runs", mixed)
    assert ran.code == 0 and "--yes" in ran.err and len(list(mixed.iterdir())) == 4


def test_clean_deletes_runs_and_nothing_else(kurabe: Kurabe, mixed: Path) -> None:
    told = json.loads(kurabe("clean", "--runs", mixed, "--yes", "--json").out)
    assert len(told["runs"]) == 2 and all(row["deleted"] for row in told["runs"])
    assert sorted(p.name for p in mixed.iterdir()) == ["holiday", "link"]
    assert (mixed.parent / "elsewhere" / "synthetic-en" / "run.json").is_file()


def test_a_damaged_run_hides_no_other_and_can_be_deleted(kurabe: Kurabe, mixed: Path) -> None:
    broken, whole = mixed / "synthetic-en", mixed / "synthetic-ja"
    (broken / "MANIFEST.json").write_text("?", encoding="utf-8")
    assert find_run("last", mixed) == whole
    ran = kurabe("report", "synthetic-en", "--runs", mixed)
    assert ran.code == errors.EXIT_DATA and "damaged" in ran.err
    assert kurabe("clean", "synthetic-en", "--runs", mixed, "--yes").code == 0 and not broken.exists()


def test_a_run_of_a_newer_kurabe_says_so(kurabe: Kurabe, mixed: Path) -> None:
    manifest = mixed / "synthetic-en" / "MANIFEST.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": 99}), encoding="utf-8")
    ran = kurabe("report", "synthetic-en", "--runs", mixed)
    assert ran.code == errors.EXIT_MISSING and "pip install --upgrade kurabe" in ran.err


def test_clean_passes_over_what_may_not_be_deleted(
    kurabe: Kurabe, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("shutil.rmtree", refuse)
    ran = kurabe("clean", "--runs", mixed, "--yes")
    assert ran.code == 0 and "Read-only file system" in ran.err and len(list(mixed.iterdir())) == 4


def test_clean_keeps_a_run_that_is_being_worked_in(kurabe: Kurabe, mixed: Path) -> None:
    from kurabe.runs import RunWriter

    with RunWriter.resume(mixed / "synthetic-en"):
        told = json.loads(kurabe("clean", "synthetic-en", "synthetic-ja", "--runs", mixed, "--yes", "--json").out)
    assert {Path(row["run"]).name: row["deleted"] for row in told["runs"]} == {
        "synthetic-en": False, "synthetic-ja": True,
    }  # fmt: skip
