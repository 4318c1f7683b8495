"""Other models on servers, asked beside the run's own: apart in every number, stored one by one, asked once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from killed_run import ROWS, backend, settings, write_data
from scripted_chat import Body, Scripted, serving

import kurabe
from kurabe import beside, experiment
from kurabe.analysis import load_run
from kurabe.connection import Limits
from kurabe.errors import MissingError, SettingsError, StoppedError
from kurabe.export.shipping import ship
from kurabe.fake import FakeBackend
from kurabe.report import render, sentences, tables
from kurabe.runs import RunFolder
from kurabe.schema import Results
from kurabe.settings import Price, Prices, RunSettings
from kurabe.texts import LANGUAGES, Texts

SHOP = {row["held_out"][0] if isinstance(row["held_out"], list) else row["held_out"]: row["answer"] for row in ROWS}
ARMS = ("base", "prompt", "lora")
EXAMPLES = Path(__file__).parents[1] / "examples"
SECRET = "sk-0123456789abcdef"


def knowing(body: Body) -> str:
    """A large model: it says what stands in its prompt, and nothing else."""
    answer = SHOP[body["messages"][-1]["content"]]
    return answer if answer in body["messages"][0]["content"] else "I do not know."


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(connect=5, answer=20, total=60, tries=3, pause=0.001, longest_pause=0.01, size=100_000, in_a_row=4)
    monkeypatch.setattr(beside, "LIMITS", limits)


@pytest.fixture
def serve() -> Iterator[Any]:
    with ExitStack() as stack:
        yield lambda *script, **how: stack.enter_context(
            serving(Scripted(*script, **{"speak": knowing, "models": ("large",), **how}))
        )


def run(folder: Path, **changes: Any) -> tuple[Results, RunFolder]:
    data = write_data(folder)
    wanted = {"recipes": "fair", "arms": ",".join(ARMS), "retention": 0, **changes}
    results = experiment.run(data, settings(folder, **wanted), backend=backend(data))
    return results, RunFolder.open(folder / "run")


def recalls(results: Results) -> Mapping[str, float | None]:
    return {arm.label: arm.recall.value for other in results.beside for arm in other.arms}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, RunFolder]:
    """A finished run beside two models of two servers, of which one has the other's name."""
    with serving(Scripted(speak=knowing, models=("large",))) as first, serving(Scripted(models=("large",))) as second:
        prices = Prices(currency="EUR", models={"large": Price(input_per_million=2, output_per_million=4)})
        names = f"{first.url}/v1#large,{second.url}"
        return run(tmp_path_factory.mktemp("both"), beside=names, prices=prices)


# --- apart -----------------------------------------------------------------------------------------------------


def test_another_model_changes_nothing_of_the_run_s_own(both: tuple[Results, RunFolder], tmp_path: Path) -> None:
    results, alone = both[0], run(tmp_path)[0]
    kept = ("verdict", "arms", "differences", "retention", "costs", "stale", "consistency")
    # Seconds and memory of two runs are never the same.
    for name in kept:
        mine, other = (json.loads(r.model_dump_json(include={name}))[name] for r in (results, alone))
        clocks = re.compile(r'"(preparation_seconds|seconds_per_answer|peak_memory)": [^,}]+')
        assert clocks.sub("", json.dumps(mine)) == clocks.sub("", json.dumps(other)), name
    assert not alone.beside and len(results.beside) == 2


def test_its_arms_are_those_without_training_and_carry_its_name(both: tuple[Results, RunFolder]) -> None:
    results, folder = both
    first, second = results.beside
    assert [arm.label for arm in first.arms] == [f"{arm} @ {first.model.name}" for arm in ("base", "prompt")]
    assert first.model.name != second.model.name and first.model.model.name == second.model.model.name == "large"
    assert recalls(results) == {first.arms[0].label: 0, first.arms[1].label: 1,
                                second.arms[0].label: 0, second.arms[1].label: 0}  # fmt: skip
    keys = [answer.key for answer in folder.answers() if answer.key.hop == "server"]
    assert len(keys) == len(set(keys)) == 2 * 2 * len(ROWS) and {key.trial for key in keys} == {0}
    assert all(key.model in (first.model.name, second.model.name) for key in keys)
    assert load_run(folder.path).beside == results.beside


