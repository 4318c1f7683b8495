"""One pass from base and adapter to GGUF files: read a slab, add B A, permute, round, quantise, write, hash.

Knows no model: the plan says what to do with which tensor. Holds a few slabs at a time, whatever the model's size, and
writes nothing but the results.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread, current_thread, local, main_thread
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kurabe import storage
from kurabe.errors import MissingError
from kurabe.export import gguf, layout
from kurabe.export.kquants import HERE, LAYOUTS, Searches
from kurabe.export.plan import File, Plan, Source
from kurabe.export.quants import quantize
from kurabe.export.weights import Rows, Tensor
from kurabe.provenance import cores

SLAB = 1 << 20  # weights that one worker works on at a time
LARGE = 50_000_000  # weights from which on starting processes costs less than they save
BESIDE_A_CARD = 4  # workers that read, merge and pack while a card searches; each holds a few of its large slabs
Bytes = NDArray[np.uint8]
Tell = Callable[[int, int], None]  # weights done, weights in all
_local = local()  # each worker's plan, and who searches for it


class Written(NamedTuple):
    """One file as it was written into the stage."""

    file: File
    sha256: str


class _Job(NamedTuple):
    source: Source
    start: int
    stop: int


def write(plan: Plan, stage: Path, tell: Tell | None = None, threads: int = 0) -> list[Written]:
    """Write every file of the plan into `stage`; the base is read once for all of them.

    Raises StoppedError for a full disk, MissingError for weights that are no finite numbers.
    """
    threads = threads or cores()
    searches = _searches(plan)
    if searches is not HERE:
        threads = min(threads, BESIDE_A_CARD)
    slab = max(SLAB, searches.piece)
    jobs = [job for entry in plan.files[0].entries for job in _slabs(plan.sources[entry.name], slab)]
    with ExitStack() as open_files, threadpool_limits(1), _pool(plan, searches, threads) as pool:
        outputs = [_Output(open_files.enter_context((stage / file.name).open("wb")), file) for file in plan.files]
        done = 0
        for job, blocks in _in_order(pool, plan, jobs, ahead=2 * threads):
            for output, block in zip(outputs, blocks, strict=True):
                output.take(job, block)
            done += (job.stop - job.start) * job.source.shape[-1]
            if tell:
                tell(done, plan.weights)
        digests = [output.close(stage) for output in outputs]
    return [Written(file, digest) for file, digest in zip(plan.files, digests, strict=True)]


def _searches(plan: Plan) -> Searches:
    """Who searches: the plan's device, where there is something to search."""
    if plan.device == "cpu" or not _searched(plan):
        return HERE
    from kurabe.export import kquants_torch  # torch alone is 300 MB

    return kquants_torch.on(plan.device)


def _searched(plan: Plan) -> bool:
    return any(entry.kind in LAYOUTS for file in plan.files for entry in file.entries)


def _pool(plan: Plan, searches: Searches, workers: int) -> Executor:
    """Threads where numpy mostly waits, for the disk or a card, or the model is small; processes for the search of the
    K types here.

    Its many short operations wait for Python's one lock: two threads are no faster than one there, two processes twice.
    """
    if workers > 1 and _searched(plan) and searches is HERE and plan.weights >= LARGE:
        # Spawned, not forked: the progress bar of the caller is a thread.
        return ProcessPoolExecutor(workers, get_context("spawn"), _begin, (plan,))
    return ThreadPoolExecutor(workers, initializer=_begin, initargs=(plan, searches))


def _begin(plan: Plan, searches: Searches = HERE) -> None:
    """A worker's start: it keeps the plan and who searches. A process of its own leaves Ctrl-C to its parent and ends
    with it."""
    _local.plan, _local.searches = plan, searches
    parent = parent_process()
    if parent is not None and current_thread() is main_thread():
        threadpool_limits(1)  # B A is small: BLAS threads of every worker would only wait for each other
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """A killed parent cannot end its workers, and each of them holds the queue open for the others."""
    wait([sentinel])
    os._exit(1)


