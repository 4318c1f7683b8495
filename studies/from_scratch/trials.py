"""The trials of the study: biographies learned from nothing in one wording or in five, then questions on half of the
people, then the same questions on the other half.

Knows no page. It trains a model of its own: no adapter, no backend.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kurabe import provenance
from kurabe.errors import SettingsError
from kurabe.schema import ModelInfo, Record
from kurabe.settings import RunSettings
from kurabe.texts import seconds as said_seconds
from studies.bench import Say, end, told
from studies.from_scratch.people import ATTRIBUTES, PEOPLE, Person, Text, biographies, people, question
from studies.results import Counts, Run, Session, State, Tally, Trial, Writer

if TYPE_CHECKING:
    from studies.from_scratch.network import Network

COMMAND = "python -m studies.from_scratch"
WORDINGS = (1, 5)
EXPOSURES = 450  # of each person in biographies, whatever the number of wordings
RATE = 2e-3
QUESTION_STEPS = (50, 100, 200, 400)  # after which people are asked; the last ends the training
QUESTION_RATE = 5e-4
SEEDS = (0,)


class Cell(Record):
    """What sets a trial apart."""

    wordings: int


class Sizes(NamedTuple):
    """How large the study is; tests make it small."""

    people: int = PEOPLE
    exposures: int = EXPOSURES
    asked_after: tuple[int, ...] = QUESTION_STEPS
    hidden: int = 128


RUNS = tuple(Run(Cell(wordings=count), seed) for count in WORDINGS for seed in SEEDS)
KIND = Trial[Cell]


def run(path: Path, settings: RunSettings, say: Say, sizes: Sizes = Sizes()) -> None:  # noqa: B008  (immutable)
    """The whole study, or what is left of it, into the results file."""
    if settings.model != "tiny":
        raise SettingsError(
            "This study trains a model of its own.", why="What it asks is what a training from nothing leaves behind.",
            fix=COMMAND,
        )  # fmt: skip
    import torch

    torch.set_num_threads(settings.threads or provenance.cores())
    everyone = people(sizes.people)
    digest = hashlib.sha256(repr((everyone, sizes)).encode()).hexdigest()
    info = describe(everyone, sizes)
    with Writer(path, KIND, COMMAND, info, digest) as writer:
        left = writer.left(RUNS, say)
        if not left:
            return
        writer.append(Session(
            began=datetime.now(timezone.utc).isoformat(timespec="seconds"), model=info,
            provenance=provenance.describe(digest), data="invented people", max_new_tokens=1,
            predicted_seconds=0.0, references={},
        ))  # fmt: skip
        for done, one in enumerate(left, start=1):
            trial = measure(one, everyone, sizes)
            writer.append(trial)
            say(f"{done:>3}/{len(left)}  {said_seconds(trial.train_seconds):>12}  {told(trial)}")
        end(writer, len(left), COMMAND, say)


def describe(everyone: Sequence[Person], sizes: Sizes) -> ModelInfo:
    """The model that is trained, before it is."""
    import torch

    from studies.from_scratch.network import SHAPE

    network = build(everyone, 0, sizes)
    shape = repr((sorted(SHAPE.items()), sizes))
    return ModelInfo(
        name="a Llama trained from nothing", path="", sha256=hashlib.sha256(shape.encode()).hexdigest(),
        stand_in=False, family="llama", parameters=network.parameters, hidden=sizes.hidden,
        layers=SHAPE["num_hidden_layers"], context=128, vocabulary=network.model.config.vocab_size, dtype="float32",
        device="cpu", threads=torch.get_num_threads(),
    )  # fmt: skip


def build(everyone: Sequence[Person], seed: int, sizes: Sizes) -> Network:
    """A network with the words of all biographies and questions."""
    from studies.from_scratch.network import Network

    texts = [t for p in everyone for t in (*biographies(p, 5, seed), *(question(p, key) for key in ATTRIBUTES))]
    words = [word for text in texts for word in text.words]
    return Network(words, seed, hidden_size=sizes.hidden, intermediate_size=3 * sizes.hidden)


def measure(one: Run, everyone: Sequence[Person], sizes: Sizes) -> Trial[Cell]:
    """Biographies, then questions on the first half of the people, and both halves asked on the way."""
    from studies.from_scratch.network import BATCH

    assert isinstance(one.cell, Cell)
    clock = time.monotonic()
    network = build(everyone, one.seed, sizes)
    texts = [text for person in everyone for text in biographies(person, one.cell.wordings, one.seed)]
    steps = len(everyone) * sizes.exposures // BATCH
    loss = network.train(texts, steps, RATE, one.seed)
    half = len(everyone) // 2
    sides = {"learned": everyone[:half], "extracted": everyone[half:]}
    asked = {name: [question(p, key) for p in some for key in ATTRIBUTES] for name, some in sides.items()}
    memorised = tally(texts, network.right, [p for p in everyone for _ in range(one.cell.wordings)])
    states = []
    # Each state is the end of a training of its own length, from the same biographies.
    learned = {name: value.clone() for name, value in network.model.state_dict().items()}
    for count in sizes.asked_after:
        network.model.load_state_dict(learned)
        network.train(asked["learned"], count, QUESTION_RATE, one.seed, answers_only=True)
        answers = {
            name: tally(questions, network.right, [p for p in sides[name] for _ in ATTRIBUTES])
            for name, questions in asked.items()
        }
        epochs = count * BATCH / len(asked["learned"])
        states.append(State(steps=count, epochs=epochs, answers={"text": memorised} | answers))
    return KIND(
        cell=one.cell, seed=one.seed, samples=len(texts), steps=steps, rows=steps * BATCH, rate=RATE,
        trainable=network.parameters, first_loss=None, last_loss=loss, not_finite=0,
        train_seconds=time.monotonic() - clock, answer_seconds=0.0, states=tuple(states),
        said=" ".join(texts[0].words),
    )  # fmt: skip


def tally(
    texts: Sequence[Text], right: Callable[[Sequence[Text]], list[tuple[int, int]]], whose: Sequence[Person]
) -> Tally:
    """Right values by person."""
    found: Tally = {}
    for person, (hits, values) in zip(whose, right(texts), strict=True):
        before = found.get(person.name, Counts(right=0, wrong=0, items=0))
        found[person.name] = Counts(
            right=before.right + hits, wrong=before.wrong + values - hits, items=before.items + values
        )
    return found
