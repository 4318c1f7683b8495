"""A finished run of both recipes for the show's tests: the synthetic answers, with results and an end."""

from __future__ import annotations

from pathlib import Path

import synthetic

from kurabe import analysis, runs
from kurabe.events import Recorder
from kurabe.runs import RunFolder, RunWriter


def write(parent: Path, language: str = "en") -> Path:
    """The run's folder."""
    folder = synthetic.write_run(parent, language).path
    results = analysis.analyse(RunFolder.open(folder))
    with RunWriter.resume(folder) as writer:
        writer.publish({runs.RESULTS: results})
        Recorder(writer)("end", seconds=1.0)
    return folder