def _slabs(source: Source, slab: int) -> Iterator[_Job]:
    """Row ranges of about `slab` weights; a permutation stays inside a head, so a slab holds whole heads."""
    rows = source.shape[0] if len(source.shape) > 1 else 1
    step = max(1, slab // source.shape[-1])
    if source.heads and rows > 1:
        head = rows // source.heads
        step = max(head, step // head * head)
    for start in range(0, rows, step):
        yield _Job(source, start, min(rows, start + step))


def _in_order(pool: Executor, plan: Plan, jobs: Sequence[_Job], ahead: int) -> Iterator[tuple[_Job, list[Bytes]]]:
    """The jobs' results in the jobs' order, at most `ahead` of them at a time."""
    running: deque[tuple[_Job, Future[list[Bytes]]]] = deque()
    kinds = [{entry.name: entry.kind for entry in file.entries} for file in plan.files]
    try:
        for job in jobs:
            if len(running) >= ahead:
                first, future = running.popleft()
                yield first, future.result()
            running.append((job, pool.submit(_convert, job, [kind[job.source.name] for kind in kinds])))
        while running:
            first, future = running.popleft()
            yield first, future.result()
    finally:
        for _, future in running:
            future.cancel()


def _convert(job: _Job, kinds: Sequence[str]) -> list[Bytes]:
    plan: Plan = _local.plan
    rows = permuted(job.source, merged(plan, job.source, job.start, job.stop))
    if not np.isfinite(rows).all():
        raise MissingError(
            f"The weights of {job.source.name} hold a value that is no finite number.",
            why="Every answer of such a model is empty or nonsense.",
            fix="Train the adapter again at a lower rate, or copy the model again.",
        )  # fmt: skip
    blocks = []
    for file, kind in zip(plan.files, kinds, strict=True):
        ready = rows
        if plan.match == "peer" and file.format not in layout.PLAIN and len(job.source.shape) > 1:
            ready = rounded(rows, "F16")  # the usual chain quantises an F16 file
        block = quantize(ready, kind, _local.searches)
        if kind == "F16" and np.isinf(block.view(np.float16)).any():
            raise MissingError(
                f"{job.source.name} holds a weight that F16 cannot.", why="The largest F16 number is 65,504.",
                fix="Choose BF16 instead of F16.",
            )  # fmt: skip
        blocks.append(block)
    return blocks


def merged(plan: Plan, source: Source, start: int, stop: int) -> Rows:
    """Rows start..stop of W + scale B A in float32; a vector is one row."""
    if not isinstance(source.tensor, Tensor):
        return np.atleast_2d(source.tensor)[start:stop]
    rows = source.tensor.read(start, stop)
    if not source.delta:
        return rows
    rows = rows + plan.adapter.deltas[source.delta].rows(start, stop)
    # PEFT adds to the stored weight, which rounds once.
    return rounded(rows, plan.dtype) if plan.match == "peer" else rows


def permuted(source: Source, rows: Rows) -> Rows:
    """Whole heads' rows in the order that the GGUF wants them."""
    if not source.heads:
        return rows
    if len(source.shape) == 1:
        return _interleaved(rows.reshape(-1, 1), source.heads).reshape(1, -1)
    return _interleaved(rows, source.heads * len(rows) // source.shape[0])


def _interleaved(rows: Rows, heads: int) -> Rows:
    """Row j of a head's first half beside row j of its second half."""
    n, columns = rows.shape
    halves = rows.reshape(heads, 2, n // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(n, columns)


def rounded(rows: Rows, kind: str) -> Rows:
    """The rows after they were stored as `kind` once."""
    if kind == "F32":
        return rows
    stored = quantize(rows, kind)
    if kind == "F16":
        return stored.view(np.float16).astype(np.float32)
    wide = stored.view(np.uint16).astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


class _Output:
    """One file being written. Its hash grows with it while tensors come in the file's own order."""

    def __init__(self, stream: BinaryIO, file: File) -> None:
        self._stream, self._file = stream, file
        self._entries = {entry.name: entry for entry in file.entries}
        self._taken = dict.fromkeys(self._entries, 0)
        self._digest: Any = hashlib.sha256()
        self._hashed = 0
        self._put(0, file.head)

    def take(self, job: _Job, block: Bytes) -> None:
        entry = self._entries[job.source.name]
        data = block.reshape(-1).data
        self._put(len(self._file.head) + entry.offset + self._taken[entry.name], data)
        self._taken[entry.name] += data.nbytes
        if self._taken[entry.name] == entry.size:
            self._put(len(self._file.head) + entry.offset + entry.size, bytes(gguf.padding(entry.size)))

    def _put(self, at: int, data: bytes | memoryview) -> None:
        self._stream.seek(at)
        self._stream.write(data)
        if at == self._hashed:
            self._digest.update(data)
            self._hashed += len(data) if isinstance(data, bytes) else data.nbytes

    def close(self, stage: Path) -> str:
        """Flush to the disk; the file's SHA-256. A tensor that came short is a bug, not a file."""
        short = [name for name, size in self._taken.items() if size != self._entries[name].size]
        if short:
            raise RuntimeError(f"{self._file.name}: bytes written differ from the plan for {short[:3]}")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        path = stage / self._file.name
        if path.stat().st_size != self._file.size:
            raise RuntimeError(f"{self._file.name} has {path.stat().st_size} bytes, planned were {self._file.size}")
        return self._digest.hexdigest() if self._hashed == self._file.size else storage.sha256(path)
