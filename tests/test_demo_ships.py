"""The demo's tuned model and its prompt arm, shipped by the program and asked by the program: what a user reads in the
parity table is what the files say.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kurabe.runs import RunFolder
from kurabe.schema import Answer, Hop, Parity

pytestmark = pytest.mark.slow
RUN = "demo"
FAILED = 7  # a file lost more than the margin: four bits are hard on so small a model
ASKED = 6  # questions put to each file once more, by hand so to speak


def kurabe(place: Path, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
    """One command in a process of its own, which may end with these codes; what it said as JSON."""
    command = [sys.executable, "-m", "kurabe", *words, "--json"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode in codes, done.stderr
    said = json.loads(done.stdout)
    if codes != (0,):
        lost = not all(hop.held for hop in Parity.model_validate(said["parity"]).hops)
        assert done.returncode == (FAILED if lost else 0)
    return said


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo was run."""
    pytest.importorskip("xllamacpp", reason="kurabe[gguf] is not installed: pip install 'kurabe[gguf]'")
    place = tmp_path_factory.mktemp("shop")
    kurabe(place, "demo", "--name", RUN)
    return place


@pytest.mark.parametrize("arm", ["lora", "prompt"])
def test_what_the_table_says_is_what_the_files_say(arm: str, place: Path) -> None:
    out = place / f"{arm}-files"
    said = kurabe(place, "ship", RUN, "--arm", arm, "--formats", "F32,Q4_K_M", "--out", str(out), codes=(0, FAILED))
    hops = {hop.hop: hop for hop in Parity.model_validate(said["parity"]).hops}
    whole, small = hops["F32"], hops["Q4_K_M"]
    assert whole.held and whole.same == whole.prompts == whole.answers > 40  # each token of each answer
    assert small.prompts == small.answers and small.size < 0.4 * whole.size
    for hop in (whole, small):
        spoken_to(place, out, hop, arm)


def spoken_to(place: Path, out: Path, hop: Hop, arm: str) -> None:
    """The first questions, each put to the file's Modelfile alone, bring the answers that the table counted."""
    texts = {question.id: question.text for question in RunFolder.open(place / "runs" / RUN).questions()}
    rows = (out / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    stored = [answer for answer in map(Answer.model_validate_json, rows) if answer.key.hop == hop.hop][:ASKED]
    assert len(stored) == ASKED and {answer.key.arm for answer in stored} == {arm}
    (modelfile,) = out.glob(f"*{hop.hop}.Modelfile")
    for answer in stored:
        (spoken,) = kurabe(place, "chat", "-f", str(modelfile), texts[answer.key.question])
        assert spoken["text"] == answer.text
