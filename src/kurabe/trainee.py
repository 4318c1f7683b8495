"""One trial in training: its rows in its own order, its dropout, its optimizer; and all of that as a state.

Knows no batch and no other trial. Shapes in names: P adapter parameters.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor

from kurabe.chat import Rendered
from kurabe.lora import AdapterStack
from kurabe.recipes import Plan

STATE = "state.safetensors"


@dataclass
class Work:
    """What one step of one trial came to."""

    positions: int
    loss: float = 0.0
    supervised: int = 0
    seconds: float = 0.0


class Job(NamedTuple):
    """One trial, ready to be trained."""

    trial: int
    plan: Plan
    rows: tuple[Rendered, ...]
    seed: int
    before: Work | None = None  # what was computed for it already; its first step counts it
    state: Mapping[str, bytes] | None = None  # what `Trainee.state` gave: its training goes on from there


class Trainee:
    """One trial in training."""

    def __init__(
        self, job: Job, parameters_P: Tensor, gradient_P: Tensor, generator: torch.Generator | None = None
    ) -> None:
        self.job, self.recipe = job, job.plan.recipe
        self.parameters_P, self.gradient_P = parameters_P, gradient_P
        self.mean_P, self.square_P = torch.zeros_like(parameters_P), torch.zeros_like(parameters_P)
        self.taken = 0  # steps
        self.updates = 0  # steps that changed the adapter
        self.generator = generator if self.recipe.dropout else None
        self.mark()

    def mark(self) -> None:
        """The next step's masks are drawn from here on."""
        self.masks = None if self.generator is None else self.generator.get_state()

    def replay(self) -> None:
        """Let each pass of a step draw the same masks."""
        if self.generator is not None and self.masks is not None:
            self.generator.set_state(self.masks)

    def rows(self, step: int) -> list[Rendered]:
        """The rows of one optimizer step. Each epoch has its own order, drawn from the trial's seed."""
        epoch, place = divmod(step, self.job.plan.steps_per_epoch)
        order = list(range(len(self.job.rows)))
        random.Random(f"{self.job.seed}/{epoch}").shuffle(order)
        size = self.recipe.batch * self.recipe.accumulation
        return [self.job.rows[i] for i in order[place * size : (place + 1) * size]]

    def update(self, rate: float, loss: float) -> float | None:
        """Clip, then AdamW without weight decay. The gradient's norm, None where nothing could be learned."""
        self.taken += 1
        self.mark()
        norm = float(self.gradient_P.norm())
        if not (math.isfinite(norm) and math.isfinite(loss)):
            return None
        self.updates += 1
        self.gradient_P.mul_(min(1.0, self.recipe.clip / (norm + 1e-6)))
        self.mean_P.lerp_(self.gradient_P, 0.1)
        self.square_P.mul_(0.999).addcmul_(self.gradient_P, self.gradient_P, value=0.001)
        size_P = self.square_P.sqrt().div_(math.sqrt(1 - 0.999**self.updates)).add_(1e-8)
        self.parameters_P.addcdiv_(self.mean_P, size_P, value=-rate / (1 - 0.9**self.updates))
        return norm

    def state(self, stack: AdapterStack) -> dict[str, bytes]:
        """Everything that the next step depends on beside the job, between two steps: exact, and free of the company
        that the trial was trained in."""
        tensors = {"counts": torch.tensor([self.taken, self.updates])}
        for name, flat_P in self._flat().items():
            tensors[name] = stack.own(flat_P, self.recipe.rank).cpu()
        if self.masks is not None:
            tensors["masks"] = self.masks
        return {STATE: save(tensors)}

    def go_on(self, state: Mapping[str, bytes], stack: AdapterStack) -> None:
        """Be as the trainee was whose state this is."""
        tensors = load(state[STATE])
        self.taken, self.updates = tensors["counts"].tolist()
        for name, flat_P in self._flat().items():
            stack.put(flat_P, self.recipe.rank, tensors[name].to(flat_P.device))
        self.masks = tensors.get("masks")
        self.replay()

    def _flat(self) -> dict[str, Tensor]:
        return {"parameters": self.parameters_P, "mean": self.mean_P, "square": self.square_P}
