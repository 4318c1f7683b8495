"""One model over the processes that `torchrun` started: each holds a part of every layer, all compute in step.

Knows no run folder and no command. The first process does the work of the command line; what it asks of its model,
the others do with it, because a layer's weights exist only while all of them gather it. The weights are sharded
(torch's FSDP2, `fully_shard`), adapters are replicated. In training the rows of a step are shared out; answers are
computed by all processes alike. A process that fails ends the others with it.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard

from kurabe import hub, storage
from kurabe.devices import Chosen, Place
from kurabe.engine import Engine, Row
from kurabe.errors import SettingsError, UserError
from kurabe.hf import HFBackend
from kurabe.model import Backend, Score, Stopped, TrialPlan
from kurabe.schema import Answer, Reason, Request, Step

PATIENCE = timedelta(days=1)  # the others wait while the first process writes, or reads a long file
T = TypeVar("T")


class Party:
    """The processes of one `torchrun`: the first speaks, the others hear."""

    def __init__(self) -> None:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.in_a_call = False  # the others are computing, and hear nothing

    def say(self, word: str, *told: Any) -> None:
        """From the first process to all others."""
        dist.broadcast_object_list([(word, told)], src=0)

    def hear(self) -> tuple[str, tuple[Any, ...]]:
        """What the first process said last."""
        message: list[Any] = [None]
        dist.broadcast_object_list(message, src=0)
        word, told = message[0]
        return word, told

    def gather(self, value: T) -> list[T]:
        """This value of every process."""
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found


party: Party | None = None  # None: this process is alone


def in_step(command: Callable[[], None]) -> NoReturn:
    """`command` in the first process, while the others do what its model needs; all end together, and here."""
    global party
    party = Party()
    if party.rank:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the first process decides, and needs them until it has
        _follow(party)
        _part()
        _end(0)
    code = 0
    try:
        command()
    except SystemExit as ended:  # how a command of the command line ends
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        if not party.in_a_call:
            party.say("end")
            _part()
    _end(code)


def _part() -> None:
    """Leave the group together: one that goes first may break off what the other is still sending."""
    dist.barrier()
    dist.destroy_process_group()


def _end(code: int) -> NoReturn:
    """End the process here. After Python's own end, gloo's threads abort one program in three (torch 2.13), and
    torchrun would call finished work a failure; everything was stored and closed by the command."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def load(weights: hub.Weights, name: str, device: str, *, stand_in: bool = False) -> Backend:
    """The model in parts, from the first process: the others load it, too."""
    assert party is not None
    if device == "mps":
        raise SettingsError(
            "A model cannot be sharded over MPS devices.", fix="Run on CUDA or on the CPU: --device cpu"
        )
    party.say("load", weights, name, device, stand_in)
    return ShardedBackend(party, _load(party, weights, name, device, stand_in))


def _load(party: Party, weights: hub.Weights, name: str, device: str, stand_in: bool) -> PartBackend:
    """This process's part. One process after the other, because each holds the whole model for a moment."""
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    mesh = init_device_mesh(device, (party.size,))
    part: PartBackend | None = None
    failed: UserError | None = None
    for turn in range(party.size):
        if turn == party.rank:
            try:
                part = PartBackend(weights, name, device, mesh, stand_in=stand_in)
            except UserError as error:
                failed = error
        dist.barrier()
    for refused in party.gather(failed):
        if refused is not None:
            raise refused
    assert part is not None
    part.gather_once()
    return part


# --- a part of the model -----------------------------------------------------------------------------------------


class PartBackend(HFBackend):
    """The transformers backend over a part of the weights, in step with the others."""

    def __init__(
        self, weights: hub.Weights, name: str, device: str, mesh: DeviceMesh, *, stand_in: bool = False
    ) -> None:
        self._mesh, self.parts = mesh, mesh.size()
        chosen = Chosen(Place(device, "float32"), Reason(key="device.parts", values={"parts": self.parts}))
        super().__init__(weights, name, chosen, stand_in=stand_in)
        self.together = 1  # what one process would measure, another might measure differently
        self.info = self.info.model_copy(update={"device": f"{device} x {self.parts}"})

    def _first(self, place: Place) -> Place:
        return place._replace(device="cpu")  # whole; its layers go to the device in parts

    def _engine(self, model: nn.Module) -> Engine:
        _shard(model, self._mesh)
        return PartEngine(model, self.stack, self.chat.end_ids)

    def gather_once(self) -> None:
        """Let every layer be gathered now. The memory that this takes is kept, and were it taken in inference mode,
        as answers are made, it could not be trained in."""
        for module in (self.engine.decoder, *self.engine.decoder.layers):
            module.unshard()
            module.reshard()

    def _fill(self, rows: list[Row], work: Callable[[list[Row]], None]) -> None:
        """Without a net: what fails in one process has not failed in the others, and they would wait for it."""
        if rows:
            work(rows)


