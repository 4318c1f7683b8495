"""Writes docs/images from a finished run, in both languages: `python docs/make_images.py RUN`. Needs chromium.

Knows no result: the pictures show the report, the screen and the show as the program draws them from that run.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import uvicorn
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from kurabe.analysis import load_run
from kurabe.cli.demo import packaged
from kurabe.cli.screen import Screen
from kurabe.cli.summary import show_results
from kurabe.cli.workshop import bind
from kurabe.report import render
from kurabe.schema import Results
from kurabe.texts import LANGUAGES, Texts
from kurabe.workshop import script
from kurabe.workshop.server import application, new_token
from kurabe.workshop.session import Session
from kurabe.workshop.show import Show, Stage

IMAGES = Path(__file__).with_name("images")
COLUMNS = 100
THEME = TerminalTheme(
    (24, 27, 32), (222, 226, 232),
    [(60, 64, 72), (240, 98, 98), (104, 205, 124), (232, 190, 90), (100, 160, 240), (206, 140, 240), (92, 200, 214),
     (222, 226, 232)],
)  # fmt: skip
# The Japanese font draws lines two cells wide; they come from another one, made as narrow as its letters.
PAGE = """<!doctype html><meta charset="utf-8"><style>
@font-face {{ font-family: Lines; src: local("DejaVu Sans Mono"); unicode-range: U+2500-259F; size-adjust: 83.05% }}
body {{ background: #181b20; margin: 0; padding: 24px 28px; display: inline-block }}
pre {{ margin: 0; color: #dee2e8; font: 16px/1.4 Lines, "Noto Sans Mono CJK JP", monospace }}
{stylesheet}
</style><pre>{code}</pre>"""


def terminal(results: Results, language: str) -> str:
    """What the screen shows of a run's results, as a page. The first two questions stand for all."""
    stream = io.StringIO()
    screen = Screen(Texts(language))
    screen.out = Console(file=stream, width=COLUMNS, record=True, force_terminal=True, color_system="truecolor",
                         highlight=False, markup=False, emoji=False)  # fmt: skip
    chosen = list(dict.fromkeys(q.example for q in results.questions if q.probe == "held_out"))[:2]
    shown = results.model_copy(update={"questions": tuple(q for q in results.questions if q.example in chosen)})
    show_results(screen, shown, Path("runs") / results.run, Path("runs") / results.run / "report.html")
    return screen.out.export_html(theme=THEME, code_format=PAGE)


def main(run: str) -> None:
    """Three pictures per language."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        results = load_run(run)
        for language in LANGUAGES:
            pages = {"report": render(results, "html", language), "terminal": terminal(results, language)}
            for name, text in pages.items():
                path = Path(folder) / f"{name}-{language}.html"
                path.write_text(text, encoding="utf-8")
                shot(browser, path, IMAGES / f"{name}-{language}.png", whole=name == "terminal")
            show(browser, Path(run), language)
        browser.close()


def show(browser: Any, run: Path, language: str) -> None:
    """The room's page of the show: the comparison of one question, from this run as a recording."""
    served = Show(
        Session({language: script.load(language)}, language), Stage(packaged("en"), "tiny", "", run.parent, "none", run)
    )
    for action in ("tempo", "tempo"):
        served.act(action)
    served.act("goto", "compare")
    listener, token = bind(None), new_token()
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(application(served, token, port), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    view = browser.new_page(viewport={"width": 1280, "height": 720})
    view.goto(f"http://127.0.0.1:{port}/audience?token={token}")
    view.locator(".answers").wait_for()
    image = IMAGES / f"show-{language}.png"
    view.screenshot(path=str(image))
    view.close()
    server.should_exit = True
    thread.join()
    listener.close()
    sys.stdout.write(f"{image} {image.stat().st_size:,} bytes\n")


def shot(browser: Any, page: Path, image: Path, *, whole: bool) -> None:
    """A picture of a page: all of it, or what fits a screen of 1280 x 1000."""
    view = browser.new_page(viewport={"width": 1280, "height": 1000}, device_scale_factor=1)
    view.goto(page.as_uri())
    (view.locator("body") if whole else view).screenshot(path=str(image))
    view.close()
    sys.stdout.write(f"{image} {image.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
