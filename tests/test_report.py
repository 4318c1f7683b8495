"""The report: one inert file per form, the verdict first and last, the same words in two languages."""

from __future__ import annotations

import csv
import inspect
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import synthetic
import test_hops
import test_verdict
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kurabe import analysis, report
from kurabe.errors import DataError
from kurabe.report import answers, page, sentences, sheet
from kurabe.report.markdown import inert
from kurabe.schema import ArmAnswer, Fact, Outcome, Parity, QuestionResult, Reason, Results
from kurabe.settings import Prices, RunSettings, load_settings, parse
from kurabe.texts import LANGUAGES, Texts
from kurabe.verdict import decide

HOSTILE = (
    "<script>alert(1)</script>", "</style><script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>", "javascript:alert(1)", "[a](javascript:alert(1))", "![x](http://example.com/x.png)",
    "{{ 7*7 }}", "{% for x in y %}", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\0=1", "＝1+1", "| a | b |",
    "# title", "`code`", "```", "<!--", "]]>", "&lt;b&gt;", '"><b>', "'><b>", "<iframe src='http://example.com'>",
    "http://example.com", "<a href=//example.com>x</a>", "\u202eabc", "\x1b[31mred\x1b[0m",
    "<base href=http://example.com>", "<meta http-equiv=refresh content=0>", "%s %d", "{run}", "{0}", "x" * 5000,
    "\n\n---\n\n", "$(id)", "</title><b>",
)  # fmt: skip


