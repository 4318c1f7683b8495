"""The answering process: a question per line of stdin, as JSON; a line of JSON with all arms' answers on stdout.

Run as `python -m kurabe.workshop.answering RUN`. Knows no page. The model is loaded once, with the first question.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kurabe.errors import UserError


def answers(run: Path, question: str, loaded: list[Any]) -> dict[str, Any]:
    """All arms' answers to one question, or what went wrong in words. `loaded` keeps the model between questions."""
    from kurabe import backends, experiment
    from kurabe.runs import RunFolder
    from kurabe.settings import RunSettings

    try:
        if not loaded:
            loaded.append(backends.load(RunSettings.model_validate(RunFolder.open(run).info().settings)))
        found = experiment.ask(run, question, backend=loaded[0])
    except UserError as error:
        return {"problem": " ".join(part for _, part in error.lines())}
    rows = [{"arm": a.key.arm, "trial": a.key.trial, "text": a.text, "finish": a.finish} for a in found]
    return {"answers": rows}


def serve(run: Path) -> None:
    """Answer until stdin ends: with the talk, or because its process died."""
    loaded: list[Any] = []
    for line in sys.stdin:
        sys.stdout.buffer.write(json.dumps(answers(run, json.loads(line), loaded)).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
