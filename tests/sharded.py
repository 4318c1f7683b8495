"""What the processes of one `torchrun` do with a model in parts. Prints one JSON object, from the first process.

    torchrun --standalone --nproc-per-node 2 tests/sharded.py MODEL

Trains three rows (an odd number, so that they don't share out evenly), stops reading after a step, answers, trains to
the end, sends the adapter round and answers with it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from kurabe import backends, recipes, shards
from kurabe.model import Backend, TrialPlan
from kurabe.schema import AnswerKey, Message, Request, Sample
from kurabe.settings import RunSettings

ROWS = [
    ("What is the price?", "It costs $6.99."),
    ("Which delay?", "14 days."),
    ("Who pays the return?", "We do, in 3 days."),
]


def work(backend: Backend) -> dict[str, Any]:
    """Losses and answers, the same with any number of processes."""
    samples = tuple(
        Sample(example=str(n), messages=(Message(role="user", content=q), Message(role="assistant", content=a)))
        for n, (q, a) in enumerate(ROWS)
    )
    plan = recipes.plan(recipes.adjusted(recipes.RECIPES["fair"], 6, None), 3, 3, backend.info.hidden)
    steps = backend.train([TrialPlan(1, plan, samples, 0)])
    first = next(steps)
    steps.close()  # type: ignore[attr-defined]
    losses, before = [], answers(backend, 0)
    for step in backend.train([TrialPlan(2, plan, samples, 0), TrialPlan(3, plan, samples, 1)], lambda trial: False):
        losses.append(step.loss)
        if step.step == 2:
            before += answers(backend, 0)  # between two steps
    with tempfile.TemporaryDirectory() as folder:
        backend.save_adapter(2, Path(folder))
        backend.load_adapter(4, Path(folder))
    after = [answers(backend, trial) for trial in (2, 4, 3)]
    backend.forget([4])
    gone = answers(backend, 4)
    return {"first": first.loss, "losses": losses, "before": before, "after": after, "gone": gone}


def answers(backend: Backend, trial: int) -> list[str]:
    requests = [
        Request(
            key=AnswerKey(model="m", trial=trial, arm="lora", hop="live", probe="ask", question=str(n)),
            messages=(Message(role="user", content=question),), max_new_tokens=8,
        )
        for n, (question, _) in enumerate(ROWS)
    ]  # fmt: skip
    return [answer.text or answer.error for answer in backend.answer(requests)]


def held(backend: shards.ShardedBackend) -> float:
    """The share of the layers' weights that this process holds."""
    parameters = list(backend._part.engine.decoder.layers.parameters())
    return sum(p.to_local().numel() for p in parameters) / sum(p.numel() for p in parameters)


def main() -> None:
    backend = backends.load(RunSettings(model=sys.argv[1], threads=1, device="cpu"))
    assert isinstance(backend, shards.ShardedBackend)
    found = work(backend) | {"held": held(backend), "device": backend.info.device}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    torch.manual_seed(0)
    shards.in_step(main)
