"""From process start to scored answers: kurabe beside TRL + PEFT + `generate`, on equal data, steps and arms.

Each round runs kurabe and the peers one after another, each in a process of its own: TRL as it comes ("plain") and as
one who knows it would set it ("tuned", see `peer_trl.py`). A ratio counts where its checks hold: the untuned arms'
answers are the same, no gradient is zero, the losses of both recipes fall alike, and recall is alike. Each round has a
seed of its own, on all sides, and recall is compared in the mean of the rounds: with one seed the arm `lora+prompt` may
lie twenty points apart by luck alone (docs/notebook.md, 2026-11-28). (`origin` is trained with dropout, whose draws
differ; both sides take its loss on padding, too, which TRL leaves out by itself. TRL's answers have a token more each:
the line break that the template writes after the end of a turn.)
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measuring
import peer_trl
from measuring import SUPPORT, Asked, Outcome, Shape

RECIPES = ("fair", "origin")
WORK = "the main job's experiment, process start to verdict"
TARGETS = {"plain": ("TRL + PEFT + generate, its defaults", 3.0), "tuned": ("TRL tuned", 2.0)}
RECALL_TOLERANCE = 0.15


def run_kurabe(folder: Path, threads: int, seed: int) -> dict[str, Any]:
    """One whole `kurabe run` in a process of its own; its parts from the run folder."""
    command = [
        sys.executable, "-m", "kurabe", "run", str(SUPPORT), "--recipes", ",".join(RECIPES), "--arms", "all",
        "--runs", str(folder), "--name", "ours", "--threads", str(threads), "--seed", str(seed),
        "--quiet",
    ]  # fmt: skip
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    total = time.monotonic() - began
    run = folder / "ours"
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    stage = {e["values"]["name"]: e["values"]["seconds"] for e in events if _is_end(e)}
    seconds = {"load": stage["load"], "train": stage["train"], "answer": stage["base"] + stage["answer"]}
    # Starting Python, importing, reading the file, and the analysis: what is left.
    seconds = {"import": total - sum(seconds.values()), **seconds, "total": total}
    return {"seconds": seconds, "folder": run, "steps": [e["values"] for e in events if e["kind"] == "step"]}


def _is_end(event: dict[str, Any]) -> bool:
    return event["kind"] == "stage" and event["values"]["state"] == "end"


def describe_job(run: Path, threads: int, peer: str) -> dict[str, Any]:
    """The same samples, plans and questions as a file that the peer reads."""
    from kurabe import arms, planning, recipes
    from kurabe.runs import RunFolder

    folder = RunFolder.open(run)
    info, request, examples = folder.info(), folder.request(), folder.examples()
    material = arms.Material(examples, request.prompt, request.language)
    make = planning.request_maker(material, folder.questions(), info.max_new_tokens)
    requests = [make(key).model_dump(mode="json") for batch in folder.plan() for key in batch.keys]
    trials = []
    for done in info.trials:
        recipe = recipes.for_model(recipes.RECIPES[done.recipe], info.model.parameters)
        rows = arms.shuffle(examples, info.settings["seed"]) if done.shuffled else examples
        trial = measuring.trial_of(recipe, rows, request.language, info.model.hidden, done.trial, done.seed)
        assert (trial.plan.steps, trial.plan.rate) == (done.steps, done.rate), "not the trial that the run made"
        trials.append(measuring.describe_trial(trial))
    return {
        "model": info.model.path, "threads": threads, "peer": peer, "requests": requests, "trials": trials,
        "questions": [q.model_dump(mode="json") for q in folder.questions()],
    }  # fmt: skip


def check(ours: dict[str, Any], peer: dict[str, Any]) -> tuple[dict[str, bool], dict[str, Any]]:
    """Whether both did the same work, and the figures that say so."""
    from kurabe.runs import RunFolder

    folder = RunFolder.open(ours["folder"])
    mine = {a.key.model_dump_json(): a for a in folder.answers()}
    theirs = {json.dumps(a["key"], separators=(",", ":")): a["text"] for a in peer["answers"]}
    assert mine.keys() == theirs.keys(), "not the same questions"
    untuned = [key for key, a in mine.items() if a.key.trial == 0]
    same = sum(mine[k].text.strip() == theirs[k].strip() for k in untuned) / len(untuned)
    own: dict[int, list[float]] = {}
    for step in ours["steps"]:
        own.setdefault(step["trial"], []).append(step["loss"])
    curves = {
        f"{t.recipe}, shuffled" if t.shuffled else t.recipe: (own[t.trial], peer["losses"][str(t.trial)])
        for t in folder.info().trials
    }
    norms = min(s["grad_norm"] or 0.0 for s in ours["steps"]), min(map(min, peer["grad_norms"].values()))
    checks = {
        "untuned answers equal": same >= 0.99,
        "no gradient is zero": min(norms) > 0,
        "losses fall alike": all(measuring.curves_alike(*both) for both in curves.values()),
    }
    figures = {
        "untuned answers equal": f"{same:.1%} of {len(untuned)}",
        "smallest gradient norm (kurabe, peer)": "{:.2g}, {:.2g}".format(*norms),
        "loss by fifths of the training (kurabe, peer)": {
            recipe: [measuring.rounded_fifths(curve) for curve in both] for recipe, both in curves.items()
        },
    }
    return checks, figures


def recalls(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Held-out recall of each arm: kurabe's, the peer's."""
    from kurabe.runs import RunFolder

    results = RunFolder.open(ours["folder"]).results()
    assert results is not None
    return {a.label: (a.recall.value or 0.0, peer["recall"][f"{a.arm}/{a.trial}"]) for a in results.arms}


