"""What reaches a terminal: inert text, marks, widths, progress."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from synthetic import write_run

from kurabe.analysis import analyse
from kurabe.charts import arm_name
from kurabe.cli.follow import PULSE, STAGES, Follower, Pace, introduction, sparkline
from kurabe.cli.screen import Screen, plain
from kurabe.cli.shape import TINYLLAMA, Shape
from kurabe.cli.sidebyside import marks, show_answers
from kurabe.cli.summary import arms_table, costs_table, show_results, verdict_panel
from kurabe.report import render, sentences
from kurabe.report.answers import main_arms
from kurabe.report.sentences import headline
from kurabe.schema import ArmAnswer, Estimate, Event, Fact, Outcome, Reason, Results, StaleResult, UnknownResult
from kurabe.settings import Prices, RunSettings
from kurabe.texts import LANGUAGES, Texts

ACTIVE = ("\x1b[31mred\x1b[0m", "\x1b]52;c;aGk=\x07", "a\x9b2Jb", "safe‮evas", "⁦x⁩", "a\rb", "\x00", "a\x08b")


def screen(width: int, language: str = "en", terminal: bool = False) -> tuple[Screen, io.StringIO]:
    """A screen whose two streams are one string."""
    made, stream = Screen(Texts(language)), io.StringIO()
    made.out = made.err = Console(
        file=stream, width=width, highlight=False, markup=False, emoji=False, force_terminal=terminal, color_system=None
    )
    return made, stream


@pytest.fixture(scope="module", params=LANGUAGES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Results]:
    folder = write_run(tmp_path_factory.mktemp("runs"), language=request.param)
    return request.param, analyse(folder)


# --- inert text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ACTIVE)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert "�" in plain(text)


@given(st.text())
def test_plain_text_has_no_control_and_turns_no_direction(text: str) -> None:
    left = plain(text)
    assert not any((ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 for c in left)
    assert not any(c in left for c in "‪‫‬‭‮⁦⁧⁨⁩‎‏؜")


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_plain_text_is_left_alone(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("text", ["[bold]x[/bold]", ":smile:", "[/]", "[link=http://a]b[/link]"])
def test_markup_of_a_model_is_text(text: str) -> None:
    made, stream = screen(60)
    made.show(text)
    assert text in stream.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "shift_jis", "utf-8"])
def test_every_sentence_can_be_shown_on_every_stream(encoding: str) -> None:
    Screen(Texts("en"))  # registers the fallback
    for language in LANGUAGES:
        from kurabe.texts import catalogue

        for sentence in (*catalogue(language).values(), "✓✗∅–…▁▂▃▄▅▆▇█", "\ud800"):
            assert sentence.encode(encoding, "kurabe.plainer").decode(encoding)
    assert "✓ ok –".encode("ascii", "kurabe.plainer") == b"+ ok -"


# --- results ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 100, 180])
def test_no_line_is_wider_than_the_screen(finished: tuple[str, Results], width: int) -> None:
    language, results = finished
    made, stream = screen(width, language)
    show_results(made, results, Path("runs/x"), Path("runs/x/report.html"))
    lines = [line for line in stream.getvalue().splitlines() if " kurabe " not in line]  # commands are not folded
    assert max(cell_len(line) for line in lines) <= width
    assert all(cell_len(line) == len(line) for line in lines) == (language == "en")


def test_the_verdict_stands_first_and_last(finished: tuple[str, Results]) -> None:
    language, results = finished
    made, stream = screen(200, language)
    show_results(made, results, Path("runs/x"), Path("runs/x/report.html"))
    text = stream.getvalue()
    sentence = headline(results.verdict, Texts(language))
    caveat = Texts(language)("verdict.stand_in")
    assert text.count(sentence) == 2 and text.count(caveat) == 2
    lines = [line for line in text.splitlines() if line.strip()]
    assert sentence in "".join(lines[:3]) and sentence in "".join(lines[-6:])


@pytest.mark.parametrize("width", [80, 180])
def test_every_example_is_shown_with_every_arm(finished: tuple[str, Results], width: int) -> None:
    language, results = finished
    made, stream = screen(width, language)
    show_answers(made, results)
    text = "".join(stream.getvalue().split())
    for question in {q.example: q for q in reversed(results.questions) if q.probe == "held_out"}.values():
        assert "".join(question.text.split()) in text
    for mark in ("right", "wrong", "missing"):
        assert "".join(Texts(language)(f"mark.{mark}").split()) in text


def test_every_mark_has_a_sign_and_a_word() -> None:
    fact = Fact(kind="money", value="6.99", text="$6.99")
    for status, sign in (("right", "✓"), ("wrong", "✗"), ("missing", "–"), ("refused", "∅"), ("unscored", "?")):
        other = Fact(kind="money", value="9.99", text="$9.99") if status == "wrong" else None
        outcome = Outcome.model_validate({"fact": fact, "status": status, "found": other})
        answer = ArmAnswer(label="base", text="x", outcomes=(outcome,), extra=(), finish="stop")
        for language in LANGUAGES:
            words = marks(answer, Texts(language)).plain
            assert sign in words and Texts(language)(f"mark.{status}") in words
            assert ("$9.99" in words) == (status == "wrong")


def test_answers_of_a_model_are_inert(finished: tuple[str, Results]) -> None:
    _, results = finished
    said = {"text": "".join(ACTIVE)}
    questions = tuple(
        q.model_copy(update={**said, "answers": tuple(a.model_copy(update=said) for a in q.answers)})
        for q in results.questions
    )
    for width in (80, 180):
        made, stream = screen(width)
        show_answers(made, results.model_copy(update={"questions": questions}))
        assert not any(c in stream.getvalue() for c in "\x1b\x9b\x07\x08\x00‮⁦\r")


def drawn(
    results: Results, table: Callable[[Results, Texts], Table], language: str, width: int = 80
) -> list[list[str]]:
    """The cells of a table as they stand on the screen, the heads first."""
    made, stream = screen(width, language)
    made.show(table(results, Texts(language)))
    heads, rule, *rows = stream.getvalue().splitlines()
    assert set(rule) == {"─"}
    return [re.split(r" {2,}", line.strip()) for line in (heads, *rows)]


def test_every_arm_has_its_recall_and_says_how_many_examples_it_rests_on(finished: tuple[str, Results]) -> None:
    language, results = finished
    heads, *rows = drawn(results, arms_table, language)
    assert [row[0] for row in rows] == [arm_name(arm.label, Texts(language)) for arm in results.arms]
    assert heads[-1] == Texts(language)("cli.table.examples")
    assert [row[-1] for row in rows] == [str(arm.recall.n) for arm in results.arms] == ["10"] * len(rows)


def test_every_arm_has_its_cost_and_money_where_there_are_prices(tmp_path: Path, finished: tuple[str, Results]) -> None:
    language, free = finished
    prices = Prices(input_per_million=0.5, output_per_million=1.5)
    priced = analyse(write_run(tmp_path, language=language, settings=RunSettings(retention=20, prices=prices)))
    took = {"en": "20 s", "ja": "20秒"}[language]
    for results in (free, priced):
        heads, *rows = drawn(results, costs_table, language)
        cells = {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows}
        lora = cells[arm_name("lora", Texts(language))]
        cost = next(cost for cost in results.costs if cost.label == "lora")
        said = {name: lora.get(Texts(language)(f"cli.costs.{name}")) for name in ("preparation", "positions", "prompt")}
        assert said == {"preparation": took, "positions": f"{cost.preparation_tokens:,}", "prompt": "40"}
        assert cells[arm_name("prompt", Texts(language))][Texts(language)("cli.costs.preparation")] == "–"
        money = lora.get(Texts(language)("cli.costs.money"))
        assert money == (f"{cost.money_per_thousand:.2g} USD" if results is priced else None), "below 0.1, two figures"


def test_what_the_figures_leave_out_is_named_at_the_end(finished: tuple[str, Results]) -> None:
    language, results = finished
    out = Reason(key="data.note.trained-only", values={"examples": 1, "ids": "the-one\x1b[31m"})
    other = Reason(key="data.note.mixed-forms", values={"forms": "chat"})
    made, stream = screen(200, language)
    show_results(made, results.model_copy(update={"notes": (out, other)}), Path("runs/x"), Path("report.html"))
    said = stream.getvalue()
    assert Texts(language)("cli.left_out") in said and "the-one" in said and "\x1b" not in said
    assert Texts(language)("data.note.mixed-forms", forms="chat") not in said
    made, stream = screen(200, language)
    show_results(made, results.model_copy(update={"notes": ()}), Path("runs/x"), Path("report.html"))
    assert Texts(language)("cli.left_out") not in stream.getvalue()


def test_an_arm_left_out_and_the_risk_of_a_stale_fact_stand_in_the_frame_of_the_verdict(
    finished: tuple[str, Results],
) -> None:
    language, results = finished
    t = Texts(language)
    note = Reason(key="audit.note.arm-left-out", values={"arm": "prompt", "tokens": 9000, "context": 4096})
    old, new = Estimate(value=0.4, n=10), Estimate(value=0.6, n=10)
    stale = StaleResult(label="lora+prompt", followed=new, old=old, other=Estimate(value=0.0, n=10))
    told = results.model_copy(update={"notes": (note,), "stale": (stale,)})
    risk = sentences.stale_risk(told, t)
    assert arm_name("lora+prompt", t) in risk and "40 %" in risk
    assert sentences.stale_risk(results.model_copy(update={"stale": ()}), t) == ""
    harmless = stale.model_copy(update={"old": Estimate(value=0.0, n=10)})
    assert sentences.stale_risk(told.model_copy(update={"stale": (harmless,)}), t) == ""
    assert "9,000" in sentences.missing_arms(told, t) and sentences.missing_arms(results, t) == ""
    made, stream = screen(400, language)
    made.out.print(verdict_panel(told, t))
    assert risk in stream.getvalue() and sentences.missing_arms(told, t) in stream.getvalue()
    for form in ("html", "md"):
        said = render(told, form, language)
        assert "9,000" in said and "40 %" in said and t("report.stale.caption") in said


def test_what_a_lora_makes_up_is_a_risk_where_it_was_shown_to_do_so_more_than_the_model_did(
    finished: tuple[str, Results],
) -> None:
    language, results = finished
    t = Texts(language)

    def told(**shares: tuple[float, float, float]) -> Results:
        none = Estimate(value=0.0, n=20)
        found = [
            UnknownResult(label=label, declined=none, other=none,
                          invented=Estimate(value=share[1], low=share[0], high=share[2], n=20))
            for label, share in shares.items()
        ]  # fmt: skip
        return results.model_copy(update={"unknown": tuple(found)})

    base, lora, mixed = (0.0, 0.0, 0.16), (0.2, 0.45, 0.7), (0.0, 0.03, 0.16)
    shown = told(base=base, lora=lora)
    risk = sentences.unknown_risk(shown, t)
    assert "45 %" in risk and arm_name("lora", t) in risk and risk in sentences.risks(shown, t)
    assert "fair+unknown" in risk and "3 %" not in risk
    beside = sentences.unknown_risk(told(**{"base": base, "lora": lora, "lora (fair+unknown)": mixed}), t)
    assert "fair+unknown" in beside and "3 %" in beside
    for harmless in (told(), told(base=base), told(base=(0.1, 0.3, 0.5), lora=lora), told(base=base, lora=base)):
        assert sentences.unknown_risk(harmless, t) == ""
    for form in ("html", "md"):
        assert t("report.unknown.caption") in render(shown, form, language) and "45 %" in render(shown, form, language)


def test_what_the_stand_in_cannot_read_is_said_beside_its_verdict(finished: tuple[str, Results]) -> None:
    language, results = finished
    t = Texts(language)

    def reading(share: float, **changes: object) -> Results:
        arms = [
            arm.model_copy(update={"recall": Estimate(value=share, n=10)}) if arm.arm == "ceiling" else arm
            for arm in results.arms
        ]
        return results.model_copy(update={"arms": tuple(arms), "stand_in": True, "language": "ja", **changes})

    poor = reading(0.86)
    said = sentences.poor_reading(poor, t)
    assert "86 %" in said and t("cli.language.ja") in said
    assert sentences.poor_reading(reading(0.97), t) == sentences.poor_reading(reading(0.86, stand_in=False), t) == ""
    assert sentences.poor_reading(poor.model_copy(update={"arms": ()}), t) == ""
    made, stream = screen(400, language)
    made.out.print(verdict_panel(poor, t))
    assert said in stream.getvalue() and said in render(poor, "md", language)
    assert said in re.sub(r"<[^>]+>", "", render(poor, "html", language))


def test_where_the_prompt_does_not_fit_retrieval_stands_in_its_place(finished: tuple[str, Results]) -> None:
    _, results = finished
    prompt = next(arm for arm in results.arms if arm.label == "prompt")
    rag = prompt.model_copy(update={"arm": "rag", "label": "rag"})
    without = tuple(arm for arm in results.arms if arm.label != "prompt")
    assert main_arms(results) == ("base", "prompt", "lora")
    assert main_arms(results.model_copy(update={"arms": (*results.arms, rag)})) == ("base", "prompt", "lora")
    assert main_arms(results.model_copy(update={"arms": (*without, rag)})) == ("base", "rag", "lora")


# --- progress --------------------------------------------------------------------------------------------------


def events(folder: Path) -> Iterator[Event]:
    """A run's events at one per two seconds."""
    from kurabe.runs import RunFolder

    for number, event in enumerate(RunFolder.open(folder).events()):
        yield event.model_copy(update={"elapsed": 2.0 * number})


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("followed")).path


