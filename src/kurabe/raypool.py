"""A pool of workers that Ray keeps: on this machine, or on a cluster that is there already.

The only module that knows Ray, and it knows nothing else: it runs generators and hands on what they yield.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from kurabe.cluster import Ended, Lost, Work
from kurabe.errors import MissingError, SettingsError, UserError

INSTALL = 'pip install "kurabe[ray]"'
# Ray reads these when it is imported or starts its processes: no word sent home; on this machine alone, not open to
# the network; and nothing printed between our own lines, which Ray would put on stdout.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}  # fmt: skip
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # its name for: the node's address is 127.0.0.1


class RayPool:
    """Ray's workers, each task a streaming generator."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._task: Any = None

    def reserve(self, threads: int, memory: int, gpu: bool) -> int:
        """What each task takes of a node; how many fit on all nodes together."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        gpus = gpu and any(node.get("GPU", 0) >= 1 for node in nodes)
        takes = {"CPU": threads, "memory": memory} | ({"GPU": 1} if gpus else {})
        slots = sum(min(int(node.get(name, 0) // amount) for name, amount in takes.items()) for node in nodes)
        if slots == 0:
            raise MissingError(
                "No machine of the cluster has room for this model.",
                why=f"A task takes {threads} CPUs and {memory:,} bytes; the largest of {len(nodes)} nodes offers "
                f"{int(max(node.get('CPU', 0) for node in nodes))} CPUs and "
                f"{int(max(node.get('memory', 0) for node in nodes)):,} bytes.",
                fix="Use larger machines or a smaller model, or fewer --threads.",
            )
        remote = self._ray.remote(num_returns="streaming", max_retries=0)  # who starts again is not Ray's decision
        self._task = remote(_run).options(num_cpus=threads, num_gpus=int(gpus), memory=memory)
        return slots

    def start(self, work: Work, arguments: tuple[Any, ...]) -> Any:
        """Hand a generator to Ray; its handle."""
        return self._task.remote(work, *arguments)

    def take(self, handles: Sequence[Any]) -> list[tuple[Any, Any]]:
        """What the next of these yielded, and all others that have something by now."""
        self._ray.wait(list(handles), num_returns=1)
        ready, _ = self._ray.wait(list(handles), num_returns=len(handles), timeout=0)
        return [(handle, self._next(handle)) for handle in ready]

    def _next(self, handle: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(next(handle))
        except StopIteration:
            return Ended()
        except errors.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        except errors.TaskCancelledError:
            raise
        except errors.RayError as error:
            return Lost(str(error).strip().split("\n")[0])

    def cancel(self, handles: Sequence[Any]) -> None:
        """End these tasks with their processes: a training does not listen."""
        for handle in handles:
            # A task whose node is gone has no owner any more; Ray says that with a TypeError.
            with contextlib.suppress(TypeError, self._ray.exceptions.RayError):
                self._ray.cancel(handle, force=True)


def _run(work: Work, *arguments: Any) -> Iterator[Any]:
    yield from work(*arguments)


@contextlib.contextmanager
def joined(address: str | None) -> Iterator[RayPool | None]:
    """The pool at an address of Ray's: `local` starts workers on this machine, `auto` is the cluster that this machine
    belongs to, else HOST:PORT. None where no address is given, or "none"."""
    if address in (None, "none"):
        yield None
        return
    if address.startswith("ray://"):
        raise SettingsError(
            "Ray's client protocol cannot stream what a task yields.", where=address,
            fix="Start kurabe on a machine of the cluster, with --ray auto.",
        )  # fmt: skip
    ray = _imported(local=address == "local")
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address)
    try:
        yield RayPool(ray)
    finally:
        if ours:
            ray.shutdown()


def _imported(local: bool) -> Any:
    os.environ.update(_QUIET | (_LOOPBACK if local else {}))
    try:
        import ray
    except ImportError:
        raise MissingError("Ray is not installed.", fix=INSTALL) from None
    return ray


def _connect(ray: Any, address: str) -> None:
    own = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address == "local" else {}
    with _signals_kept():
        try:
            ray.init(address=address, log_to_driver=False, logging_level="critical", **own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise MissingError(
                "There is no Ray cluster to work with.", where=address, why=str(error).strip().split("\n")[0],
                fix="Start one: ray start --head; or work on this machine alone: --ray local",
            ) from None  # fmt: skip


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; how a run is stopped is the run's own matter."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
