"""The model card says what the run measured, names base and licence, and is never written over somebody's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_parity import folder, shipped
from test_proof import lora

from kurabe import analysis, hops
from kurabe.cli.card import CARD, CHART, license_of, write_card
from kurabe.cli.screen import Screen
from kurabe.export.parity import Replay
from kurabe.export.winner import Winner
from kurabe.report import tables
from kurabe.report.card import Shipment, card
from kurabe.runs import RunFolder
from kurabe.schema import Parity
from kurabe.texts import Texts

__all__ = ["folder", "lora"]  # the fixtures


def proof(folder: RunFolder) -> Parity:
    replay = Replay(folder, "lora", folder.info().trials[0].trial)
    first = replay.first()
    lost = first.model_copy(update={"hop": "Q4_K_M", "file": "x-Q4_K_M.gguf", "size": 10, "held": False})
    return Parity(run=replay.run, arm="lora", margin=hops.MARGIN, hops=(first, lost))


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_figure_is_the_runs_own(folder: RunFolder, language: str) -> None:
    results, t, parity = analysis.analyse(folder), Texts(language), proof(folder)
    files = (shipped("F16"), shipped("Q4_K_M").model_copy(update={"adapter_sha256": "a" * 64}))
    said = card(results, Shipment("shop", "lora", files, parity, "Be *kind*.", "apache-2.0", "parity.svg"), t)
    lines = said.splitlines()
    assert lines[0] == "---" and 'license: "apache-2.0"' in lines and f'base_model: "{results.model.name}"' in lines
    for table in (tables.arms(results, t), tables.parity(parity, t)):
        for row in table.rows:
            assert any(all(cell in line for cell in row) for line in lines), row
    assert results.model.sha256 in said and "a" * 64 in said and "![" in said
    assert "    Be *kind*." in lines  # indented: text and no Markdown
    assert t("report.card.license_unknown") in card(results, Shipment("shop", "base", files, None, "", ""), t)
    runner = card(results, Shipment("shop", "rag", files, None, "", "", runner="ask.py"), t)
    assert "python ask.py" in runner and "Modelfile" not in runner.partition("## ")[2].partition("# ")[0]


def test_a_card_of_somebody_stays(folder: RunFolder, lora: Winner, tmp_path: Path) -> None:
    screen = Screen(Texts("en"), quiet=True)

    def write() -> Path | None:
        return write_card(screen, folder.path, lora, [shipped("Q4_K_M")], proof(folder), tmp_path)

    assert write() == tmp_path / CARD and (tmp_path / CHART).read_text(encoding="utf-8").startswith("<svg")
    first = (tmp_path / CARD).read_bytes()
    assert write() == tmp_path / CARD and (tmp_path / CARD).read_bytes() == first
    (tmp_path / CARD).write_bytes(first.replace(b"# x", b"# Mine"))
    assert write() is None and b"# Mine" in (tmp_path / CARD).read_bytes()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("---\nlicense: MIT\n---\n# x", "mit"), ('---\nlicense: "llama3.2"\n---', "llama3.2"),
        ("# x\nLicence: Apache-2.0; the corpus", "apache-2.0"), ("# x", ""), ("---\nbase: x\n---\n", ""),
    ],
)  # fmt: skip
def test_the_licence_is_the_bases(text: str, found: str, tmp_path: Path) -> None:
    assert license_of(tmp_path) == ""
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert license_of(tmp_path) == found