def test_without_a_terminal_a_plain_line_comes_about_every_ten_seconds(run_folder: Path) -> None:
    made, stream = screen(300)
    follower, spoken = Follower(made, run_folder), []
    follower(Event(seq=1, at="", elapsed=0.0, kind="stage", values={"name": "base", "state": "start"}))
    for second in range(1, 61):
        values = {"stage": "base", "done": second, "total": 100, "seconds": 1.0}
        before = len(stream.getvalue())
        follower(Event(seq=second + 1, at="", elapsed=float(second), kind="batch", values=values))
        if len(stream.getvalue()) > before:
            spoken.append(second)
    assert spoken == [int(PULSE) * k for k in range(1, 7)]
    assert "40.0 s" in stream.getvalue() or "40 s" in stream.getvalue()  # 60 done in 60 s, 40 are left


def test_a_finished_stage_has_no_time_left(run_folder: Path) -> None:
    made, stream = screen(300)
    follower = Follower(made, run_folder)
    for second, done in ((1, 10), (30, 98)):
        values = {"stage": "base", "done": done, "total": 98, "seconds": 1.0}
        follower(Event(seq=second, at="", elapsed=float(second * 10), kind="batch", values=values))
    assert "98/98" in stream.getvalue().splitlines()[-1] and "left" not in stream.getvalue().splitlines()[-1]