def test_no_difference_and_no_verdict_knows_it(both: tuple[Results, RunFolder]) -> None:
    results = both[0]
    labels = {arm.label for arm in results.arms}
    assert {d.label for d in results.differences} | {d.other for d in results.differences} <= labels
    assert "large" not in results.verdict.model_dump_json()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_it_came_to_stands_apart_on_every_page(both: tuple[Results, RunFolder], language: str) -> None:
    results, t = both[0], Texts(language)
    said = sentences.beside(results, t)
    assert len(said) == 2 and all("%" in sentence and "EUR" in sentence for sentence in said)
    table = tables.beside(results, t)
    assert [row[0].rsplit(" ", 1)[1] for row in table.rows] == [
        arm.label.rsplit(" ", 1)[1] for other in results.beside for arm in other.arms
    ]
    for form in ("md", "html")[: 1 + (language == "en")]:  # charts take a second to draw
        page = render(results, form, language)  # type: ignore[arg-type]
        assert t("report.beside.caption") in page
    sheet = render(results, "csv", language)
    assert sheet.count(f"prompt @ {results.beside[0].model.name}") == len(ROWS)


def test_tokens_and_price_come_from_the_server_s_usage_and_the_table(both: tuple[Results, RunFolder]) -> None:
    cost = both[0].beside[0].costs[1]
    assert (cost.prompt_tokens, cost.new_tokens, cost.cached_tokens) == (11, 7, 4)
    assert cost.money_per_thousand == pytest.approx((11 * 2 + 7 * 4) / 1000)
    own = next(cost for cost in both[0].costs if cost.label == "prompt")
    assert own.money_per_thousand is None  # the table has no price for it


def test_without_a_price_the_tokens_are_told(tmp_path: Path, serve: Any) -> None:
    results, _ = run(tmp_path, beside=serve().url)
    (said,) = sentences.beside(results, Texts("en"))
    assert "11 prompt" in said and "7 new" in said


def test_model_and_server_are_pinned(tmp_path: Path, serve: Any) -> None:
    state = serve(version="0.99.1", calls="large-2026-05")
    results, folder = run(tmp_path, beside=f"{state.url}/v1#large")
    (other,) = results.beside
    assert (other.model.server, other.model.version) == (f"{state.url}/v1#large", "0.99.1")
    assert other.said == ("large-2026-05",) and folder.info().beside == (other.model,)


