"""Stacked LoRA: many adapters beside one frozen base, a trial number per batch row; PEFT's format on disk.

Knows no tokens, no loss and no schedule. Shapes in names: K slots (one trial each), R rank (the largest of the stack),
D inputs, O outputs, P adapter parameters of one slot. B is stored as [K, R, O], the transpose of PEFT's: products with
a thin matrix are two to three times as fast when the long side is contiguous.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kurabe.errors import MissingError
from kurabe.hub import check_safetensors

_PEFT_PREFIX = "base_model.model."
_AGAIN = "Train it again, or copy the whole adapter folder."


class Span(NamedTuple):
    """Rows `start` to `stop` of a batch are answered under the adapter in `slot`. Rows in no span are the base's."""

    slot: int
    start: int
    stop: int


class Stretch(NamedTuple):
    """Where the real positions of a batch row lie among those of its trial's whole step."""

    begin: int
    end: int
    total: int


class Slot(NamedTuple):
    """One trial's adapter: its true rank (the stack may be wider), the factor of its output, its dropout."""

    trial: int
    rank: int
    alpha: float
    scale: float
    dropout: float = 0.0
    generator: torch.Generator | None = None  # draws this trial's dropout masks and nobody else's


class StackedLoRA(nn.Module):
    """A frozen linear layer with K adapters beside it: y = x W' + scale_k (x A_k') B_k', k by batch row.

    Rows of the base get the output of the linear layer and nothing is added to it, not even a zero.
    """

    def __init__(self, base: nn.Linear, stack: AdapterStack) -> None:
        super().__init__()
        self.base = base
        self.adapters_KRD: Tensor
        self.adapters_KRO: Tensor
        self.trained: tuple[Tensor, Tensor] | None = None  # leaves over the slots that are being trained
        self._stack = (stack,)  # in a tuple: the stack is no submodule of its own parts

    def forward(self, x: Tensor) -> Tensor:
        stack = self._stack[0]
        if stack.spans and torch.is_grad_enabled() and self.trained is not None:
            return self._train(x, stack)
        y = self.frozen(x)
        for slot, start, stop in stack.spans:
            part, rank = stack.slots[slot], stack.slots[slot].rank
            down = F.linear(x[start:stop].flatten(0, -2), self.adapters_KRD[slot, :rank])
            y[start:stop].view(-1, y.shape[-1]).addmm_(down, self.adapters_KRO[slot, :rank], alpha=part.scale)
        return y

    def frozen(self, x: Tensor) -> Tensor:
        """The base's product, in the numbers that its weights are held in; what comes in and goes out is float32."""
        weight, bias = self.base.weight, self.base.bias
        return (
            F.linear(x, weight, bias) if weight.dtype == x.dtype else F.linear(x.to(weight.dtype), weight, bias).float()
        )

    def _train(self, x: Tensor, stack: AdapterStack) -> Tensor:
        """The same with gradients: as many rows for each of the trials in training that take this step."""
        assert self.trained is not None and stack.even
        a_KRD, b_KRO = (leaf if leaf.shape[1] == stack.widest else leaf[:, : stack.widest] for leaf in self.trained)
        if stack.taking is not None:
            a_KRD, b_KRO = a_KRD.index_select(0, stack.taking), b_KRO.index_select(0, stack.taking)
        mask = _mask(x, stack) if any(stack.slots[span.slot].dropout for span in stack.spans) else None
        y: Tensor = _Beside.apply(x, a_KRD, b_KRO, stack.scale_K11, mask, self)  # type: ignore[no-untyped-call]
        return y


