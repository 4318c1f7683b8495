"""One LoRA at TinyLlama-1.1B's shape, ten rows x three epochs: kurabe beside the old show's own loop.

Both train the same ten rows from random weights in float32, nine optimizer steps of four rows. The show's loop
(`peer_show.py`) pads each row to 512 and takes them one by one; kurabe takes the answers only, without padding. Most of
the ratio is therefore work left out, so a second figure is printed: kurabe doing the first step of the `origin` recipe,
which is the show's own step, padding and all. Its loss must be the show's. Of the show, one epoch is measured and
counted three times.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import measuring
import peer_trl
import tinyllama
from measuring import Outcome, Shape

EPOCHS = 3
HERE = Path(__file__).resolve().parent


def make_trials(backend: Any) -> tuple[Any, Any]:
    """(`fair` on ten rows x three epochs in steps of four, `origin` on the same rows)."""
    from kurabe import intake, recipes
    from kurabe.settings import RunSettings

    request, examples = intake.read(measuring.SUPPORT, RunSettings())
    short = {"batch": 4, "epochs": EPOCHS, "min_steps": 0, "exposures": 0, "wordings": 1}
    fair = recipes.RECIPES["fair"].model_copy(update=short)
    pair = ((1, fair), (2, recipes.RECIPES["origin"]))
    one, other = (
        measuring.trial_of(recipe, examples, request.language, backend.info.hidden, number, seed=0)
        for number, recipe in pair
    )
    return one, other


def show_job(backend: Any, origin: Any, folder: Path, steps: int, threads: int) -> dict[str, Any]:
    """The first steps of `origin`, row by row as kurabe takes them, for the show's loop."""
    import torch

    from kurabe.train import Job, Trainee

    plan, recipe = origin.plan, origin.plan.recipe
    rows = tuple(backend.chat.sample(sample.messages, recipe.loss_on) for sample in origin.samples)
    trainee = Trainee(Job(origin.trial, plan, rows, origin.seed), torch.empty(0), torch.empty(0))
    return {
        "model": str(folder), "threads": threads, "pad_to": recipe.pad_to, "pad_id": backend.chat.pad_id,
        "rank": recipe.rank, "alpha": recipe.alpha, "dropout": recipe.dropout, "rate": plan.rate,
        "warmup": recipe.warmup_steps, "whole_steps": plan.steps,
        "steps": [[row.ids for row in trainee.rows(step)] for step in range(steps)],
    }  # fmt: skip


def one_round(folder: Path, threads: int, show_steps: int, imported: float) -> dict[str, Any]:
    """Both sides once; kurabe in this process, which took `imported` seconds to start."""
    from kurabe.backends import load
    from kurabe.settings import RunSettings

    began = measuring.since_start()
    backend: Any = load(RunSettings(model=str(folder), threads=threads, device="cpu"))
    loaded = measuring.since_start() - began
    fair, origin = make_trials(backend)
    began = measuring.since_start()
    steps = list(backend.train([fair]))
    trained = measuring.since_start() - began
    first = origin._replace(plan=origin.plan.model_copy(update={"rates": origin.plan.rates[:1]}))
    (padded,) = backend.train([first])
    job = show_job(backend, origin, folder, show_steps, threads)
    del backend
    gc.collect()  # before the other side loads its own 4.4 GB
    ours = {"import": imported, "load": loaded, "train": trained}
    ours["total"] = sum(ours.values())
    show = peer_trl.run(job, folder, HERE / "peer_show.py")
    theirs = dict(show["seconds"])
    theirs["train"] *= EPOCHS * len(origin.samples) / sum(map(len, job["steps"]))  # by rows
    theirs["total"] = sum(theirs.values())
    return {"ours": ours, "theirs": theirs, "steps": steps, "padded": padded, "show": show["steps"]}


