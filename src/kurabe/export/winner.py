"""What of a run is shipped: the arm's base, its adapter and its system message.

Reads a finished run; knows no file format.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

from kurabe import hub, intake
from kurabe.arms import INDEXED
from kurabe.errors import MissingError, SettingsError
from kurabe.prompts import NEUTRAL
from kurabe.runs import RunFolder
from kurabe.schema import SearchIndex
from kurabe.storage import go_on

# The verdict names an approach; the arm that was measured for it is shipped.
ARM = {"prompt": "prompt", "retrieve": "rag", "fine-tune": "lora", "both": "lora+prompt"}
SHIPPED = ("base", "prompt", "lora", "lora+prompt", *INDEXED)


class Winner(NamedTuple):
    """One arm of a run, ready to be exported."""

    arm: str
    base: Path
    adapter: Path | None
    system: str  # the message that the arm was asked under; "" for one that searches
    trial: int  # 0 without an adapter


def winner(run: Path, arm: str = "") -> Winner:
    """The arm that the verdict names, or `arm`. Raises SettingsError where the verdict names none."""
    folder = RunFolder.open(run)
    results = folder.results()
    if results is None:
        raise MissingError("The run is not finished.", where=str(run), fix=go_on(run))
    if not arm and results.verdict.choice not in ARM:
        choice = results.verdict.choice
        raise SettingsError(
            "The verdict names no arm to ship.", where=str(run),
            why=f"It is {choice!r}.",
            fix=f"Choose one yourself: kurabe ship {shlex.quote(str(run))} --arm lora",
        )  # fmt: skip
    arm = arm or ARM[results.verdict.choice]
    measured = {result.arm for result in results.arms}
    if arm not in SHIPPED or arm not in measured:
        raise SettingsError(
            f"The arm {arm!r} cannot be shipped from this run.",
            why="It was not measured." if arm in SHIPPED else "It is a control, and nobody's answer.",
            fix=f"Arms: {', '.join(name for name in SHIPPED if name in measured)}",
        )
    info = folder.info()
    base = Path(info.model.path)
    if hub.verify(base).sha256 != info.model.sha256:
        raise MissingError(
            "The model folder does not hold the weights that the run measured.", where=str(base),
            why="Its hash differs from the one in run.json.", fix="Bring the model back, or run again with this one.",
        )  # fmt: skip
    request = folder.request()
    system = request.prompt if arm.endswith("prompt") else NEUTRAL[request.language]
    system = "" if arm in INDEXED else system
    if not arm.startswith("lora"):
        return Winner(arm, base, None, system, 0)
    trial = info.trials[0].trial  # the first recipe is the one that the verdict weighs
    adapter = folder.adapter(trial)
    if adapter is None:
        raise MissingError(
            f"The adapter of trial {trial} is not there, or not as it was stored.", where=str(run / "adapters"),
            fix=go_on(run),
        )  # fmt: skip
    return Winner(arm, base, adapter, system, trial)


def search_index(run: Path, shipped: Winner, file: str) -> SearchIndex:
    """What an arm that searches was measured with, for a program that runs it beside the model's `file`."""
    folder = RunFolder.open(run)
    material = intake.material(folder.request(), folder.examples())
    return SearchIndex(
        arm=shipped.arm, file=file, language=material.language, nearest=material.nearest,
        max_new_tokens=folder.info().max_new_tokens, examples=material.examples, passages=material.passages,
    )  # fmt: skip