class PartEngine(Engine):
    """The engine of one of several processes."""

    def __init__(self, model: nn.Module, stack: Any, end_ids: frozenset[int]) -> None:
        super().__init__(model, stack, end_ids)
        self.processes, self._rank = dist.get_world_size(), dist.get_rank()

    def room(self, most: int | None = None) -> int:
        """What all have: batches are cut alike everywhere."""
        found = torch.tensor(super().room(most), dtype=torch.int64)
        dist.all_reduce(found, dist.ReduceOp.MIN)
        return int(found)

    def spread(self, most: int, rows: int) -> int:
        return max(1, min(most, math.ceil(rows / self.processes)))

    def mine(self, passes: Sequence[T]) -> Iterator[tuple[T, bool]]:
        """Every so manyth pass; where they don't come out even, one is taken again and counts nothing, because all
        processes must gather the layers as often."""
        for start in range(0, len(passes), self.processes):
            turn = start + self._rank
            yield passes[min(turn, len(passes) - 1)], turn < len(passes)

    def add_up(self, gradients: Sequence[Tensor], counts: Sequence[float]) -> list[float]:
        for gradient_P in gradients:
            dist.all_reduce(gradient_P)
        totals = torch.tensor(counts, dtype=torch.float64)
        dist.all_reduce(totals)
        return totals.tolist()

    def _choose(self, logits: Tensor, rows: Sequence[Row]) -> list[int]:
        """The first process's tokens: a rounding that differs must not part the ways."""
        tokens = torch.tensor(super()._choose(logits, rows))
        dist.broadcast(tokens, src=0)
        chosen: list[int] = tokens.tolist()
        return chosen


def _shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Shard the decoder's layers; embeddings, the last norm and the head stay whole on each device."""
    decoder: Any = model.get_decoder()  # type: ignore[operator]
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh)
    sharded = {id(parameter) for parameter in decoder.layers.parameters()}
    rest = {parameter for parameter in model.parameters() if id(parameter) not in sharded}
    fully_shard(decoder, mesh=mesh, ignored_params=rest)
    for tensor in (*rest, *model.buffers()):
        tensor.data = tensor.data.to(mesh.device_type)


# --- what the first process asks, and the others do with it ------------------------------------------------------


class ShardedBackend:
    """The model as the first process sees it: each call is told to the others before it is made here."""

    def __init__(self, party: Party, part: PartBackend) -> None:
        self._party, self._part = party, part
        self.info, self.capabilities = part.info, part.capabilities
        self.count, self.trainable = part.count, part.trainable
        self.save_adapter, self.save_state = part.save_adapter, part.save_state

    def _together(self, word: str, *told: Any) -> None:
        self._party.say(word, *told)
        self._party.in_a_call = True

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Answer all requests as one batch."""
        self._together("answer", requests)
        answers = list(self._part.answer(requests))
        self._party.in_a_call = False
        yield from answers

    def score(self, requests: Sequence[Request], targets: Sequence[str]) -> Iterator[Score]:
        """How likely each target is as the whole answer to its request."""
        self._together("score", requests, targets)
        scores = list(self._part.score(requests, targets))
        self._party.in_a_call = False
        yield from scores

    def train(self, trials: Sequence[TrialPlan], stopped: Stopped | None = None) -> Iterator[Step]:
        """Train adapters for these trials, one after the other, with the rows of each step shared out."""

        def asked(trial: int) -> bool:
            verdict = bool(stopped and stopped(trial))
            self._together("stopped", verdict)
            return verdict

        self._together("train", trials)
        try:
            for step in self._part.train(trials, asked):
                self._party.in_a_call = False
                yield step
            self._party.in_a_call = False
        except UserError:  # raised alike everywhere
            self._party.in_a_call = False
            raise
        except GeneratorExit:
            self._party.say("close")
            raise

    def load_adapter(self, trial: int, folder: Path) -> None:
        """Load an adapter here, and send it to the others."""
        self._part.load_adapter(trial, folder)
        self._party.say("load_adapter", trial, storage.read_tree(folder))

    def forget(self, trials: Sequence[int]) -> None:
        """Drop the adapters of these trials."""
        self._part.forget(trials)
        self._party.say("forget", trials)


class _Closed(Exception):
    """The first process reads no further step."""


def _follow(party: Party) -> None:
    """Do what the first process asks of its model, until it ends."""
    part: PartBackend | None = None
    while True:
        word, told = party.hear()
        if word == "end":
            return
        try:
            if word == "load":
                part = _load(party, *told)
            elif part is not None:
                _serve(party, part, word, told)
        except UserError:  # the first process raises it, too, and says it
            continue


def _serve(party: Party, part: PartBackend, word: str, told: tuple[Any, ...]) -> None:
    if word == "answer":
        list(part.answer(*told))
    elif word == "score":
        list(part.score(*told))
    elif word == "train":
        _train_along(party, part, *told)
    elif word == "load_adapter":
        trial, files = told
        with tempfile.TemporaryDirectory() as folder:
            storage.write_tree(Path(folder), files)
            part.load_adapter(trial, Path(folder))
    elif word == "forget":
        part.forget(*told)


def _train_along(party: Party, part: PartBackend, trials: Sequence[TrialPlan]) -> None:
    def asked(trial: int) -> bool:
        while True:
            word, told = party.hear()
            if word == "stopped":
                return bool(told[0])
            if word == "close":
                raise _Closed
            _serve(party, part, word, told)  # answers between two steps

    try:
        for _ in part.train(trials, asked):
            pass
    except _Closed:
        pass
