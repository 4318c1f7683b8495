"""Stored trials of several studies -> src/kurabe/data/asked.json: the figures that the show cites when the room asks.

Knows no sentence and no page: the figures are those that the studies' own pages place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kurabe.schema import Estimate, StudyFigure
from studies import command, results, simulation
from studies.aa.page import STUDY as AA
from studies.estimates import Share
from studies.known_unknown.page import PAGE as KNOWN_UNKNOWN
from studies.pages import Page
from studies.reversal.page import PAGE as REVERSAL
from studies.sayings.page import PAGE as SAYINGS
from studies.wordings.page import PAGE as WORDINGS

HERE = Path(__file__).resolve().parent
FILE = HERE.parent / "src" / "kurabe" / "data" / "asked.json"
COMMAND = "python -m studies.asked"


def figures() -> dict[str, StudyFigure]:
    """Name -> what that study found. Raises StoppedError while trials are missing."""
    said, worded, known, back = (_placed(page) for page in (SAYINGS, WORDINGS, KNOWN_UNKNOWN, REVERSAL))
    few, many = said["fair"][0], said["fair"][2]
    first, last = said["growing"][0], said["growing"][-1]
    one, most = worded["rows"][0], worded["rows"][-1]
    sound, mixed, alone = known["ends"][0], known["ends"][-2], known["ends"][-1]
    checked = AA.values(simulation.complete(AA, simulation.read(AA, HERE / "aa" / command.FILE)))
    return {
        "samples": _of(SAYINGS, {"few": few["held_out"], "many": many["held_out"],
                                 "three": said["three"][0]["held_out"]},
                       few=few["samples"], many=many["samples"], exposures=said["exposures"]),
        "facts": _of(SAYINGS, {"few": first["held_out"], "many": last["held_out"]},
                     few=first["cell"].facts, many=last["cell"].facts),
        "wordings": _of(WORDINGS, {"one": one["held_out"], "most": most["held_out"]}, most=most["wordings"]),
        "forgotten": _of(KNOWN_UNKNOWN, {"sound": sound["retention"], "mixed": mixed["retention"],
                                         "alone": alone["retention"]},
                         known=known["few"], rows=known["rows"]),
        "reversal": _of(REVERSAL, {"forward": back["rows"]["forward"]["forward"],
                                   "reverse": back["rows"]["forward"]["reverse"]}),
        "equal": StudyFigure(shares={"equal": Estimate(value=round(checked["grid"]["false"], 4))},
                             counts={"draws": checked["grid"]["draws"]}, model="", source="docs/aa.md"),
    }  # fmt: skip


def _placed(page: Page) -> Any:
    return page.figures(_stored(page))


def _stored(page: Page) -> results.Stored:
    return results.read(page.folder / command.FILE, page.kind)


def _of(page: Page, shares: dict[str, Share], **counts: int) -> StudyFigure:
    return StudyFigure(
        shares={name: _rounded(share.estimate) for name, share in shares.items()}, counts=counts,
        model=_stored(page).sessions[-1].model.name, source=f"docs/studies/{page.names['en']}",
    )  # fmt: skip


def _rounded(found: Estimate) -> Estimate:
    numbers = {name: None if (value := getattr(found, name)) is None else round(value, 4)
               for name in ("value", "low", "high")}  # fmt: skip
    return found.model_copy(update=numbers)


def text() -> str:
    """The whole file. The same results give the same bytes."""
    found = {name: figure.model_dump(mode="json") for name, figure in figures().items()}
    return json.dumps({"made_by": COMMAND, "figures": found}, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(FILE)
