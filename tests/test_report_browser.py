"""The report in a real browser: no sideways scroll, no request, both colour schemes, by keyboard, on paper.

Needs Debian's chromium and the package playwright; is skipped, with the reason, where one of them is absent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import synthetic
import test_report

from kurabe import analysis, report
from kurabe.schema import Results
from kurabe.texts import LANGUAGES, Texts

pytestmark = pytest.mark.browser
SIZES = {"phone": (390, 844), "small phone": (320, 640), "screen": (1280, 720), "projector": (1920, 1080)}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return analysis.analyse(synthetic.write_run(tmp_path_factory.mktemp("runs"), "ja"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, results: Results) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for language in LANGUAGES:
        (folder / f"{language}.html").write_text(report.render(results, "html", language), encoding="utf-8")
    return {language: folder / f"{language}.html" for language in LANGUAGES}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sideways_scroll_and_no_request(browser: Any, files: dict[str, Path], language: str, size: str) -> None:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(files[language].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getClientRects().length"
        " && !e.closest('thead') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName)"
    )
    assert beyond == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    shown = page.evaluate("[...document.querySelectorAll('figure svg')].filter(s => s.getClientRects().length).length")
    assert shown == 3
    page.close()


@pytest.mark.parametrize("size", ["phone", "projector"])
def test_text_of_the_charts_is_large_enough_to_read(browser: Any, files: dict[str, Path], size: str) -> None:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(files["ja"].as_uri())
    heights = page.evaluate(
        "[...document.querySelectorAll('figure svg')].filter(s => s.getClientRects().length).flatMap(s =>"
        " [...s.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize) * s.getScreenCTM().a))"
    )
    assert min(heights) >= (10 if size == "phone" else 15)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_readers_scheme(browser: Any, files: dict[str, Path], scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(files["en"].as_uri())
    paper, ink, label = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
        " getComputedStyle(document.querySelector('.wide svg text[font-weight]')).fill]"
    )
    light = [sum(int(part) for part in colour[4:-1].split(",")) > 380 for colour in (paper, ink, label)]
    assert light == ([True, False, False] if scheme == "light" else [False, True, True])
    page.close()


def test_the_other_arms_open_by_keyboard(browser: Any, files: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(files["en"].as_uri())
    page.locator("summary").first.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1
    assert page.locator("details[open] .answer").first.is_visible()
    page.close()


def test_hostile_text_neither_runs_nor_loads(browser: Any, results: Results, tmp_path: Path) -> None:
    questions = tuple(
        question.model_copy(
            update={
                "text": test_report.HOSTILE[n % len(test_report.HOSTILE)],
                "answers": tuple(
                    a.model_copy(update={"text": test_report.HOSTILE[n % len(test_report.HOSTILE)]})
                    for a in question.answers
                ),
            }
        )
        for n, question in enumerate(results.questions)
    )
    path = tmp_path / "hostile.html"
    path.write_text(report.render(results.model_copy(update={"questions": questions}), "html", "en"), encoding="utf-8")
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    page.goto(path.as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.locator("script, img, iframe").count() == 0
    assert page.title().startswith(page.locator("h1").inner_text())
    page.close()


def test_it_prints_on_a4_in_black_on_white_even_for_a_dark_reader(browser: Any, files: dict[str, Path]) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(files["ja"].as_uri())
    document = page.pdf(prefer_css_page_size=True, print_background=True)
    assert document.startswith(b"%PDF") and 3 <= document.count(b"/Type /Page\n") <= 12
    assert b"/MediaBox [0 0 594.95" in document or b"/MediaBox [0 0 595" in document
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"
    page.close()


def test_the_verdict_is_on_the_first_screen(browser: Any, files: dict[str, Path], results: Results) -> None:
    for size in ("phone", "screen", "projector"):
        width, height = SIZES[size]
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(files["en"].as_uri())
        for place in (".verdict h1", ".verdict .reservation", ".verdict .lead"):
            box = page.locator(place).first.bounding_box()
            assert box is not None and box["y"] + box["height"] <= height, (size, place)
        assert Texts("en")("verdict.stand_in") in page.locator("main").inner_text()
        page.close()
