"""The training loop of kurabe-tiny: phases of a corpus, a warm-up/constant/decay rate, checkpoints, a curve.

It knows nothing about cards or export. It can be killed at any time: it starts again at its last checkpoint, and
the batches of a chunk depend on the seed, the phase and the chunk's number only.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import LlamaForCausalLM

from kurabe.attention import ATTENTION
from models.tiny import net
from models.tiny.corpus import Mix, trees
from models.tiny.muon import optimisers
from models.tiny.pack import Encoder, Packed, pack

CHUNK_STEPS = 20


@dataclass(frozen=True)
class Phase:
    """Steps up to `until` draw from `mix`; `until` counts from the run's start."""

    name: str
    until: int
    mix: Mix
    batch_tokens: int = 8192
    rate: float = 1.0  # a factor on both full rates
    decay_steps: int = 0  # the last so many steps go down to a twentieth


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights, besides the code."""

    seed: int
    phases: tuple[Phase, ...]
    warmup: int = 60
    muon_rate: float = 0.004
    adam_rate: float = 0.0007

    @property
    def steps(self) -> int:
        return self.phases[-1].until

    def rate(self, step: int) -> float:
        """Share of the full rate: up in a line, constant, down in a line to a twentieth."""
        phase = self.phase(min(step, self.steps - 1))
        left = (phase.until - step) / phase.decay_steps if phase.decay_steps else 1.0
        share = min(1.0, (step + 1) / self.warmup) * max(0.05, min(1.0, left))
        return share * phase.rate

    def phase(self, step: int) -> Phase:
        return next(phase for phase in self.phases if step < phase.until)


def chunk(plan: Plan, phase: Phase, number: int, encoder: Encoder) -> list[Packed]:
    """The batches of twenty steps."""
    stream = trees(f"{plan.seed}/{phase.name}/{number}", phase.mix)
    return list(islice(pack(encoder, stream, phase.batch_tokens), CHUNK_STEPS))


def to_tensors(batch: Packed, device: str) -> dict[str, Tensor]:
    """The batch's arrays as tensors; indices are int64."""
    return {
        name: torch.from_numpy(values if name == "weight" else values.astype(np.int64)).to(device)
        for name, values in batch.arrays().items()
    }


@dataclass
class Progress:
    """What a checkpoint carries beside weights and optimiser state."""

    step: int = 0
    tokens: int = 0
    labelled: int = 0
    seconds: float = 0.0
    corpus: str = ""


def _save(path: Path, model: LlamaForCausalLM, opts: list[torch.optim.Optimizer], progress: Progress) -> None:
    staging = path.with_suffix(".tmp")
    torch.save(
        {"model": model.state_dict(), "opts": [opt.state_dict() for opt in opts], "progress": progress.__dict__},
        staging,
    )
    os.replace(staging, path)


def load(path: Path, model: LlamaForCausalLM, opts: list[torch.optim.Optimizer] | None = None) -> Progress:
    """Bring back a checkpoint."""
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=next(model.parameters()).device)
    model.load_state_dict(state["model"])
    for opt, saved in zip(opts or [], state["opts"], strict=False):
        opt.load_state_dict(saved)
    return Progress(**state["progress"])


def _autocast(device: str) -> Any:
    return torch.autocast(device, torch.bfloat16) if device != "mps" else nullcontext()


def train(plan: Plan, folder: Path, device: str = "cpu") -> Iterator[dict[str, Any]]:
    """Train to the plan's end; yields a record per chunk and leaves `last.pt` in the folder."""
    torch.set_flush_denormal(True)  # numbers below 1e-38 slow a trained model's step on CPUs and mean nothing
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoder = Encoder(tokenizer)
    model = net.build(tokenizer.get_vocab_size(), plan.seed).to(device)
    model.set_attn_implementation(ATTENTION)
    opts = optimisers(model, plan.muon_rate, plan.adam_rate)
    checkpoint = folder / "last.pt"
    progress = load(checkpoint, model, opts) if checkpoint.exists() else Progress()
    full_rates = (plan.muon_rate, plan.adam_rate)
    while progress.step < plan.steps:
        began = time.monotonic()
        phase = plan.phase(progress.step)
        batches = chunk(plan, phase, progress.step // CHUNK_STEPS, encoder)
        losses = []
        for packed in batches:
            progress.corpus = hashlib.sha256(progress.corpus.encode() + packed.arrays()["ids"].tobytes()).hexdigest()
            batch = to_tensors(packed, device)
            with _autocast(device):
                loss = net.loss(model, batch, net.Trees(packed.trees, device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for opt, full in zip(opts, full_rates, strict=True):
                opt.param_groups[0]["lr"] = full * plan.rate(progress.step)
                opt.step()
                opt.zero_grad()
            losses.append(loss.item())
            progress.step += 1
            progress.tokens += len(packed.ids)
            progress.labelled += sum(weight > 0 for weight in packed.weight)
        progress.seconds += time.monotonic() - began
        _save(checkpoint, model, opts, progress)
        yield {
            **progress.__dict__,
            "phase": phase.name,
            "loss": round(sum(losses) / len(losses), 4),
            "rate": round(plan.rate(progress.step), 4),
            "chunk_seconds": round(time.monotonic() - began, 1),
            "threads": torch.get_num_threads(),
        }


def append(path: Path, record: dict[str, Any]) -> None:
    """One JSON line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
