"""The notebook: every cell runs, in order, with library calls alone; its charts are drawn by the notebook itself."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kurabe import backends, dataset, load_run
from kurabe.fake import FakeBackend, rehearsal
from kurabe.settings import RunSettings

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("kurabe.ipynb", "kurabe.ja.ipynb")
SHORT = "exposures=10, retention=10, threads=1"


def cells(name: str, kind: str) -> list[str]:
    found = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def carried_out(code: str, names: dict[str, Any]) -> Any:
    """What a notebook does with a cell: run it; the value of its last line, where that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def scripted(settings: RunSettings) -> FakeBackend:
    examples = dataset.read_examples(EXAMPLES / "support-en.jsonl").examples
    return FakeBackend(rehearsal(examples, {"prompt": 1.0, "lora": 0.7, "lora+prompt": 1.0, "ceiling": 1.0}))


def test_every_cell_runs_with_a_scripted_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KURABE_LANG", "en")
    monkeypatch.setattr(backends, "load", scripted)
    shipped = tmp_path / "a.gguf"
    shipped.write_bytes(b"GGUF")
    monkeypatch.setattr("kurabe.export.shipping.ship", lambda *args, **kwargs: (shipped,))  # it has no weights to ship
    shutil.copy(EXAMPLES / "support-en.jsonl", tmp_path)
    names: dict[str, Any] = {}
    short = [code.replace('name="notebook",', f'name="notebook", {SHORT},') for code in cells(NAMES[0], "code")]
    shown = [carried_out(code, names) for code in short]
    charts = [value.to_dict() for value in shown if value is not None]
    assert len(charts) == 2 and all(chart["layer"] for chart in charts), "this model had nothing to forget"
    found, said = load_run("runs/notebook"), capsys.readouterr().out
    assert found.verdict == names["results"].verdict and (tmp_path / "notebook-report.html").is_file()
    assert "lora" in said and "✗" in said


def test_both_languages_have_the_same_cells_and_no_output() -> None:
    english, japanese = (cells(name, "code") for name in NAMES)
    assert english == japanese and len(english) > 10
    assert [text.count("\n## ") for text in cells(NAMES[0], "markdown")] == [
        text.count("\n## ") for text in cells(NAMES[1], "markdown")
    ]
    for name in NAMES:
        stored = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))["cells"]
        assert all(not cell.get("outputs") for cell in stored), "run it, but store it clean"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_runs_in_jupyter_on_the_embedded_model(name: str, tmp_path: Path) -> None:
    """In a kernel of its own, as in CI or on Colab; the recipe is cut short for time."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    shutil.copy(EXAMPLES / "support-en.jsonl", tmp_path)
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('name="notebook",', f'name="notebook", {SHORT},')
    nbclient.NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    drawn = [o for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "execute_result"]
    assert len(drawn) == 3 and all("image/svg+xml" in output.data for output in drawn)
    assert not any("<script" in str(output) for output in drawn), "a chart's library would come from elsewhere"
    assert len(list((tmp_path / "notebook-shipped").glob("*.gguf"))) == 2
