"""The training loop of kurabe-tiny: phases of a corpus, a warm-up/constant/decay rate, checkpoints, a curve.

It knows nothing about cards or export. It can be killed at any time: it starts again at its last checkpoint, and
the batches of a chunk depend on the seed, the phase and the chunk's number only.
"""

from __future__ import annotations

import hashlib
import json
import math
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
from safetensors.torch import save_file
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
    restart: bool = False  # from the weights alone, in bf16: so that a published folder can be carried on
    share: float = 0.0  # of its last weights in the published mean


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights, besides the code."""

    seed: int
    phases: tuple[Phase, ...]
    warmup: int = 60
    muon_rate: float = 0.004
    adam_rate: float = 0.0007

    def __post_init__(self) -> None:
        if self.shares and not math.isclose(sum(self.shares.values()), 1):
            raise ValueError(f"the phases' shares make {sum(self.shares.values()):g} and not 1")

    @property
    def steps(self) -> int:
        return self.phases[-1].until

    @property
    def shares(self) -> dict[str, float]:
        """Phase -> what its last weights are of the published mean; empty where the last step's are published."""
        return {phase.name: phase.share for phase in self.phases if phase.share}

    def rate(self, step: int) -> float:
        """Share of the full rate: up in a line where optimisers are new, constant, down in a line to a twentieth."""
        phase = self.phase(min(step, self.steps - 1))
        left = (phase.until - step) / phase.decay_steps if phase.decay_steps else 1.0
        age = step - self.start(phase) if phase.restart else step
        factor = min(1.0, (age + 1) / self.warmup) * max(0.05, min(1.0, left))
        return factor * phase.rate

    def start(self, phase: Phase) -> int:
        """The step at which a phase begins."""
        return max((other.until for other in self.phases if other.until < phase.until), default=0)

    def phase(self, step: int) -> Phase:
        return next(phase for phase in self.phases if step < phase.until)


def chunk(plan: Plan, phase: Phase, number: int, encoder: Encoder) -> list[Packed]:
    """The batches of twenty steps."""
    stream = trees(f"{plan.seed}/{phase.name}/{number}", phase.mix)
    return list(islice(pack(encoder, stream, phase.batch_tokens), CHUNK_STEPS))


def joined(before: str, batch: Packed) -> str:
    """The hash of all batches so far and of one more."""
    return hashlib.sha256(before.encode() + batch.arrays()["ids"].tobytes()).hexdigest()


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


def rounded(model: LlamaForCausalLM) -> dict[str, Tensor]:
    """The weights in bf16, as a folder holds them; the embedding once, for it is tied to the head."""
    state = model.state_dict().items()
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in state if name != "lm_head.weight"}


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """As safetensors; whole or not at all."""
    staging = path.with_name(path.name + ".tmp")
    save_file(weights, str(staging), metadata={"format": "pt"})
    staging.chmod(0o644)
    staging.replace(path)


def _restart(model: LlamaForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Round the weights as a folder holds them, and forget the optimisers' state; returns new ones."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())
    return optimisers(model, plan.muon_rate, plan.adam_rate)


def _autocast(device: str) -> Any:
    return torch.autocast(device, torch.bfloat16) if device != "mps" else nullcontext()


def train(plan: Plan, folder: Path, device: str = "cpu") -> Iterator[dict[str, Any]]:
    """Train to the plan's end; yields a record per chunk, leaves `last.pt` and what enters the mean in the folder."""
    torch.set_flush_denormal(True)  # numbers below 1e-38 slow a trained model's step on CPUs and mean nothing
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoder = Encoder(tokenizer)
    model = net.build(tokenizer.get_vocab_size(), plan.seed).to(device)
    model.set_attn_implementation(ATTENTION)
    opts = optimisers(model, plan.muon_rate, plan.adam_rate)
    checkpoint = folder / "last.pt"
    progress = load(checkpoint, model, opts) if checkpoint.exists() else Progress()
    for phase in plan.phases:
        if phase.share and phase.until <= progress.step and not (folder / f"{phase.name}.safetensors").exists():
            raise FileNotFoundError(f"{phase.name}.safetensors is not in {folder}, but enters the mean")
    full_rates = (plan.muon_rate, plan.adam_rate)
    while progress.step < plan.steps:
        began = time.monotonic()
        phase = plan.phase(progress.step)
        if phase.restart and progress.step == plan.start(phase):
            opts = _restart(model, plan)
        batches = chunk(plan, phase, progress.step // CHUNK_STEPS, encoder)
        losses = []
        for packed in batches:
            progress.corpus = joined(progress.corpus, packed)
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
        if phase.share and progress.step == phase.until:
            save_weights(rounded(model), folder / f"{phase.name}.safetensors")
        _save(checkpoint, model, opts, progress)
        yield {
            **progress.__dict__,
            "phase": phase.name,
            "loss": round(sum(losses) / len(losses), 4),
            "rate": round(plan.rate(progress.step - 1), 4),
            "chunk_seconds": round(time.monotonic() - began, 1),
            "threads": torch.get_num_threads(),
        }


def append(path: Path, record: dict[str, Any]) -> None:
    """One JSON line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