class _Beside(torch.autograd.Function):
    """The layer in training, with its gradients written out: autograd would make more and smaller calls, and at the
    sizes of a small model calls are what a step is made of.

    With D = scale (x * mask) A':   y = x W' + D B,   dB = D' dy,   dD = scale dy B',   dA = dD' (x * mask),
    dx = dy W + (dD A) * mask.   W is frozen and has no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a_KRD: Tensor, b_KRO: Tensor, scale_K11: Tensor, mask: Tensor | None, layer: StackedLoRA
    ) -> Tensor:
        y = layer.frozen(x)
        lines = (len(a_KRD), -1)
        seen_KND = (x if mask is None else x * mask).reshape(*lines, x.shape[-1])
        down_KNR = _product(seen_KND, a_KRD.transpose(1, 2)).mul_(scale_K11)
        _add_product(y.view(*lines, y.shape[-1]), down_KNR, b_KRO)
        ctx.save_for_backward(seen_KND, down_KNR, a_KRD, b_KRO, scale_K11, mask, layer.base.weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        seen_KND, down_KNR, a_KRD, b_KRO, scale_K11, mask, weight = ctx.saved_tensors
        dy = grads[0]
        dy_KNO = dy.reshape(len(a_KRD), -1, dy.shape[-1])
        up_KNR = _product(dy_KNO, b_KRO.transpose(1, 2)).mul_(scale_K11)
        db_KRO, da_KRD = _product(down_KNR.transpose(1, 2), dy_KNO), _product(up_KNR.transpose(1, 2), seen_KND)
        if not ctx.needs_input_grad[0]:  # what comes in is the embedding
            return None, da_KRD, db_KRO, None, None, None
        dx = (dy @ weight) if weight.dtype == dy.dtype else (dy.to(weight.dtype) @ weight).float()
        if mask is None:
            _add_product(dx.view(seen_KND.shape), up_KNR, a_KRD)
        else:
            dx.addcmul_(_product(up_KNR, a_KRD).view_as(dx), mask)
        return dx, da_KRD, db_KRO, None, None, None


def _product(left_KIJ: Tensor, right_KJL: Tensor) -> Tensor:
    """[K, I, L]. One trial alone is the usual case: no batched product of one."""
    return (left_KIJ[0] @ right_KJL[0])[None] if len(left_KIJ) == 1 else torch.bmm(left_KIJ, right_KJL)


def _add_product(sum_KIL: Tensor, left_KIJ: Tensor, right_KJL: Tensor) -> None:
    """Add the product in its place."""
    if len(left_KIJ) == 1:
        sum_KIL[0].addmm_(left_KIJ[0], right_KJL[0])
    else:
        sum_KIL.baddbmm_(left_KIJ, right_KJL)


def _mask(x_BTD: Tensor, stack: AdapterStack) -> Tensor:
    """Dropout masks. Each trial draws for the real positions of its whole step, so neither padding nor the number of
    passes that the step is cut into moves its generator."""
    keep_BTD = torch.ones_like(x_BTD)
    for slot, start, stop in stack.spans:
        share, generator = 1 - stack.slots[slot].dropout, stack.slots[slot].generator
        for row in range(start, stop):
            begin, end, total = stack.stretches[row] if stack.stretches else (0, x_BTD.shape[1], x_BTD.shape[1])
            here_TD = keep_BTD[row, : end - begin]
            drawn_TD = here_TD if len(here_TD) == total else x_BTD.new_empty(total, x_BTD.shape[2])
            drawn_TD.bernoulli_(share, generator=generator).div_(share)
            if drawn_TD is not here_TD:
                here_TD.copy_(drawn_TD[begin:end])
    return keep_BTD


class AdapterStack:
    """All adapters of one model, in one buffer [K, P]: each layer's A and B are views of it.

    The padding of a smaller rank is zero and stays zero: its gradients are products with zeros.
    """

    def __init__(self, model: nn.Module, inside: str = "layers") -> None:
        self.layers: dict[str, StackedLoRA] = {}
        self.slots: list[Slot] = []
        self.spans: tuple[Span, ...] = ()
        self.stretches: tuple[Stretch, ...] = ()  # of each row, where a dropout mask must know them
        self.first = 0  # the first slot that is being trained
        self.widest = 0  # the largest rank that is being trained
        self.even = False  # the spans are trials in training, with as many rows each: one product serves all
        self.taking: Tensor | None = None  # which of the trials in training they are; None: all
        self._rank = 0
        self._flat_KP = torch.empty(0, 0)
        self._open = 0  # trials in training
        self._gradients: list[Tensor] = []
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        linears = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and f".{inside}." in f".{n}."]
        for name, module in linears:
            parent, _, leaf = name.rpartition(".")
            self.layers[name] = StackedLoRA(module, self)
            setattr(model.get_submodule(parent), leaf, self.layers[name])

    @property
    def device(self) -> torch.device:
        return next(iter(self.layers.values())).base.weight.device

    def size(self, rank: int) -> int:
        """Trainable parameters of one adapter of this rank: rank x (inputs + outputs), over all wrapped layers."""
        return sum(rank * (lo.base.in_features + lo.base.out_features) for lo in self.layers.values())

    def slot(self, trial: int) -> int | None:
        """The slot of a trial, None where it has no adapter."""
        return next((i for i, slot in enumerate(self.slots) if slot.trial == trial), None)

    def route(self, trials: Sequence[int], stretches: Sequence[Stretch] = ()) -> None:
        """Say which trial each row of the next batch belongs to (0 is the base) and, in training, where it lies."""
        spans: list[Span] = []
        slots = {trial: self.slot(trial) for trial in set(trials)}
        for row, trial in enumerate(trials):
            slot = slots[trial]
            if slot is None:
                if trial:
                    raise KeyError(f"trial {trial} has no adapter")
            elif spans and spans[-1].slot == slot and spans[-1].stop == row:
                spans[-1] = spans[-1]._replace(stop=row + 1)
            else:
                spans.append(Span(slot, row, row + 1))
        self.spans, self.stretches = tuple(spans), tuple(stretches)
        if self._open:
            self._take(len(trials))

    def _take(self, rows: int) -> None:
        """Whether the spans can take a step of training together, and with which factors."""
        slots = [span.slot for span in self.spans]
        opened = range(self.first, self.first + self._open)
        each = rows / max(1, len(slots))
        self.even = slots == sorted({*slots} & {*opened}) and all(span.stop - span.start == each for span in self.spans)
        self.taking = None
        if self.even and len(slots) < self._open:
            self.taking = torch.tensor(slots, device=self.device) - self.first
        self.scale_K11 = torch.tensor([self.slots[slot].scale for slot in slots], device=self.device).view(-1, 1, 1)

    def add(self, slots: Sequence[Slot], seeds: Sequence[int]) -> None:
        """Put fresh adapters side by side into the stack: A uniform as PEFT starts it, B zero. A trial that is
        already there is replaced."""
        gone = {slot.trial for slot in slots}
        kept = [slot for slot in self.slots if slot.trial not in gone]
        self._hold(kept, slots)
        for index, (slot, seed) in enumerate(zip(slots, seeds, strict=True), start=len(kept)):
            self._write(index, self._fresh(slot.rank, seed))

    def drop(self, trials: Sequence[int]) -> None:
        """Forget the adapters of these trials."""
        self._hold([slot for slot in self.slots if slot.trial not in trials], [])

    def _hold(self, kept: list[Slot], fresh: Sequence[Slot]) -> None:
        """A buffer for these slots, filled with what is kept."""
        if self._open:  # training would go on in the old buffer
            raise RuntimeError("no adapter can come or go while others are being trained")
        old = [self._read(self.slots.index(slot)) for slot in kept]
        self.slots = [*kept, *fresh]
        self._rank = max((slot.rank for slot in self.slots), default=0)
        self._flat_KP = torch.zeros(len(self.slots), self.size(self._rank), device=self.device)
        for layer, (a, b) in zip(self.layers.values(), self._cut(self._flat_KP), strict=True):
            layer.adapters_KRD, layer.adapters_KRO = a, b
        for index, tensors in enumerate(old):
            self._write(index, tensors)

    def open(self, trials: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Let gradients flow into these trials, which lie side by side: their parameters and gradients, both [k, P]."""
        found = [self.slot(trial) for trial in trials]
        self.first = found[0] or 0
        assert found == list(range(self.first, self.first + len(trials))), "trials must lie side by side"
        self._open = len(trials)
        self.widest = max(slot.rank for slot in self.slots[self.first : self.first + len(trials)])
        flat_KP = self._flat_KP[self.first : self.first + len(trials)]
        grad_KP = torch.zeros_like(flat_KP)
        self._gradients = [view for pair in self._cut(grad_KP) for view in pair]
        for layer, (a, b) in zip(self.layers.values(), self._cut(flat_KP), strict=True):
            layer.trained = (a.requires_grad_(), b.requires_grad_())
        return flat_KP, grad_KP

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of the open trials. They lie in one buffer, as the parameters do."""
        leaves = [leaf for layer in self.layers.values() for leaf in layer.trained or ()]
        for view, gradient in zip(self._gradients, torch.autograd.grad(loss, leaves), strict=True):
            view.add_(gradient)

    def close(self) -> None:
        """End training: no gradient flows any more."""
        self.first, self._open, self._gradients = 0, 0, []
        for layer in self.layers.values():
            layer.trained = None

    def _cut(self, flat_KP: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(A [K,R,D], B transposed [K,R,O]) of every layer, as views of a buffer [K, P]."""
        views, at, count, rank = [], 0, flat_KP.shape[0], self._rank
        for layer in self.layers.values():
            d, o = layer.base.in_features, layer.base.out_features
            middle, end = at + rank * d, at + rank * (d + o)
            views.append((flat_KP[:, at:middle].view(count, rank, d), flat_KP[:, middle:end].view(count, rank, o)))
            at = end
        return [(a.detach(), b.detach()) for a, b in views]

    def own(self, flat_P: Tensor, rank: int) -> Tensor:
        """What a trial of this rank has of one line of a buffer, without the padding: [size(rank)]."""
        return torch.cat([part.flatten() for part in self._parts(flat_P, rank)])

    def put(self, flat_P: Tensor, rank: int, own: Tensor) -> None:
        """Put what `own` gave into a line of a buffer, which may be wider than the one that it came from."""
        at = 0
        for part in self._parts(flat_P, rank):
            part.copy_(own[at : at + part.numel()].view_as(part))
            at += part.numel()

    def _parts(self, flat_P: Tensor, rank: int) -> list[Tensor]:
        return [view[0, :rank] for pair in self._cut(flat_P[None]) for view in pair]

    def _read(self, slot: int) -> dict[str, tuple[Tensor, Tensor]]:
        rank = self.slots[slot].rank
        return {
            name: (layer.adapters_KRD[slot, :rank].clone(), layer.adapters_KRO[slot, :rank].clone())
            for name, layer in self.layers.items()
        }

    def _write(self, slot: int, tensors: dict[str, tuple[Tensor, Tensor]]) -> None:
        for name, (a, b) in tensors.items():
            self.layers[name].adapters_KRD[slot, : a.shape[0]] = a
            self.layers[name].adapters_KRO[slot, : b.shape[0]] = b

    def _fresh(self, rank: int, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
        # Drawn on the CPU and layer by layer: a trial starts alike on every device and in every company.
        generator = torch.Generator().manual_seed(seed)
        fresh = {}
        for name, layer in self.layers.items():
            d, o = layer.base.in_features, layer.base.out_features
            a = torch.rand(rank, d, generator=generator).mul_(2).sub_(1).div_(math.sqrt(d))
            fresh[name] = (a, torch.zeros(rank, o))
        return fresh

    def merged(self, trial: int, name: str) -> Tensor:
        """W + scale B A of one layer under one trial."""
        slot = self.slot(trial)
        assert slot is not None
        layer, own = self.layers[name], self.slots[slot]
        return layer.base.weight.float() + own.scale * layer.adapters_KRO[slot].t() @ layer.adapters_KRD[slot]

    # --- PEFT's format -----------------------------------------------------------------------------------------------

    def save(self, trial: int, folder: Path, base: str, base_sha256: str) -> None:
        """Write `adapter_config.json` and `adapter_model.safetensors`, whose metadata name the base by its hash."""
        slot = self.slot(trial)
        if slot is None:
            raise KeyError(f"trial {trial} has no adapter")
        tensors = {}
        for name, (a, b) in self._read(slot).items():
            tensors[f"{_PEFT_PREFIX}{name}.lora_A.weight"] = a.contiguous().cpu()
            tensors[f"{_PEFT_PREFIX}{name}.lora_B.weight"] = b.t().contiguous().cpu()
        written = save(tensors, metadata={"format": "pt", "kurabe.base_sha256": base_sha256})
        (folder / "adapter_model.safetensors").write_bytes(_in_fixed_order(written))
        own = self.slots[slot]
        config = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "inference_mode": True,
            "r": own.rank, "lora_alpha": own.alpha, "lora_dropout": own.dropout, "bias": "none",
            "fan_in_fan_out": False, "use_rslora": False, "use_dora": False,
            "target_modules": sorted({name.rpartition(".")[2] for name in self.layers}),
        }  # fmt: skip
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def load(self, trial: int, folder: Path, base_sha256: str) -> None:
        """Read an adapter that `save` or PEFT wrote. One that names another base is refused."""
        config, tensors = _read_adapter(folder, base_sha256)
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        pairs: dict[str, tuple[Tensor, Tensor]] = {}
        for name, layer in self.layers.items():
            a = tensors.pop(f"{_PEFT_PREFIX}{name}.lora_A.weight", None)
            b = tensors.pop(f"{_PEFT_PREFIX}{name}.lora_B.weight", None)
            if a is None and b is None:
                continue  # an adapter may leave layers out
            shapes = (rank, layer.base.in_features), (layer.base.out_features, rank)
            if a is None or b is None or (tuple(a.shape), tuple(b.shape)) != shapes:
                _refuse(folder, f"its tensors for {name} do not fit this model")
            pairs[name] = (a.float(), b.float().t())
        if tensors or not pairs:
            _refuse(folder, f"it changes parts that are not layers of this model: {', '.join(sorted(tensors)[:3])}")
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        index = self.slot(trial)
        if index is None or self.slots[index].rank != rank:
            self.add([Slot(trial, rank, alpha, scale)], [0])
            index = len(self.slots) - 1
        else:  # in its place: others may be in training
            self.slots[index] = self.slots[index]._replace(alpha=alpha, scale=scale, dropout=0.0)
        self._flat_KP[index] = 0
        self._write(index, pairs)


