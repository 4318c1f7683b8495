"""Runs that die: the scripted backend, killed at its n-th file operation or at any moment.

    python tests/killed_run.py everywhere FOLDER [EVERY]     for each n: kill at operation n, resume, compare
    python tests/killed_run.py randomly FOLDER KILLS SEED    kill runs at random moments, again and again; compare
    python tests/killed_run.py real FOLDER MODEL KIND N      a real model that dies at its n-th event of a kind

The product does not know that it is killed: a signal comes from outside, or the operations of the `os` module are
counted from outside. Every run is a forked process, because importing takes longer than running.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kurabe import checkpoints, dataset, experiment, splits
from kurabe.errors import UserError
from kurabe.fake import FakeBackend, rehearsal
from kurabe.runs import RunFolder
from kurabe.schema import Event
from kurabe.settings import RunSettings

CLOCKS = {"created", "seconds", "preparation_seconds", "seconds_per_answer", "peak_memory", "libraries"}
PLACE = {"runs", "data", "commit"}  # the parent folder, the path of the file, the checkout that is worked in
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


def checkpoint_every(steps: int) -> None:
    """Checkpoints by the count of steps, so that no clock decides which kill goes on from one."""
    asked = itertools.count(1)
    checkpoints.Checkpoints.due = lambda self: next(asked) % steps == 0  # type: ignore[method-assign]


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
    assert not (run / "states").exists(), "every training has ended"
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


def start(work: Callable[[], None]) -> int:
    """`work` in a child process; its pid."""
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
    return child


def end(child: int) -> int:
    """Its exit status; negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def randomly(folder: Path, kills: int, seed: int) -> None:
    """Kill runs after random times, resuming them in between, until there were so many kills; compare every end."""
    draw, killed, ended, reached = random.Random(seed), 0, 0, Counter[str]()
    (folder / "whole").mkdir(parents=True)
    begin(folder / "whole")
    expected, same = what_counts(folder / "whole" / "run"), True
    place = folder / "killed"
    while killed < kills or place.exists():
        place.mkdir(exist_ok=True)
        hunted = killed < kills
        delay = 0.003 if hunted else 0.0
        child = start(partial(go_on, place, delay))
        if hunted:
            time.sleep(draw.uniform(0, 0.8))
            os.kill(child, signal.SIGKILL)
        if end(child) == -signal.SIGKILL:
            killed += 1
            reached[stage(place / "run")] += 1
        else:
            ended += 1
            same = same and what_counts(place / "run") == expected
            shutil.rmtree(place)
    print(json.dumps({"killed": killed, "ended": ended, "reached": reached, "same": same}))


def stage(run: Path) -> str:
    """The stage that the run had reached."""
    try:
        events = RunFolder.open(run).events()
    except UserError:
        return "nothing"
    return next((event.values["name"] for event in reversed(events) if event.kind == "stage"), "request")


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

        if end(start(die)) != -signal.SIGKILL:
            differing.append(f"{operation}: was not killed")
        elif end(start(lambda place=place: go_on(place))) != 0:  # type: ignore[misc]
            differing.append(f"{operation}: was not resumed")
        elif what_counts(place / "run") != expected:
            differing.append(f"{operation}: another result")
        shutil.rmtree(place)
    print(json.dumps({"operations": operations, "kills": len(range(1, operations + 1, every)), "bad": differing}))


def real(folder: Path, model: str, kind: str, last: int) -> None:
    """A run with a model folder, or its resumption, that kills itself when it tells its n-th event of this kind."""
    seen = 0

    def emit(event: Event) -> None:
        nonlocal seen
        seen += event.kind == kind
        if event.kind == kind and seen == last:
            os.kill(os.getpid(), signal.SIGKILL)

    if (folder / "run" / "MANIFEST.json").exists():
        experiment.resume(folder / "run", emit=emit)
    else:
        wanted = settings(folder, model=model, recipes=("origin",), retention=2, threads=1, max_new_tokens=12)
        experiment.run(write_data(folder), wanted, emit=emit)


if __name__ == "__main__":
    verb, where, *numbers = sys.argv[1:]
    checkpoint_every(2 if verb == "real" else 7)
    if verb == "everywhere":
        everywhere(Path(where), *map(int, numbers or ["1"]))
    elif verb == "real":
        real(Path(where), numbers[0], numbers[1], int(numbers[2]))
    else:
        randomly(Path(where), *map(int, numbers))