def test_ollama_s_digest_is_pinned(tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state = serve(models=("large:latest",), version="0.33.0")
    monkeypatch.setenv("OLLAMA_HOST", state.url)
    results, _ = run(tmp_path, beside="ollama:large")
    (other,) = results.beside
    assert (other.model.name, other.model.model.sha256, other.model.version) == ("large:latest", "ab" * 32, "0.33.0")
    assert recalls(results)["prompt @ large:latest"] == 1


# --- servers that misbehave ------------------------------------------------------------------------------------

PASSING = ("slow", "500", "429 after 0", "cut", "drop", "half", "html", "a list", "error in 200", "no choice",
           "aborted", "half a stream")  # fmt: skip


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_a_server_that_misbehaves_loses_and_changes_no_answer(
    tmp_path: Path, serve: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault once, all of them in one run: every answer comes in the end, and is scored as on a good server."""
    state = serve(*(step for fault in PASSING for step in (fault, "good")))
    monkeypatch.setenv("OLLAMA_HOST", state.url)
    results, folder = run(tmp_path, beside="ollama:large" if kind == "ollama" else state.url, at_once=1)
    assert recalls(results) == {"base @ large": 0, "prompt @ large": 1}
    assert not any(arm.unscored for arm in results.beside[0].arms)
    assert len(state.bodies) == 2 * len(ROWS) + len(PASSING) - 1  # a slow answer is waited for
    assert all(answer.finish == "stop" for answer in folder.answers() if answer.key.hop == "server")


STAYING = {"400 too long": "error", "no text": "error", "only thoughts": "error", "nothing said": "error",
           "thoughts": "stop", "cut short": "length", "refused in 200": "error"}  # fmt: skip


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_what_stays_wrong_is_unscored_and_what_was_cut_is_scored_as_it_stands(
    tmp_path: Path, serve: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = serve(*STAYING)
    monkeypatch.setenv("OLLAMA_HOST", state.url)
    name = "ollama:large" if kind == "ollama" else state.url
    results, folder = run(tmp_path, beside=name, at_once=1, arms="prompt,lora")
    ends = [*STAYING.values(), "stop"]
    assert [a.finish for a in folder.answers() if a.key.hop == "server"] == ends and len(state.bodies) == len(ROWS)
    (arm,) = results.beside[0].arms
    assert (arm.unscored, arm.cut, arm.answers) == (ends.count("error"), 1, len(ROWS))
    assert (arm.recall.n, arm.recall.value, arm.extra.value) == (3, 2 / 3, 0)  # the cut one lacks its price


def test_too_many_answers_that_never_came_are_told_instead_of_a_share(tmp_path: Path, serve: Any) -> None:
    results, _ = run(tmp_path, beside=serve(*["400 no"] * len(ROWS)).url, at_once=1, arms="prompt,lora")
    (said,) = sentences.beside(results, Texts("en"))
    assert "cannot be judged" in said and str(len(ROWS)) in said and "%" not in said


# --- stopped and resumed ---------------------------------------------------------------------------------------


def test_a_server_that_goes_away_stops_the_run_and_what_came_is_not_asked_again(tmp_path: Path, serve: Any) -> None:
    state = serve(*["good"] * 5, *["503"] * 99)
    with pytest.raises(StoppedError) as caught:
        run(tmp_path, beside=state.url, at_once=1)
    assert "large" in caught.value.what and "resume" in caught.value.fix
    asked = [body["messages"] for body in state.bodies[:5]]
    state.script.clear()
    state.bodies.clear()
    results = experiment.resume(tmp_path / "run", backend=backend(tmp_path / "data.jsonl"))
    assert len(state.bodies) == 2 * len(ROWS) - 5
    assert not [messages for messages in asked if messages in [body["messages"] for body in state.bodies]]
    assert recalls(results) == {"base @ large": 0, "prompt @ large": 1}
    assert not any(arm.unscored for arm in results.beside[0].arms)


def test_a_server_that_has_given_its_answers_is_not_needed_again(tmp_path: Path, serve: Any) -> None:
    state = serve()
    data = write_data(tmp_path)
    chosen = settings(tmp_path, recipes="fair", arms="prompt,lora", retention=0, beside=state.url)
    with pytest.raises(RuntimeError):
        experiment.run(data, chosen, backend=_Broken())
    state.over.set()
    state.models = ()  # whoever asks now finds nothing
    results = experiment.resume(tmp_path / "run", backend=backend(data))
    assert recalls(results) == {"prompt @ large": 1}


class _Broken(FakeBackend):
    """It never trains."""

    def train(self, *_: Any) -> Any:
        raise RuntimeError("no training today")


def test_another_model_under_the_same_name_is_refused(
    tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = serve("good", *["503"] * 99, models=("large:latest",))
    monkeypatch.setenv("OLLAMA_HOST", state.url)
    with pytest.raises(StoppedError):
        run(tmp_path, beside="ollama:large", at_once=1)
    state.script.clear()
    state.digest = "cd" * 32
    with pytest.raises(MissingError) as caught:
        experiment.resume(tmp_path / "run", backend=backend(tmp_path / "data.jsonl"))
    assert "another model" in caught.value.what and caught.value.fix


# --- refused before anything is stored -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"beside": "folder/model"}, "server"), ({"beside": "ollama:"}, "name"),
     ({"beside": "ollama:a,ollama:a"}, "twice"),
     ({"beside": "ollama:a", "key_env": "SHOP_KEY"}, "--key-env"), ({"key_env": "SHOP_KEY"}, "--key-env"),
     ({"beside": "http://a/v1#m,http://b/v1#m", "key_env": "SHOP_KEY"}, "--key-env"),
     ({"beside": "ollama:a", "arms": "lora"}, "without training")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_at_once(
    tmp_path: Path, changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", SECRET)
    with pytest.raises(SettingsError) as caught:
        run(tmp_path, **changes)
    assert words in str(caught.value.what) and caught.value.fix and not (tmp_path / "run").exists()


def test_a_server_that_is_not_there_leaves_nothing_behind(tmp_path: Path, serve: Any) -> None:
    with pytest.raises(MissingError) as caught:
        run(tmp_path, beside=f"{serve(models=('small',)).url}#large")
    assert "small" in caught.value.why and not (tmp_path / "run").exists()


def test_the_key_is_in_no_file_of_the_run_and_in_no_event(
    tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server repeats it in its errors, its version and its models' names."""
    monkeypatch.setenv("SHOP_API_KEY", SECRET)
    state = serve(f"400 bad {SECRET}", key=SECRET, version=SECRET, calls=f"large {SECRET}")
    events: list[str] = []
    data = write_data(tmp_path)
    chosen = settings(
        tmp_path, arms="prompt,lora", retention=0, recipes="fair", beside=state.url, key_env="SHOP_API_KEY"
    )
    results = experiment.run(data, chosen, emit=lambda e: events.append(e.model_dump_json()), backend=backend(data))
    assert state.headers[-1]["Authorization"] == f"Bearer {SECRET}"
    everything = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(everything) > 8 and not [one for one in everything if SECRET.encode() in one]
    assert SECRET not in "".join(events) + results.model_dump_json() + render(results, "md", "en")
    assert "SHOP_API_KEY" in (tmp_path / "run" / "request.json").read_text(encoding="utf-8")


def test_a_key_that_is_not_there_is_named_by_its_variable_and_a_key_itself_never(
    tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_API_KEY", raising=False)
    for given, told in (("SHOP_API_KEY", True), (SECRET, False), ("AKIAIOSFODNN7EXAMPLE", False)):
        with pytest.raises((MissingError, SettingsError)) as caught:
            run(tmp_path, beside=serve().url, key_env=given)
        assert (given in repr(caught.value)) is told and not (tmp_path / "run").exists()


# --- told beforehand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_plan_says_how_much_is_asked_and_what_it_costs_at_most(tmp_path: Path, serve: Any, language: str) -> None:
    state = serve()
    data = write_data(tmp_path)
    prices = Prices(currency="EUR", models={"large": Price(input_per_million=1000, output_per_million=1000)})
    chosen = settings(tmp_path, arms="base,prompt,lora", retention=0, beside=state.url, prices=prices)
    plan = experiment.plan_run(data, chosen, backend(data))
    told = {note.key: note.values for note in plan.notes}
    assert told["audit.note.beside"]["requests"] == 2 * len(ROWS) and not state.bodies
    most = (told["audit.note.beside"]["tokens"] + 2 * len(ROWS) * plan.new_tokens / plan.answers) / 1000
    assert told["audit.note.beside-price"]["money"] == pytest.approx(most, abs=0.01)
    assert all(sentences.sentence(note, Texts(language)) for note in plan.notes)


def test_a_model_that_the_price_table_lacks_is_told(tmp_path: Path, serve: Any) -> None:
    prices = Prices(models={"lagre": Price(input_per_million=1, output_per_million=1)})
    results, _ = run(tmp_path, beside=serve().url, prices=prices, arms="prompt,lora")
    assert "audit.note.beside-no-price" in {note.key for note in results.notes}


# --- a real one ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_weights_in_llama_cpp_s_server_give_every_answer_of_the_loaded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server renders the prompts with the file's own template and tokenizer; nothing of that is kurabe's."""
    pytest.importorskip("xllamacpp")
    (file,) = ship(Path(kurabe.__file__).parent / "tiny", tmp_path / "tiny.gguf", ("F32",))
    command = [sys.executable, str(Path(__file__).with_name("llamacpp_server.py")), str(file), SECRET, "8192"]
    monkeypatch.setenv("SHOP_API_KEY", SECRET)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True) as child:  # type: ignore[call-overload]
        try:
            chosen = RunSettings(
                arms=("base", "prompt", "ceiling"), retention=0, runs=str(tmp_path), name="run", threads=1,
                beside=(child.stdout.readline().strip(),), key_env="SHOP_API_KEY",
            )  # fmt: skip
            experiment.run(EXAMPLES / "clinic-en.jsonl", chosen)
        finally:
            child.kill()
    said: dict[str, dict[tuple[str, str], tuple[str, int]]] = {"live": {}, "server": {}}
    for answer in RunFolder.open(tmp_path / "run").answers():
        if answer.key.probe == "held_out":
            said[answer.key.hop][answer.key.arm, answer.key.question] = answer.text, answer.prompt_tokens
    assert len(said["live"]) > 50 and said["server"] == said["live"]
