"""Base and adapter at TinyLlama's shape (random weights, 2.2 GB) to GGUF: time, peak memory and bytes written.

Beside each export stands PEFT's merge and save alone, in the same round: the first of the usual chain's steps, and
the only one that installs from a package registry without a compiler. A ratio against it therefore flatters the chain,
whose converter and quantiser come on top. The floor is the same reading, merging and writing without quantising (F16).
With --sizes 0.1,1.1,3 models of these billions of weights are exported instead, and the seconds for each billion stand
side by side: of processor time, which other programs disturb least, and as the clock went.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import measuring
import numpy as np
import psutil
import tinyllama

HERE = Path(__file__).resolve().parent
RANK = 16
FORMATS = ("Q4_K_M", "Q8_0", "F16")


class Took(NamedTuple):
    """One process from its start to its end."""

    seconds: float
    cpu: float  # seconds of processor time, workers included
    peak: int  # bytes of resident memory
    written: int  # bytes that lie in its folder afterwards


def write_adapter(base: Path, folder: Path) -> None:
    """A random LoRA on all seven matrices of each layer, in PEFT's format."""
    from safetensors.numpy import save_file

    from kurabe.export.weights import tensors

    rng = np.random.default_rng(0)
    pairs = {}
    for name, tensor in tensors(sorted(base.glob("*.safetensors"))).items():
        if "_proj." in name:
            key = "base_model.model." + name.removesuffix(".weight")
            rows, columns = tensor.shape
            pairs[f"{key}.lora_A.weight"] = rng.normal(0, 0.02, (RANK, columns)).astype(np.float32)
            pairs[f"{key}.lora_B.weight"] = rng.normal(0, 0.02, (rows, RANK)).astype(np.float32)
    folder.mkdir()
    save_file(pairs, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 2 * RANK, "lora_dropout": 0.0,
        "bias": "none", "target_modules": targets, "base_model_name_or_path": str(base),
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")


def resident(process: psutil.Process) -> int:
    """Bytes of a process and of those that it started; what they share counts in each."""
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += child.memory_info().rss
    return total


def used() -> float:
    """Seconds of processor time of all children that ended."""
    times = os.times()
    return times.children_user + times.children_system


def timed(command: list[str], out: Path, threads: int) -> Took:
    """Run a command; its peak memory is asked for fifty times a second."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    began, spent = time.monotonic(), used()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = 0

    def watch() -> None:
        nonlocal peak
        try:
            while process.poll() is None:
                peak = max(peak, resident(psutil.Process(process.pid)))
                time.sleep(0.02)
        except psutil.NoSuchProcess:
            return

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(errors.decode())
    seconds = time.monotonic() - began
    return Took(seconds, used() - spent, peak, sum(path.stat().st_size for path in out.rglob("*") if path.is_file()))


def command(base: Path, adapter: Path, name: str, device: str) -> list[str]:
    """One export; the folder comes last."""
    return [
        sys.executable, "-m", "kurabe", "ship", "--base", str(base), "--adapter", str(adapter),
        "--formats", name, "--device", device, "--quiet", "--out",
    ]  # fmt: skip


def by_size(sizes: list[str], formats: list[str], rounds: int, threads: int, device: str) -> None:
    """A row per size, format and round."""
    print(
        f"{'weights':>8} {'format':>7} {'seconds':>8} {'cpu s':>7} {'cpu s/10^9':>11} {'peak MB':>8} {'MB':>6}"
        "   load average"
    )
    for size in sizes:
        with tempfile.TemporaryDirectory() as work:
            base, adapter = Path(work, "base"), Path(work, "adapter")
            base.mkdir()
            tinyllama.write(base, size=size)
            write_adapter(base, adapter)
            weights = sum(path.stat().st_size for path in base.glob("*.safetensors")) / 2e9  # bf16
            for name in formats * rounds:
                with tempfile.TemporaryDirectory(dir=work) as out:
                    took = timed([*command(base, adapter, name, device), out], Path(out), threads)
                print(
                    f"{weights:7.2f}G {name:>7} {took.seconds:8.1f} {took.cpu:7.1f} {took.cpu / weights:11.1f} "
                    f"{took.peak / 1e6:8.0f} {took.written / 1e6:6.0f}   {measuring.load_average():.1f}",
                    flush=True,
                )


def main() -> None:
    options = measuring.arguments(__doc__, rounds=3)
    options.add_argument("--layers", type=int, default=None, help="fewer layers, for a quick look")
    options.add_argument("--formats", default=",".join(FORMATS))
    options.add_argument("--device", default="cpu", choices=["cpu", "cuda", "mps"], help="that searches the K types")
    options.add_argument("--sizes", default="", help="billions of weights: 0.1,1.1,3")
    chosen = options.parse_args()
    threads = chosen.threads or os.cpu_count() or 1
    print(measuring.hardware(threads))
    if chosen.sizes:
        by_size(chosen.sizes.split(","), chosen.formats.split(","), chosen.rounds, threads, chosen.device)
        return
    print(f"{'round':>5} {'what':>18} {'seconds':>9} {'peak MB':>9} {'written MB':>11}   load average")
    times: dict[str, list[Took]] = {}
    with tempfile.TemporaryDirectory() as work:
        base, adapter = Path(work, "base"), Path(work, "adapter")
        base.mkdir()
        tinyllama.write(base, chosen.layers)
        write_adapter(base, adapter)
        sides = {f"kurabe {name}": command(base, adapter, name, chosen.device) for name in chosen.formats.split(",")}
        sides["PEFT merge, save"] = [sys.executable, str(HERE / "peer_merge.py"), str(base), str(adapter)]
        for round_ in range(1, chosen.rounds + 1):
            for what, line in sides.items():
                with tempfile.TemporaryDirectory(dir=work) as out:
                    took = timed([*line, out], Path(out), threads)
                times.setdefault(what, []).append(took)
                print(
                    f"{round_:>5} {what:>18} {took.seconds:9.1f} {took.peak / 1e6:9.0f} {took.written / 1e6:11.0f}"
                    f"   {measuring.load_average():.1f}",
                    flush=True,
                )
    floor = times.get("kurabe F16")
    if floor and "kurabe Q4_K_M" in times:
        share = min(took.cpu for took in floor) / min(took.cpu for took in times["kurabe Q4_K_M"])
        print(f"floor: reading, merging and writing (F16) is {share:.0%} of Q4_K_M's processor time")
    merge = statistics.median(took.seconds for took in times["PEFT merge, save"])
    for what, rounds in times.items():
        seconds = statistics.median(took.seconds for took in rounds)
        print(f"{what}: median {seconds:.1f} s of {len(rounds)}, {seconds / merge:.2f}x of PEFT's merge alone")


if __name__ == "__main__":
    main()