def _in_fixed_order(safetensors: bytes) -> bytes:
    """The same file with a sorted header. safetensors writes metadata in the order of a hash table, which differs from
    call to call, so that equal adapters would have different hashes. A header is JSON after its length in 8 bytes,
    filled up with spaces to a multiple of 8."""
    end = 8 + int.from_bytes(safetensors[:8], "little")
    text = json.dumps(json.loads(safetensors[8:end]), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    header = text.encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + safetensors[end:]


def _read_adapter(folder: Path, base_sha256: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = folder / "adapter_model.safetensors"
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        check_safetensors(path)
        with safe_open(path, framework="pt") as file:
            written_for = (file.metadata() or {}).get("kurabe.base_sha256", base_sha256)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except FileNotFoundError as error:
        raise MissingError(
            f"The adapter has no {Path(error.filename).name}.", where=str(folder),
            fix=_AGAIN,
        ) from None  # fmt: skip
    except ValueError as error:
        raise MissingError(
            "adapter_config.json cannot be read.", where=str(folder), why=str(error), fix=_AGAIN
        ) from None
    if written_for != base_sha256:
        raise MissingError(
            "The adapter was trained on other weights than the model that is loaded.", where=str(folder),
            why=f"It names a base with hash {written_for[:12]}; this model's hash is {base_sha256[:12]}.",
            fix="Load the model that the adapter was trained on (run.json of its run names it).",
        )  # fmt: skip
    unusual = [k for k in ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save") if config.get(k)]
    if config.get("peft_type") != "LORA" or unusual or config.get("bias", "none") != "none":
        _refuse(folder, f"only plain LoRA is read; this one uses {', '.join(unusual) or config.get('peft_type')}")
    return config, tensors


def _refuse(folder: Path, why: str) -> NoReturn:
    raise MissingError("The adapter cannot be used with this model.", where=str(folder), why=f"{why}.", fix=_AGAIN)