def test_quiet_says_nothing(run_folder: Path) -> None:
    made, stream = screen(120)
    made.quiet = True
    with Follower(made, run_folder) as follower:
        for event in events(run_folder):
            follower(event)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_is_followed_to_its_end(run_folder: Path, language: str, terminal: bool) -> None:
    made, stream = screen(100, language, terminal)
    with Follower(made, run_folder) as follower:
        for event in events(run_folder):
            follower(event)
        follower(Event(seq=10_000, at="", elapsed=0.0, kind="of a later version", values={"x": 1}))
    text = stream.getvalue()
    for name in {e.values["name"] for e in events(run_folder) if e.kind == "stage"}:
        assert f"{STAGES.index(name) + 1}/{len(STAGES)} {Texts(language)(f'stage.{name}')}" in text


def test_the_introduction_says_what_is_trained_and_what_is_wrong_with_it(run_folder: Path) -> None:
    from kurabe.runs import RunFolder

    folder = RunFolder.open(run_folder)
    info, findings = folder.info(), folder.findings()
    for language in LANGUAGES:
        words = "\n".join(line for _, line in introduction(info, findings, Texts(language)))
        assert Texts(language)("verdict.stand_in") in words
        assert "12,615,680" in words and "1.1 %" in words
        assert words.count("✗") == len([f for f in findings if f.level != "info"]) > 0
        for trial in info.trials:
            assert f"{trial.trainable:,}" in words


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=400), st.integers(1, 40))
def test_a_sparkline_keeps_to_its_width(values: list[float | None], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) <= width
    assert bool(line) == any(v is not None for v in values)


