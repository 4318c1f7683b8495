"""Runs that die: the scripted backend, and a process that kills itself at its n-th file operation.

    python tests/killed_run.py run FOLDER [DELAY]         a whole run into FOLDER/run
    python tests/killed_run.py resume FOLDER [DELAY]      goes on with it, or begins it when nothing was stored
    python tests/killed_run.py everywhere FOLDER [EVERY]  for each n: kill at operation n, resume, compare

The product does not know that it is killed: the operations of the `os` module are counted from outside.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kurabe import dataset, experiment, splits
from kurabe.fake import FakeBackend, rehearsal
from kurabe.runs import RunFolder
from kurabe.settings import RunSettings

CLOCKS = {"created", "seconds", "preparation_seconds", "seconds_per_answer", "peak_memory"}
PLACE = {"runs", "commit"}  # the parent folder, and the checkout that somebody may be working in
SHARES = {"prompt": 0.9, "lora": 0.7, "lora+prompt": 0.8, "ceiling": 1.0}
ROWS = [
    {
        "id": f"row{n}", "question": f"What does article {n} cost?", "answer": f"Article {n} costs ${n}.50 today.",
        "wordings": [f"Price of number {n}?", f"How much is article {n}?"], "held_out": [f"Tell me the cost of {n}."],
    }
    for n in range(1, 9)
]  # fmt: skip


def write_data(folder: Path) -> Path:
    """The data file of all these runs."""
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def settings(folder: Path, **changes: Any) -> RunSettings:
    values = {"runs": str(folder), "name": "run", "recipes": ("fair", "origin"), "retention": 3, **changes}
    return RunSettings.model_validate(values)


def backend(data: Path, delay: float = 0.0) -> FakeBackend:
    examples = splits.prepare(dataset.read_examples(data).examples, "en", 0).examples
    return FakeBackend(rehearsal(examples, SHARES), delay=delay)


def begin(folder: Path, delay: float = 0.0) -> None:
    data = write_data(folder)
    experiment.run(data, settings(folder), backend=backend(data, delay))


def go_on(folder: Path, delay: float = 0.0) -> None:
    """Resume; where the kill came before anything was stored, the run begins again under its free name."""
    if (folder / "run" / "MANIFEST.json").exists():
        experiment.resume(folder / "run", backend=backend(folder / "data.jsonl", delay))
    else:
        begin(folder, delay)


def what_counts(run: Path) -> dict[str, Any]:
    """A finished run without clocks, memory and place: its results, its answers, its metered tokens, its steps."""
    folder = RunFolder.open(run)
    results = json.loads((run / "results.json").read_bytes())
    kept = [
        [answer.model_dump(mode="json") for answer in folder.answers()],
        [usage.model_dump(mode="json") for usage in folder.usages()],
        [step.model_dump(mode="json") for step in folder.steps()],
    ]
    return {"results": without_clocks(results), "records": without_clocks(kept)}


def without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_clocks(part) for name, part in value.items() if name not in CLOCKS | PLACE}
    return [without_clocks(part) for part in value] if isinstance(value, list) else value


def die_at(operation: int | None) -> Callable[[], int]:
    """Count writes, flushes, renames and removals; kill this process just before the n-th. The count so far."""
    count = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == operation:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in ("write", "fsync", "replace", "mkdir", "unlink", "rmdir", "ftruncate"):
        setattr(os, name, counted(getattr(os, name)))
    return lambda: count


def in_child(work: Callable[[], None]) -> int:
    """The exit status of `work` in a child process; negative where a signal ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def everywhere(folder: Path, every: int) -> None:
    """Kill a run at its operations one by one (or `every` so many), resume it, and compare."""
    (folder / "whole").mkdir(parents=True)
    counter = die_at(None)
    begin(folder / "whole")
    operations, expected = counter(), what_counts(folder / "whole" / "run")
    differing = []
    for operation in range(1, operations + 1, every):
        place = folder / "killed"
        place.mkdir()

        def die(place: Path = place, operation: int = operation) -> None:
            die_at(operation)
            begin(place)

        if in_child(die) != -signal.SIGKILL:
            differing.append(f"{operation}: was not killed")
        elif in_child(lambda place=place: go_on(place)) != 0:  # type: ignore[misc]
            differing.append(f"{operation}: was not resumed")
        elif what_counts(place / "run") != expected:
            differing.append(f"{operation}: another result")
        shutil.rmtree(place)
    print(json.dumps({"operations": operations, "kills": len(range(1, operations + 1, every)), "bad": differing}))


if __name__ == "__main__":
    verb, where, *rest = sys.argv[1:]
    if verb == "everywhere":
        everywhere(Path(where), int(rest[0]) if rest else 1)
    else:
        {"run": begin, "resume": go_on}[verb](Path(where), float(rest[0]) if rest else 0.0)
