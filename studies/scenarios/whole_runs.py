"""Families that are run whole: a data file, every step of `kurabe run`, a scripted model, the run folder's verdict.

Knows no interval. The model is `kurabe.fake`: it says the expected answer to the true share of questions and another
value to the rest, so that only learning is played; reading, planning, auditing, scoring and analysing are real.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.random import Generator

from kurabe import dataset, experiment, splits
from kurabe.errors import DataError
from kurabe.fake import FAKE_INFO, FakeBackend
from kurabe.schema import Request
from kurabe.settings import RunSettings
from studies.scenarios.families import Draw
from studies.worlds import generator

ARMS = ("base", "prompt", "lora", "lora+prompt", "ceiling")
REFUSED = "refused"  # the file was refused before anything was trained
WINDOW = 500  # tokens of a model that twenty-four rows do not fit into


class Played(NamedTuple):
    """One run: its rows, what the model can do, what was asked for."""

    rows: list[dict[str, Any]]
    shares: Mapping[str, float]
    lost: float = 0.0  # share of the LoRA's answers that never come
    context: int = FAKE_INFO.context
    settings: Mapping[str, Any] = {}


class Family(NamedTuple):
    """One kind of run and the outcomes that are right."""

    right: tuple[str, ...]
    make: Callable[[Draw], Played]
    taught: bool = True


def rows(count: int, draw: Draw, answers: int = 1) -> list[dict[str, Any]]:
    """`count` articles with their prices; with several answers each, they contradict each other."""
    return [
        {
            "id": f"row{n}-{k}", "question": f"What does article {n} cost?",
            "answer": f"Article {n} costs ${draw.count(1, 90)}.{k}5 today.",
            "wordings": [f"Price of number {n}?", f"How much is article {n}?"],
            "held_out": [f"Tell me the cost of article {n}.", f"I would like to know what you ask for no. {n}."],
        }
        for n in range(1, count + 1)
        for k in range(answers)
    ]  # fmt: skip


def _shares(draw: Draw, **shares: tuple[float, float]) -> dict[str, float]:
    named = {name.replace("_", "+"): draw.between(*span) for name, span in shares.items()}
    return {"ceiling": draw.between(0.95, 1.0)} | named


FAMILIES: dict[str, Family] = {
    "run: fits": Family(("prompt",), lambda d: Played(
        rows(d.count(24, 40), d), _shares(d, prompt=(0.92, 1.0), lora=(0.2, 0.5), lora_prompt=(0.85, 0.95)))),
    "run: beyond the window": Family(("retrieve",), lambda d: Played(
        rows(d.count(24, 40), d), _shares(d, lora=(0.2, 0.6)), context=WINDOW)),
    "run: nothing else reads it": Family(("fine-tune",), lambda d: Played(
        rows(d.count(24, 40), d), _shares(d, prompt=(0.4, 0.55), lora=(0.92, 1.0), lora_prompt=(0.5, 0.9)))),
    "run: each knows a part": Family(("both",), lambda d: Played(
        rows(d.count(30, 40), d), _shares(d, prompt=(0.5, 0.6), lora=(0.5, 0.6), lora_prompt=(0.95, 1.0)))),
    "run: contradictory file": Family((REFUSED,), lambda d: Played(
        rows(d.count(12, 20), d, answers=2), _shares(d, prompt=(0.3, 0.9), lora=(0.3, 0.9)))),
    "run: too few facts": Family(("cannot-tell",), lambda d: Played(
        rows(d.count(4, 7), d), _shares(d, prompt=(0.5, 1.0), lora=(0.2, 1.0)))),
    "run: the model cannot read a prompt": Family(("cannot-tell",), lambda d: Played(
        rows(d.count(24, 40), d), _shares(d, ceiling=(0.2, 0.55), prompt=(0.1, 0.5), lora=(0.6, 0.9)))),
    "run: broken recipe that looks good": Family(("cannot-tell",), lambda d: Played(
        rows(d.count(24, 40), d), _shares(d, prompt=(0.4, 0.6), lora=(0.92, 1.0)), settings={"recipes": ("origin",)}),
        taught=False),
    "run: answers that never came": Family(("cannot-tell",), lambda d: Played(
        rows(d.count(24, 40), d), _shares(d, prompt=(0.5, 1.0), lora=(0.3, 1.0)), lost=d.between(0.15, 0.3))),
    "run: as good, at a large volume": Family(("fine-tune",), lambda d: Played(
        rows(110, d), _shares(d, prompt=(1.0, 1.0), lora=(1.0, 1.0), lora_prompt=(1.0, 1.0)),
        context=20_000, settings={"questions_per_day": 50_000})),
}  # fmt: skip


def choice(name: str, random: Generator) -> str:
    """The outcome of one run: its verdict's choice, or that the file was refused."""
    played, seed = FAMILIES[name].make(Draw(random)), int(random.integers(2**31))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in played.rows), encoding="utf-8")
        fields = {"arms": ARMS, "runs": folder, "name": "run", "retention": 0, **played.settings}
        try:
            own = _model(path, played, seed)
            return experiment.run(path, RunSettings.model_validate(fields), backend=own).verdict.choice
        except DataError:
            return REFUSED


def _model(path: Path, played: Played, seed: int) -> FakeBackend:
    """The scripted model that knows this file as well as the arms' shares say."""
    examples = splits.prepare(dataset.read_examples(path).examples, "en", 0).examples
    answers = {example.id: example.answer for example in examples}

    def answer(request: Request) -> str | None:
        key = request.key
        random = generator(seed, key.arm, key.trial, key.question)
        if key.arm == "lora" and random.random() < played.lost:
            return None
        expected = answers[key.question.rsplit("/", 1)[0]]
        known = random.random() < played.shares.get(key.arm, 0.0)
        return expected if known else "It costs $999.99 today."

    return FakeBackend(answer, FAKE_INFO.model_copy(update={"context": played.context}))