def compare(rounds: list[dict[str, tuple[float, float]]]) -> tuple[dict[str, bool], dict[str, Any]]:
    """Whether the recall of every arm is alike in the mean of the rounds, and the figures that say so."""
    means = {
        label: tuple(round(statistics.fmean(one[label][side] for one in rounds), 3) for side in (0, 1))
        for label in rounds[0]
    }
    alike = all(abs(a - b) <= RECALL_TOLERANCE for a, b in means.values())
    return {"recall alike": alike}, {"mean recall of the rounds (kurabe, peer)": means}


def print_limits(ours: dict[str, Any], peers: dict[str, dict[str, Any]], threads: int) -> None:
    """What this machine could do at best, beside what both took."""
    from kurabe.runs import RunFolder

    limits = measuring.measure_limits(threads)
    folder = RunFolder.open(ours["folder"])
    shape = Shape.of(json.loads((Path(folder.info().model.path) / "config.json").read_text(encoding="utf-8")))
    flops = sum(shape.training(step["positions"], step["supervised"]) for step in ours["steps"])
    asked = {a.key: Asked(a.prompt_tokens, a.cached_tokens, a.new_tokens) for a in folder.answers()}
    batches = [[asked[key] for key in batch.keys] for batch in folder.plan()]
    sides = {"kurabe": ours, **{f"TRL {name}": peer for name, peer in peers.items()}}
    took = {part: {who: side["seconds"][part] for who, side in sides.items()} for part in ("train", "answer")}
    print(f"this machine: {limits}")
    trained = sum(step["positions"] for step in ours["steps"])
    measuring.print_limit("training (4N FLOPs per position)", trained, flops / limits.flops, took["train"])
    new = sum(row.new for row in asked.values())
    least = measuring.answering_seconds(shape, limits, batches)
    measuring.print_limit("decoding, prompts shared as kurabe does", new, least, took["answer"])


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument(
        "--peers", nargs="+", choices=peer_trl.HABITS, default=list(TARGETS), help="default: plain tuned"
    )
    args = parser.parse_args()
    threads = args.threads or os.cpu_count() or 1
    ratios: dict[str, list[float]] = {name: [] for name in args.peers}
    checks: dict[str, dict[str, bool]] = {}
    recall: dict[str, list[dict[str, tuple[float, float]]]] = {name: [] for name in args.peers}
    print(measuring.hardware(threads))
    measuring.print_head()
    for number in range(1, args.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            ours, peers = run_kurabe(Path(folder), threads, number - 1), {}
            measuring.print_parts(number, "kurabe", ours["seconds"])
            for name in args.peers:
                peers[name] = peer_trl.run(describe_job(ours["folder"], threads, name), Path(folder))
                measuring.print_parts(number, f"TRL {name}", peers[name]["seconds"])
                ratios[name].append(peers[name]["seconds"]["total"] / ours["seconds"]["total"])
                recall[name].append(recalls(ours, peers[name]))
                found, figures = check(ours, peers[name])
                measuring.print_checks(found, figures)
                checks[name] = {what: held and checks.get(name, found)[what] for what, held in found.items()}
            if number == 1:
                print_limits(ours, peers, threads)
    for name, each in recall.items():
        alike, figures = compare(each)
        measuring.print_checks(alike, figures)
        checks[name] |= alike
    outcomes = [
        Outcome(WORK, *TARGETS[name], statistics.median(times), args.rounds, checks[name])
        for name, times in ratios.items()
        if name in TARGETS
    ]
    measuring.report(outcomes, args.outcomes)
    for name in ratios.keys() - TARGETS.keys():
        print(f"TRL {name} / kurabe: {statistics.median(ratios[name]):.2f}")


if __name__ == "__main__":
    main()