def main() -> None:
    parser = measuring.arguments(__doc__, rounds=1)
    parser.add_argument("--layers", type=int, default=None, help="fewer layers than TinyLlama's 22, for a quick try")
    parser.add_argument("--show-steps", type=int, default=3, help="steps of the show's loop to measure (3: one epoch)")
    args = parser.parse_args()
    threads = args.threads or os.cpu_count() or 1
    import kurabe.hf  # noqa: F401  (so that its time is counted as import)

    imported = measuring.since_start()
    print(measuring.hardware(threads))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tokenizer = tinyllama.write(folder, args.layers)
        shape = Shape.of(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        limits = measuring.measure_limits(threads)
        print(f"{(shape.body + shape.head) / 1e9:.2f}G parameters in products, tokenizer {tokenizer}; {limits}")
        measuring.print_head()
        found = []
        for number in range(1, args.rounds + 1):
            found.append(one_round(folder, threads, args.show_steps, imported))
            measuring.print_parts(number, "kurabe", found[-1]["ours"])
            measuring.print_parts(number, "the show, scaled", found[-1]["theirs"])
    last = found[-1]
    checks, figures = check(last)
    measuring.print_checks(checks, figures)
    work = sum(shape.training(step.positions, step.supervised) for step in last["steps"])
    tokens = sum(step.positions for step in last["steps"])
    padded = shape.training(last["padded"].positions, last["padded"].supervised)
    measuring.print_limit(
        "training without padding (4N FLOPs per position)", tokens, work / limits.flops,
        {"kurabe": last["ours"]["train"], "the show, scaled": last["theirs"]["train"]},
    )  # fmt: skip
    measuring.print_limit(
        "the show's first step, padding and all", last["padded"].positions, padded / limits.flops,
        {"kurabe": last["padded"].seconds, "the show": last["show"][0]["seconds"]},
    )  # fmt: skip
    ratios = [one["theirs"]["total"] / one["ours"]["total"] for one in found]
    training = statistics.median(one["theirs"]["train"] / one["ours"]["train"] for one in found)
    note = f"training alone {training:.2f}x; the show's time scaled up from {args.show_steps} of 9 steps"
    if args.layers:
        note += f"; {measuring.SMALLER}"
    name = "one LoRA at TinyLlama-1.1B's shape, 10 rows x 3 epochs"
    cuda = "time to verdict and tokens/s on CUDA"
    measuring.report(
        [
            Outcome(name, "the old show's loop", 6.0, statistics.median(ratios), args.rounds, checks, note),
            Outcome(f"{cuda}, 1.1B", "TRL tuned, Unsloth", 2.0, note="needs CUDA; no script for it yet"),
            Outcome(f"{cuda}, 7B", "TRL tuned, Unsloth", 1.0, note="needs CUDA; no script for it yet"),
        ],
        args.outcomes,
    )


def check(found: dict[str, Any]) -> tuple[dict[str, bool], dict[str, Any]]:
    """Whether `origin`'s first step is the show's: adapters start at zero, so that dropout changes nothing there."""
    ours, theirs = found["padded"].loss, found["show"][0]["loss"]
    own = [step.loss for step in found["steps"]]
    norms = [step.grad_norm for step in (*found["steps"], found["padded"])], [s["grad_norm"] for s in found["show"]]
    checks = {
        "the show's first loss is origin's": abs(ours - theirs) <= 1e-3 * theirs,
        "no gradient is zero": all(norm and norm > 0 for norm in (*norms[0], *norms[1])),
        "fair's loss falls": own[-1] < own[0],
    }
    figures = {
        "first loss of the padded job (kurabe, show)": (round(ours, 5), round(theirs, 5)),
        "smallest gradient norm (kurabe, show)": f"{min(norms[0]):.2g}, {min(norms[1]):.2g}",
        "fair's loss, first and last step": (round(own[0], 3), round(own[-1], 3)),
    }
    return checks, figures


if __name__ == "__main__":
    main()
