"""An arm that searches is shipped with what it searches: it shows the model what the run's own arm showed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_parity import folder

from kurabe import arms, intake
from kurabe.errors import UserError
from kurabe.export import searcher
from kurabe.export import winner as winners
from kurabe.export.searcher import INDEX, Searcher, searches, store
from kurabe.export.winner import Winner, search_index, winner
from kurabe.runs import RunFolder
from kurabe.schema import Answer

__all__ = ["folder"]  # the fixture


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The requests that reached the model."""
    heard: list[Any] = []

    def answer(requests: Any) -> Any:
        heard.extend(requests)
        return (Answer(key=request.key, text=f"{len(heard)}.", finish="stop") for request in requests)

    def start(path: Path) -> Any:
        assert path.name == "shop.gguf"
        return SimpleNamespace(info=SimpleNamespace(name="m"), answer=answer, close=lambda: None)

    monkeypatch.setattr(searcher, "GGUFBackend", start)
    return heard


@pytest.mark.parametrize("arm", arms.INDEXED)
def test_it_shows_what_the_run_showed(
    arm: str, folder: RunFolder, tmp_path: Path, spoken: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert searches(arm) and not searches("lora+prompt")
    monkeypatch.setattr(winners.hub, "verify", lambda path: folder.info().model)  # a scripted model has no weights
    monkeypatch.setattr(RunFolder, "adapter", lambda self, trial: tmp_path)
    shipped = winner(folder.path, arm)
    assert shipped.system == "" and (shipped.adapter is not None) is arm.startswith("lora")
    store(search_index(folder.path, shipped, "shop.gguf"), "a run", tmp_path)
    build = arms.ARMS[arm].prepare(intake.material(folder.request(), folder.examples()))
    with Searcher(tmp_path / INDEX) as found:
        for question in folder.questions():
            if question.probe == "held_out":
                assert found.messages(question.text) == build(question)
        assert found.ask("How much is shipping?").text == "1."
    assert spoken[0].max_new_tokens == folder.info().max_new_tokens and spoken[0].temperature == 0


def test_the_program_answers_each_question(
    folder: RunFolder, tmp_path: Path, spoken: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    name = 'x"""\nimport os'
    program = store(search_index(folder.path, Winner("rag", tmp_path, None, "", 0), "shop.gguf"), name, tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program), "Price?", "Hours?"])
    runpy.run_path(str(program), run_name="__main__")
    assert capsys.readouterr().out == "1.\n2.\n"
    assert [request.messages[-1].content for request in spoken] == ["Price?", "Hours?"]
    assert '"""\nimport os' not in program.read_text(encoding="utf-8").partition("import sys")[0]


def test_an_index_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no index"):
        Searcher(tmp_path / INDEX)
    (tmp_path / INDEX).write_text(json.dumps({"arm": 3}), encoding="utf-8")
    with pytest.raises(UserError, match="cannot be read"):
        Searcher(tmp_path / INDEX)
