"""The memory that kurabe plans before a run, beside what the process then took: loading, training, answering.

Random models of four sizes, each in a process of its own; `fair` on the example shop, a few steps of it, then one batch
of answers with the prompt. A plan holds when it is within 20 % of the measured peak.

    python benchmarks/memory.py [--shapes tiny,0.1B,0.5B,1.1B] [--dtype auto|float32|bfloat16]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tinyllama
from measuring import ROOT, SUPPORT, arguments, hardware

WITHIN = 0.2
STEPS = 2
TOKENS = 16  # of an answer, in the plan and in the measurement
SHAPES: dict[str, dict[str, Any] | None] = {
    "tiny": None,  # the embedded model
    "0.1B": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12},
    # Qwen2.5-0.5B's widths: a large vocabulary, tied.
    "0.5B": {
        "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 151_936, "tie_word_embeddings": True,
    },
    "1.1B": {},
}  # fmt: skip


def measure(model: str, dtype: str, threads: int | None) -> dict[str, Any]:
    """Plan and measurement of this process, in bytes."""
    from kurabe import backends, footprint, intake, planning
    from kurabe.meter import Meter
    from kurabe.settings import RunSettings

    settings = RunSettings.model_validate(
        {"model": model, "dtype": dtype, "threads": threads, "device": "cpu", "max_new_tokens": TOKENS}
    )
    request, examples = intake.read(SUPPORT, settings)
    material = intake.material(request, examples)
    import torch
    import transformers.models.auto.modeling_auto  # noqa: F401  (the libraries are no part of the loading)

    with Meter() as loading:
        backend = backends.load(settings)
    work = planning.plan_work(material, settings, backend)
    found = footprint.plan(work, material, backend)
    assert found is not None
    make = planning.request_maker(material, work.questions, work.max_new_tokens)
    batch = max(
        (b for b in work.batches if b.keys[0].trial == 0), key=lambda b: backend.count(make(b.keys[0]).messages)
    )
    with Meter() as training:
        for step in backend.train([work.trainings.compared[0].trial]):
            if step.step >= STEPS:
                break
    with Meter() as answering:
        errors = [a.error for a in backend.answer([make(key) for key in batch.keys]) if a.error]
    assert not errors, errors
    return {
        "parameters": backend.info.parameters, "dtype": backend.info.dtype, "plan": found._asdict(),
        "planned": [found.libraries + found.weights + found.loading, found.training, found.answering, found.peak],
        "measured": [m.peak_memory for m in (loading, training, answering)], "torch": torch.__version__,
    }  # fmt: skip


def main() -> None:
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--shapes", default=",".join(SHAPES), help="which of the sizes")
    parser.add_argument("--dtype", default="auto", help="numbers of the layers' products")
    parser.add_argument("--child", default="", help="internal: measure this model folder here")
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(measure(chosen.child, chosen.dtype, chosen.threads)))
        return
    print(hardware(chosen.threads or 0))
    print(f"{'shape':6s} {'dtype':9s} {'phase':10s} {'planned':>9s} {'measured':>9s}   off")
    missed = [name for name in chosen.shapes.split(",") if not show(name, chosen)]
    if missed:
        sys.exit(f"the plan of the peak is more than {WITHIN:.0%} off: {', '.join(missed)}")


def show(name: str, chosen: Any) -> bool:
    """The lines of one size; whether its planned peak holds."""
    with tempfile.TemporaryDirectory() as folder:
        changes = SHAPES[name]
        if changes is not None:
            tinyllama.write(Path(folder), changes=changes)
        command = [sys.executable, __file__, "--child", "tiny" if changes is None else folder, "--dtype", chosen.dtype]
        if chosen.threads:
            command += ["--threads", str(chosen.threads)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout)
    measured = [*found["measured"], max(found["measured"])]
    off = [planned / real - 1 for planned, real in zip(found["planned"], measured, strict=True)]
    for phase, planned, real, gap in zip(
        ("loading", "training", "answering", "peak"), found["planned"], measured, off, strict=True
    ):
        print(f"{name:6s} {found['dtype']:9s} {phase:10s} {planned / 1e9:6.2f} GB {real / 1e9:6.2f} GB {gap:+6.1%}")
    print("       " + ", ".join(f"{part} {size / 1e9:.2f}" for part, size in found["plan"].items()))
    return abs(off[-1]) <= WITHIN


if __name__ == "__main__":
    main()