class Page(HTMLParser):
    """What a page consists of: its elements in order, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._hidden = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return analysis.analyse(synthetic.write_run(tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def pages(results: Results) -> dict[str, Page]:
    return {language: Page(report.render(results, "html", language)) for language in LANGUAGES}


@pytest.fixture(scope="module")
def hostile(results: Results) -> Results:
    """Every text that a data file, a model or a path can bring, replaced by something that wants to be obeyed."""
    texts = [HOSTILE[number % len(HOSTILE)] for number in range(len(results.questions))]
    questions = tuple(
        q.model_copy(
            update={
                "id": text, "example": f"e{n}", "probe": "held_out", "text": text, "expected": text,
                "answers": tuple(a.model_copy(update={"text": text}) for a in q.answers),
            }
        )
        for n, (q, text) in enumerate(zip(results.questions, texts, strict=True))
    )  # fmt: skip
    model = results.model.model_copy(update={"name": HOSTILE[0]})
    named = {"run": HOSTILE[1], "data": HOSTILE[2], "settings": {**results.settings, "model": HOSTILE[0]}}
    return results.model_copy(update={"questions": questions, "model": model, **named})


# --- the page --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_verdict_sentence_is_first_and_last(results: Results, pages: dict[str, Page], language: str) -> None:
    t, said = Texts(language), pages[language].said
    verdict = sentences.headline(results.verdict, t)
    body = said[said.index(results.model.name) :]
    assert body.count(verdict) == 2
    assert body.index(verdict) < body.index(t("report.section.recall"))
    assert body.rindex(verdict) > body.index(t("report.section.record"))


def test_a_stand_ins_page_says_so_and_another_models_does_not(results: Results, pages: dict[str, Page]) -> None:
    own = results.model_copy(
        update={"stand_in": False, "verdict": results.verdict.model_copy(update={"stand_in": False})}
    )
    reservation = Texts("en")("verdict.stand_in")
    assert pages["en"].said.count(reservation) == 2
    assert reservation not in Page(report.render(own, "html", "en")).said


def test_generated_wordings_are_told_beside_the_verdict(results: Results, pages: dict[str, Page]) -> None:
    made = results.model_copy(update={"verdict": results.verdict.model_copy(update={"generated": 9})})
    words = Texts("en")("verdict.generated", examples=9)
    assert Page(report.render(made, "html", "en")).said.count(words) == 2
    assert words in report.render(made, "md", "en") and words not in pages["en"].said
    assert sentences.reservation(made.verdict, Texts("en")).endswith(words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_asks_nobody_for_a_byte_and_runs_nothing(pages: dict[str, Page], language: str) -> None:
    page = pages[language]
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert page.all("html")[0]["lang"] == language
    assert not {"script", "iframe", "object", "embed", "form", "base", "img"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert {attributes.get("src"), attributes.get("href"), attributes.get("xlink:href")} <= {None, "data:,"}


def test_the_style_sheet_asks_nobody_either() -> None:
    css = (Path(report.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    assert "url(" not in css and "@import" not in css and "http" not in css


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_that_wants_to_be_obeyed_is_shown(
    hostile: Results, pages: dict[str, Page], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "SHOWN_EXAMPLES", len(hostile.questions))
    page = Page(report.render(hostile, "html", language))
    allowed = {tag for tag, _ in pages[language].elements}
    assert {tag for tag, _ in page.elements} <= allowed
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert {attributes.get("src"), attributes.get("href")} <= {None, "data:,"}
    assert "<img src=x onerror=alert(1)>" in page.said
    assert "{{ 7*7 }}" in page.said and "49" not in page.said
    assert not set("\0\x1b\u202e") & set(page.said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_section_has_its_words_and_no_key_shows(pages: dict[str, Page], language: str) -> None:
    t, said = Texts(language), pages[language].said
    for section in ("recall", "differences", "answers", "training", "retention", "costs", "record"):
        assert t(f"report.section.{section}") in said
    assert not re.findall(r"\b(?:report|verdict|audit|charts|arms)\.[a-z_.]+", said)
    assert "{" not in said


def test_tables_can_be_read_aloud(pages: dict[str, Page]) -> None:
    page = pages["en"]
    assert len(page.all("caption")) == len(page.all("table")) >= 6
    heads = page.all("th")
    assert all(head.get("scope") in ("col", "row") for head in heads)
    assert next(tag for tag, _ in page.elements if tag in ("h1", "h2", "h3", "h4")) == "h1"
    assert len(page.all("h1")) == 1


def test_every_outcome_is_marked_by_sign_and_word(results: Results, pages: dict[str, Page]) -> None:
    t, said = Texts("en"), pages["en"].said
    shown = answers.shown(results.questions)
    marks = {value.mark for question in shown for answer in question.answers for value in answers.values(answer)}
    assert {"right", "wrong", "missing", "refused", "extra"} <= marks
    for mark in marks:
        assert f"{answers.SIGNS[mark]} {t(f'mark.{mark}')}" in said


def test_an_answer_that_never_came_is_not_an_empty_one(results: Results) -> None:
    question = answers.shown(results.questions)[0]
    first, second, *others = question.answers
    gone = first.model_copy(update={"text": "", "finish": "error"})
    empty = second.model_copy(update={"text": " ", "finish": "stop"})
    assert [first.label, second.label] == ["base", "prompt"]
    changed = question.model_copy(update={"answers": (gone, empty, *others)})
    few = results.model_copy(update={"questions": (changed,)})
    for language in LANGUAGES:
        t = Texts(language)
        for fmt in ("html", "md"):
            text = re.sub("<[^>]*>", "", report.render(few, fmt, language)).replace("\\", "")
            assert text.count(t("absent.none")) == text.count(t("absent.empty")) == 1


def test_numbers_ranges_and_flags_stay_in_one_line() -> None:
    tied = str(page._tied("Of <b> 7 % (2–13 %), +5 to +54: repeat with --model FOLDER."))
    assert re.findall('<span class="whole">([^<]*)</span>', tied) == ["7 %", "2–13 %", "+5 to +54", "--model FOLDER"]
    assert "&lt;b&gt;" in tied


def test_a_page_of_many_long_answers_stays_under_a_megabyte(results: Results) -> None:
    long = "<b>" * 2000
    question = results.questions[0]
    crowd = tuple(
        question.model_copy(
            update={
                "id": f"e{n}/h1", "example": f"e{n}", "probe": "held_out",
                "answers": tuple(a.model_copy(update={"text": long}) for a in question.answers),
            }
        )
        for n in range(500)
    )  # fmt: skip
    text = report.render(results.model_copy(update={"questions": crowd}), "html", "ja")
    assert len(text.encode()) < 1_000_000
    assert len(report.render(results, "html", "en").encode()) < 300_000


def test_the_same_results_give_the_same_bytes(results: Results) -> None:
    for fmt in report.FORMATS:
        assert report.render(results, fmt, "en") == report.render(results, fmt, "en")


def test_what_is_shown_was_chosen_before_the_answers(results: Results) -> None:
    chosen = [q.id for q in answers.shown(results.questions)]
    blank = tuple(q.model_copy(update={"answers": ()}) for q in results.questions)
    assert chosen == [q.id for q in answers.shown(blank)]
    assert len({q.split("/")[0] for q in chosen}) == len(chosen) == 10
    many = [QuestionResult(**{**results.questions[0].model_dump(), "example": f"e{n}"}) for n in range(1000)]
    spread = answers.shown(many)
    assert len(spread) == answers.SHOWN_EXAMPLES and spread[-1].example > "e9"


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_in_light_dark_and_print() -> None:
    """Text at least 4.5 : 1, marks of the charts at least 3 : 1 (WCAG 1.4.3, 1.4.11)."""
    css = (Path(report.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    ]
    assert len(schemes) == 3
    for colours in schemes:
        for name in ("ink", "soft", "right", "wrong", "doubt", "extra"):
            assert _contrast(colours[name], colours["paper"]) >= 4.5, name
            assert _contrast(colours[name], colours["wash"]) >= 4.5 or name not in ("ink", "soft"), name
        for name in ("base", "prompt", "lora", "both", "further"):
            assert _contrast(colours[name], colours["paper"]) >= 3, name


# --- marks in answers ------------------------------------------------------------------------------------------


def test_pieces_put_together_are_the_answer(results: Results) -> None:
    for question in results.questions:
        for answer in question.answers:
            cut = answers.pieces(answer)
            assert "".join(piece.text for piece in cut) == answer.text
            marked = {piece.text for piece in cut if piece.mark == "right"}
            assert marked <= {o.found.text for o in answer.outcomes if o.status == "right" and o.found}
        assert "".join(piece.text for piece in answers.expected_pieces(question)) == question.expected


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.lists(st.tuples(st.integers(-2, 45), st.integers(-2, 45)), max_size=6))
def test_places_that_overlap_or_lie_outside_never_break_an_answer(text: str, spans: list[tuple[int, int]]) -> None:
    facts = tuple(Fact(kind="count", value="1", text="1", start=a, end=b) for a, b in spans)
    outcomes = tuple(Outcome(fact=fact, status="right", found=fact) for fact in facts[:3])
    answer = ArmAnswer(label="base", text=text, outcomes=outcomes, extra=facts[3:], finish="stop")
    assert "".join(piece.text for piece in answers.pieces(answer)) == text


def test_a_value_that_a_row_named_explicitly_is_marked_where_it_stands(results: Results) -> None:
    named = Fact(kind="name", value="visa", text="Visa")
    question = results.questions[0].model_copy(update={"expected": "We accept Visa.", "facts": (named,)})
    assert answers.Piece("Visa", "expected") in answers.expected_pieces(question)
    absent = question.model_copy(update={"expected": "We accept cards."})
    assert answers.expected_pieces(absent) == [answers.Piece("We accept cards.")]


def test_a_wrong_value_names_the_one_that_was_expected() -> None:
    right, wrong = (Fact(kind="money", value=v, text=v) for v in ("$6.99", "$5"))
    outcome = Outcome(fact=right, status="wrong", found=wrong)
    answer = ArmAnswer(label="base", text="$5", outcomes=(outcome,), extra=(), finish="stop")
    assert answers.values(answer) == [answers.Value("wrong", "$5", "$6.99")]


# --- the other forms -------------------------------------------------------------------------------------------


def test_json_is_the_results(results: Results) -> None:
    text = report.render(results, "json", "ja")
    assert Results.model_validate_json(text) == results
    promised = ["version", "verdict", "stand_in", "arms", "differences", "retention", "costs", "curves", "audit"]
    assert set(promised) <= json.loads(text).keys()


def test_csv_has_a_line_per_question_and_arm(results: Results) -> None:
    text = report.render(results, "csv", "en")
    lines = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert len(lines) == sum(len(q.answers) for q in results.questions)
    prompt = [line for line in lines if line["arm"] == "prompt"]
    right = next(a.outcomes["right"] for a in results.arms if a.label == "prompt")
    assert sum(int(line["right"]) for line in prompt) == right
    assert {line["stand_in"] for line in lines} == {"True"}


def test_csv_cells_are_never_formulas(hostile: Results) -> None:
    text = report.render(hostile, "csv", "en")
    for line in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")):
        for cell in line:
            assert not cell.startswith(sheet.ACTIVE)
            assert not re.search("[\0\x1b\x9b\u202e]", cell)
    assert sheet.inert("a\x1b]52;c;x\x07\u202e") == "a�]52;c;x��"
    assert sheet.inert("=1+1") == "'=1+1" and sheet.inert("6.99") == "6.99" and sheet.inert(-1) == -1


def test_markdown_says_what_the_page_says(results: Results) -> None:
    t = Texts("en")
    text = report.render(results, "md", "en")
    verdict = sentences.headline(results.verdict, t)
    assert text.count(verdict) == 2 and text.index(verdict) < 200
    for reason in sentences.reasons(results.verdict, t):
        assert reason in text
    assert "| Arm | " in text and inert("lora (origin)") in text
    for finding in results.audit:
        if finding.level == "warn":
            assert f"- {finding.recipe}: {sentences.finding(finding, t)[0]}" in text


def test_markdown_rows_have_as_many_cells_as_their_head(hostile: Results) -> None:
    text = report.render(hostile, "md", "ja")
    blocks = [block for block in text.split("\n\n") if block.startswith("| ")]
    assert len(blocks) >= 6
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize(
    "text",
    [*HOSTILE, "- one", "+ one", "1. one", "2) two", "---", "===", "- - -", "-", "_a_ __b__", "a_b_ _c", "~~gone~~",
     "$x^2$", "$5$", "&amp; &#35; &x", "a\\", "![x][y]", "*a*b"],
)  # fmt: skip
def test_markdown_text_is_inert(text: str) -> None:
    """A parser finds one paragraph with the text in it, wherever the report puts it."""
    escaped = inert(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)[<>\[\]`*|]", escaped)
    assert not re.search(r"(?<!\\)://", escaped)
    assert not re.search(r"(?<!\\)\$[^$]*(?<![\\])\$(?!\d)", escaped)  # a formula
    shown = " ".join(answers.visible(text).split())
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for before, blocks in (("", {"paragraph"}), ("- ", {"bullet_list", "list_item", "paragraph"}), ("# ", {"heading"})):
        tokens = parser.parse(before + escaped)
        assert {token.type.removesuffix("_open") for token in tokens if token.nesting == 1} == (
            blocks if shown else set()
        )
        parts = [part for token in tokens for part in token.children or ()]
        assert {part.type for part in parts} <= {"text"}
        assert "".join(part.content for part in parts) == shown


def test_markdown_leaves_ordinary_prose_alone() -> None:
    said = "We ship in 3-5 days (free over 50 dollars). It's 7.5 % off!"
    assert inert(said) == said
    for plain in ("+71", "0.00", "555-0177", "2026-11-22", "−6", "$6.99", "data_sha256", "R&D", "3-5 days", "=1+1"):
        assert inert(plain) == plain
    assert inert("1. one") == "1\\. one" and inert("- one") == "\\- one" and inert("www.x.org") == "www\\.x.org"


def test_markdown_answers_without_values_end_with_their_text(results: Results) -> None:
    question = answers.shown(results.questions)[0]
    fee = Fact(kind="money", value="3.25", text="$3.25")
    bare, extra = (
        ArmAnswer(label=label, text="Ask us.", outcomes=(), extra=found, finish="stop")
        for label, found in (("base", ()), ("prompt", (fee,)))
    )
    changed = question.model_copy(update={"facts": (), "answers": (bare, extra)})
    text = report.render(results.model_copy(update={"questions": (changed,)}), "md", "en")
    assert "- **base**: Ask us.\n\n" in text
    assert "- **prompt**: Ask us.  \n  \\+ not asked for $3.25\n" in text  # unescaped, the sign would begin a list


def test_markdown_notes_are_inert(results: Results) -> None:
    note = Reason(key="data.note.trained-only", values={"examples": 2, "ids": "<b>, [a](http://x)"})
    text = report.render(results.model_copy(update={"notes": (note,)}), "md", "en")
    assert r"\<b\>, \[a\](http\://x)" in text and "[a](http" not in text


# --- sentences -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_case_of_the_rule_makes_whole_sentences(language: str) -> None:
    t = Texts(language)
    end = {"en": (".", ")"), "ja": ("。", "）")}[language]
    for _, evidence, *_ in test_verdict.CASES:
        verdict = decide(evidence._replace(stand_in=True, generated=10))
        spoken = [sentences.headline(verdict, t), sentences.reservation(verdict, t)]
        spoken += [*sentences.reasons(verdict, t), *sentences.changes(verdict, t)]
        for sentence in spoken:
            assert "{" not in sentence and "None" not in sentence and not re.search(r"\d\.\d\d", sentence), sentence
            assert sentence.endswith(end), sentence


@pytest.mark.parametrize(("number", "said"), [(7, "7"), (42, "42"), (137, "140"), (1234, "1,300")])
def test_an_estimated_number_is_said_with_two_figures_and_never_too_low(
    results: Results, number: int, said: str
) -> None:
    verdict = results.verdict.model_copy(update={"choice": "cannot-tell", "add_examples": number})
    assert f"about {said} examples" in sentences.headline(verdict, Texts("en"))


def test_the_command_repeats_the_settings(results: Results) -> None:
    """Its flags exist, and reading them gives the settings of the run."""
    command = pytest.importorskip("kurabe.cli.run").command
    changed = RunSettings(
        recipes=("fair", "origin"), arms=("base", "prompt", "lora"), seed=3, retention=7, skip_bad=True, device="cpu",
        prompt_file="my prompt.txt", questions_per_day=90, max_new_tokens=50, threads=2, encoding="cp932",
    )  # fmt: skip
    words = re.findall(
        r"'[^']*'|\S+", sentences.command(results.model_copy(update={"settings": changed.model_dump(mode="json")}))
    )
    assert words[:3] == ["kurabe", "run", "support-en.jsonl"]
    values: dict[str, object] = {}
    known = set(inspect.signature(command).parameters)
    for here, following in zip(words[3:], [*words[4:], "--"], strict=True):
        if here.startswith("--"):
            name = here[2:].replace("-", "_")
            assert name in known, here
            values[name] = True if following.startswith("--") else following.strip("'")
    assert parse(values, "test") == changed


def test_the_command_names_a_file_for_prices_and_says_what_it_holds(results: Results, tmp_path: Path) -> None:
    priced = RunSettings(seed=3, prices=Prices(input_per_million=0.15, currency="€ #1\n"))
    command = sentences.command(results.model_copy(update={"settings": priced.model_dump(mode="json")}))
    words, _, held = command.partition("  # prices.yaml: ")
    assert words == "kurabe run support-en.jsonl --seed 3 --settings prices.yaml" and "\n" not in command
    path = tmp_path / "prices.yaml"
    path.write_text(held, encoding="utf-8")
    assert load_settings(path, environment={}, flags={"seed": 3}) == priced


def shipped(results: Results, *, failed: bool) -> Results:
    """The results with the proof of two files: one that holds, and one that may not."""
    adapter = test_hops.hop("adapter", 0, 0.0)
    files = [test_hops.hop("Q4_K_M", 4_000_000, -0.2 if failed else 0.0), test_hops.hop("Q8_0", 8_000_000, 0.0)]
    return results.model_copy(update={"parity": Parity(run="r", arm="lora", margin=0.05, hops=(adapter, *files))})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("failed", [True, False])
def test_a_report_shows_whether_the_shipped_files_held(results: Results, language: str, failed: bool) -> None:
    t = Texts(language)
    proven = shipped(results, failed=failed)
    assert proven.parity is not None
    for form in ("html", "md"):
        text = report.render(proven, form, language)
        said = re.sub(r"[\s\\]", "", Page(text).said if form == "html" else text)
        assert "Q4_K_M" in said and "Q8_0" in said
        assert (re.sub(r"\s", "", t("report.parity.no")) in said) == failed
        for sentence in sentences.parity(proven.parity, t):
            assert re.sub(r"\s", "", sentence) in said
        assert t("report.parity.caption") not in report.render(results, form, language)


def test_a_run_finds_the_proof_of_its_files_and_says_when_it_is_damaged(tmp_path: Path) -> None:
    folder = synthetic.write_run(tmp_path)
    assert analysis.load_run(folder.path).parity is None
    proof = shipped(analysis.load_run(folder.path), failed=False).parity
    assert proof is not None
    (folder.path / "export").mkdir()
    (folder.path / "export/parity.json").write_text(proof.model_dump_json(), encoding="utf-8")
    assert analysis.load_run(folder.path).parity == proof
    (folder.path / "export/parity.json").write_text('{"version": 1}', encoding="utf-8")
    with pytest.raises(DataError, match="proof") as raised:
        analysis.load_run(folder.path)
    assert "kurabe ship" in str(raised.value.fix)
