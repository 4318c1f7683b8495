"""Base and adapter at TinyLlama's shape (random weights, 2.2 GB) to GGUF: time, peak memory and bytes written.

Beside each export stands PEFT's merge and save alone, in the same round: the first of the usual chain's steps, and
the only one that installs from a package registry without a compiler. A ratio against it therefore flatters the chain,
whose converter and quantiser come on top. The floor is the same reading, merging and writing without quantising (F16).
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
    peak: int  # bytes of resident memory
    written: int  # bytes that lie in its folder afterwards


def write_adapter(base: Path, folder: Path) -> None:
    """A random LoRA on all seven matrices of each layer, in PEFT's format."""
    from safetensors.numpy import save_file

    from kurabe.export.weights import tensors

    rng = np.random.default_rng(0)
    pairs = {}
    for name, tensor in tensors([base / "model.safetensors"]).items():
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


def timed(command: list[str], out: Path, threads: int) -> Took:
    """Run a command; its peak memory is asked for fifty times a second."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    began = time.monotonic()
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
    return Took(seconds, peak, sum(path.stat().st_size for path in out.rglob("*") if path.is_file()))


def main() -> None:
    options = measuring.arguments(__doc__, rounds=3)
    options.add_argument("--layers", type=int, default=None, help="fewer layers, for a quick look")
    options.add_argument("--formats", default=",".join(FORMATS))
    chosen = options.parse_args()
    threads = chosen.threads or os.cpu_count() or 1
    print(measuring.hardware(threads))
    print(f"{'round':>5} {'what':>18} {'seconds':>9} {'peak MB':>9} {'written MB':>11}   load average")
    times: dict[str, list[Took]] = {}
    with tempfile.TemporaryDirectory() as work:
        base, adapter = Path(work, "base"), Path(work, "adapter")
        base.mkdir()
        tinyllama.write(base, chosen.layers)
        write_adapter(base, adapter)
        sides = {
            f"kurabe {name}": [
                sys.executable, "-m", "kurabe", "ship", "--base", str(base), "--adapter", str(adapter),
                "--formats", name, "--quiet", "--out",
            ]
            for name in chosen.formats.split(",")
        } | {"PEFT merge, save": [sys.executable, str(HERE / "peer_merge.py"), str(base), str(adapter)]}  # fmt: skip
        for round_ in range(1, chosen.rounds + 1):
            for what, command in sides.items():
                with tempfile.TemporaryDirectory(dir=work) as out:
                    took = timed([*command, out], Path(out), threads)
                times.setdefault(what, []).append(took)
                print(
                    f"{round_:>5} {what:>18} {took.seconds:9.1f} {took.peak / 1e6:9.0f} {took.written / 1e6:11.0f}"
                    f"   {measuring.load_average():.1f}",
                    flush=True,
                )
    merge = statistics.median(took.seconds for took in times["PEFT merge, save"])
    for what, rounds in times.items():
        seconds = statistics.median(took.seconds for took in rounds)
        print(f"{what}: median {seconds:.1f} s of {len(rounds)}, {seconds / merge:.2f}x of PEFT's merge alone")


if __name__ == "__main__":
    main()