def test_a_falling_loss_falls() -> None:
    line = sparkline([100 / (k + 1) for k in range(200)], 20)
    assert line[0] == "█" and line[-1] == "▁"
    assert all(a >= b for a, b in itertools.pairwise(line))


def test_time_left_is_measured_in_this_session_and_never_negative() -> None:
    pace = Pace(10.0)
    assert pace.left(100) is None
    pace.reach(20, 20.0)
    assert pace.left(100) == pytest.approx(40.0)
    assert pace.left(10) == 0.0
    pace.reach(30, 5.0)  # a clock that jumped back
    assert pace.left(100) is None
    resumed = Pace(0.0)
    resumed.skip_to(90, 1.0)
    assert resumed.left(100) is None
    resumed.reach(95, 3.0)
    assert resumed.left(100) == pytest.approx(2.0)


# --- arithmetic ------------------------------------------------------------------------------------------------


def test_parameters_of_a_shape_are_those_of_the_model() -> None:
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    shape = Shape(hidden=64, feed_forward=160, layers=3, key_value=32, vocabulary=101)
    config = LlamaConfig(
        hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=101, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    assert sum(p.numel() for p in model.parameters()) == shape.parameters
    linears = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "lm_head" not in n]
    assert sum(8 * (m.in_features + m.out_features) for m in linears) == shape.adapter(8)


def test_tinyllama_is_as_large_as_published() -> None:
    """1,100,048,384 parameters; r (inputs + outputs) over its seven linears and 22 layers."""
    assert TINYLLAMA.parameters == 1_100_048_384
    assert TINYLLAMA.adapter(16) == 22 * 16 * (4096 + 2 * 2304 + 4096 + 3 * 7680)
