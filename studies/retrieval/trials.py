"""The trials of the study: whole runs of kurabe on invented facts, every arm on the same questions.

Knows no page. A trial is one run, so that what is compared is what a user compares; its folder is thrown away, what
became of the expected values stays, by arm.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from kurabe import backends, experiment, provenance, scoring
from kurabe.model import Backend
from kurabe.runs import RunFolder
from kurabe.schema import Answer, Example, Question, Record, Results
from kurabe.settings import RunSettings
from kurabe.texts import seconds as said_seconds
from studies import facts
from studies.bench import LAST_STEPS, Say, end, told
from studies.results import Counts, Probes, Run, Session, State, Trial, Writer

COMMAND = "python -m studies.retrieval"
ARMS = ("base", "lora", "rag", "prompt", "lora+rag", "lora+prompt", "ceiling")
FACTS = 16  # per set: they fit into the stand-in's window several times over
HELD_OUT = 3
GIVEN = {2: 2, 10: 12}  # trained wordings -> wordings given: of four and more, kurabe keeps two out of training
SETS = (0, 1, 2)
SEEDS = (0, 1)


class Cell(Record):
    """What sets a trial apart."""

    recipe: Literal["fair", "fair+retention"]
    wordings: int
    exposures: int  # of each fact
    facts: int  # the number of the set, another shop's


KIND = Trial[Cell]
# Few looks at few wordings, as what was published had; more looks; more wordings; a mix that keeps the model's reading.
WAYS: tuple[Mapping[str, Any], ...] = (
    {"recipe": "fair", "wordings": 2, "exposures": 10},
    {"recipe": "fair", "wordings": 2, "exposures": 60},
    {"recipe": "fair", "wordings": 10, "exposures": 60},
    {"recipe": "fair+retention", "wordings": 10, "exposures": 60},
)
RUNS = tuple(Run(Cell(**way, facts=number), seed) for way in WAYS for number in SETS for seed in SEEDS)


def invented(number: int, count: int = FACTS) -> tuple[Example, ...]:
    """One set of facts, with all their wordings."""
    return facts.invented(count, trained=max(GIVEN.values()), held_out=HELD_OUT, seed=number)


def run(path: Path, settings: RunSettings, say: Say, count: int = FACTS) -> None:
    """The whole study, or what is left of it, into the results file."""
    backend = backends.load(settings)
    digests = [facts.digest(invented(number, count)) for number in SETS]
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    with Writer(path, KIND, COMMAND, backend.info, digest) as writer:
        left = writer.left(RUNS, say)
        if not left:
            return
        writer.append(Session(
            began=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            model=backend.info.model_copy(update={"path": ""}), provenance=provenance.describe(digest),
            data="invented facts", max_new_tokens=0, predicted_seconds=0.0, references={},
        ))  # fmt: skip
        began = time.monotonic()
        for done, one in enumerate(left, start=1):
            trial = measure(one, settings, backend, count)
            writer.append(trial)
            lasted = time.monotonic() - began
            say(f"{done:>3}/{len(left)}  {said_seconds(lasted):>12}  {told(trial)}; "
                f"about {said_seconds(lasted / done * (len(left) - done))} left")  # fmt: skip
        end(writer, len(left), COMMAND, say)


def measure(one: Run, settings: RunSettings, backend: Backend, count: int = FACTS) -> Trial[Cell]:
    """One run of kurabe, counted."""
    cell = one.cell
    assert isinstance(cell, Cell)
    with tempfile.TemporaryDirectory() as runs:
        own = settings.model_copy(
            update={
                "arms": ARMS, "recipes": (cell.recipe,), "exposures": cell.exposures, "seed": one.seed,
                "retention": 0, "runs": runs,
            }
        )  # fmt: skip
        rows = facts.with_wordings(invented(cell.facts, count), GIVEN[cell.wordings], one.seed)
        found = experiment.run(rows, own, backend=backend)
        folder = RunFolder.open(Path(runs) / found.run)
        return _trial(one, cell, found, tally(folder.questions(), folder.answers(), cell.facts))


def tally(questions: Iterable[Question], answers: Iterable[Answer], number: int) -> Probes:
    """Right and wrong values by arm and example, on held-out wordings; an example is named by its set, too."""
    asked, found = {question.id: question for question in questions}, dict[str, dict[str, Counts]]()
    for answer in answers:
        if answer.key.probe != "held_out":
            continue
        question = asked[answer.key.question]
        statuses = [outcome.status for outcome in scoring.score(answer, question).outcomes]
        own, name = found.setdefault(answer.key.arm, {}), f"{number}/{question.example}"
        before = own.get(name, Counts(right=0, wrong=0, items=0))
        own[name] = Counts(
            right=before.right + statuses.count("right"), wrong=before.wrong + statuses.count("wrong"),
            items=before.items + len(statuses),
        )  # fmt: skip
    return {arm: found[arm] for arm in ARMS if arm in found}


def _trial(one: Run, cell: Cell, found: Results, answers: Probes) -> Trial[Cell]:
    info = found.trials[0]
    losses = [point.value for point in found.curves if point.measure == "loss" and point.trial == info.trial]
    last = [loss for loss in losses[-LAST_STEPS:] if loss is not None]
    return KIND(
        cell=cell, seed=one.seed, samples=info.samples, steps=info.steps, rows=round(info.samples * info.epochs),
        rate=info.rate, trainable=info.trainable, first_loss=losses[0],
        last_loss=sum(last) / len(last) if last else None, not_finite=losses.count(None),
        train_seconds=found.seconds["train"], answer_seconds=found.seconds["base"] + found.seconds["answer"],
        states=(State(steps=info.steps, epochs=info.epochs, answers=answers),),
        said=next(a.text for q in found.questions for a in q.answers if a.label == "lora"),
    )  # fmt: skip
