"""From process start to scored answers: kurabe beside TRL + PEFT + `generate`, on equal data, steps and arms.

`python benchmarks/time_to_verdict.py [--rounds 3] [--peer plain|tuned]`. Each round runs both, one after the other, in
processes of their own, and prints the ratio with its parts. A ratio counts only where the checks under it hold: the
untuned arms' answers are the same, gradients are not zero, losses end alike, recall is alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "examples" / "support-en.jsonl"
RECIPES = ("fair", "origin")
# What a plain user leaves as it is, and what one who knows TRL well would set for a small model on a CPU.
PEERS: dict[str, dict[str, Any]] = {"plain": {}, "tuned": {"gradient_checkpointing": False, "bf16": False}}


def run_kurabe(folder: Path, threads: int) -> dict[str, Any]:
    """One whole `kurabe run` in a process of its own; its parts from the run folder."""
    command = [
        sys.executable, "-m", "kurabe", "run", str(DATA), "--recipes", ",".join(RECIPES), "--arms", "all",
        "--runs", str(folder), "--name", "ours", "--threads", str(threads), "--quiet",
    ]  # fmt: skip
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    total = time.monotonic() - began
    run = folder / "ours"
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    stage = {e["values"]["name"]: e["values"]["seconds"] for e in events if _is_end(e)}
    seconds = {
        "load": stage["load"], "train": stage["train"], "answer": stage["base"] + stage["answer"], "total": total,
    }  # fmt: skip
    # Starting Python, importing, reading the file, and the analysis: what is left.
    seconds["import"] = total - sum(seconds[part] for part in ("load", "train", "answer"))
    return {"seconds": seconds, "folder": run, "steps": [e["values"] for e in events if e["kind"] == "step"]}


def _is_end(event: dict[str, Any]) -> bool:
    return event["kind"] == "stage" and event["values"]["state"] == "end"


def describe_job(run: Path, threads: int, trl: dict[str, Any]) -> dict[str, Any]:
    """The same samples, plans and questions as a file that the peer reads."""
    from kurabe import experiment, planning
    from kurabe.backends import load
    from kurabe.runs import RunFolder
    from kurabe.settings import RunSettings

    folder = RunFolder.open(run)
    info = folder.info()
    settings = RunSettings.model_validate(info.settings)
    backend = load(settings)
    request = folder.request()
    material = experiment.Material(folder.examples(), request.prompt, request.language)
    make = planning.request_maker(material, folder.questions(), info.max_new_tokens)
    requests = [make(key).model_dump(mode="json") for batch in folder.plan() for key in batch.keys]
    trials = []
    for trial in planning.trial_plans(material, settings, backend):
        plan, recipe = trial.plan, trial.plan.recipe
        trials.append({
            "trial": trial.trial, "recipe": recipe.name, "seed": trial.seed, "steps": plan.steps,
            "batch": recipe.batch, "accumulation": recipe.accumulation, "rank": recipe.rank, "alpha": recipe.alpha,
            "dropout": recipe.dropout, "rate": plan.rate, "pad_to": recipe.pad_to,
            "scheduler": "linear" if recipe.schedule == "linear" else "constant_with_warmup",
            "warmup": recipe.warmup_steps or min(10, round(plan.steps * 0.05)),
            "completion_only": recipe.loss_on == "answer",
            "samples": [[m.model_dump() for m in sample.messages] for sample in trial.samples],
        })  # fmt: skip
    return {
        "model": info.model.path, "threads": threads, "trl": trl, "trials": trials, "requests": requests,
        "questions": [q.model_dump(mode="json") for q in folder.questions()],
    }  # fmt: skip


def check(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Whether both did the same work."""
    from kurabe.runs import RunFolder

    mine = {a.key.model_dump_json(): a for a in RunFolder.open(ours["folder"]).answers()}
    theirs = {json.dumps(a["key"], separators=(",", ":")): a["text"] for a in peer["answers"]}
    assert mine.keys() == theirs.keys(), "not the same questions"
    untuned = [key for key, a in mine.items() if a.key.trial == 0]
    results = RunFolder.open(ours["folder"]).results()
    assert results is not None
    losses = {}
    for trial in results.trials:
        own = [s["loss"] for s in ours["steps"] if s["trial"] == trial.trial][-5:]
        losses[trial.recipe] = (statistics.fmean(own), statistics.fmean(peer["losses"][trial.recipe][-5:]))
    return {
        "untuned answers equal": sum(mine[k].text.strip() == theirs[k].strip() for k in untuned) / len(untuned),
        "smallest gradient norm (kurabe, TRL)": (
            min(s["grad_norm"] or 0.0 for s in ours["steps"]),
            min(n for norms in peer["grad_norms"].values() for n in norms),
        ),
        "mean loss of the last 5 steps (kurabe, TRL)": losses,
        "recall (kurabe, TRL)": {
            a.label: (a.recall.value, peer["recall"].get(f"{a.arm}/{a.trial}")) for a in results.arms
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", choices=PEERS, default="plain")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    ratios, first = [], None
    print(f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads; peer: TRL {args.peer}")
    print(f"{'round':>5} {'who':>7} {'import':>8} {'load':>8} {'train':>8} {'answer':>8} {'total':>8}   load average")
    for number in range(1, args.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            ours = run_kurabe(Path(folder), args.threads)
            job, out = Path(folder) / "job.json", Path(folder) / "out.json"
            job.write_text(json.dumps(describe_job(ours["folder"], args.threads, PEERS[args.peer])), encoding="utf-8")
            command = [sys.executable, str(HERE / "peer_trl.py"), str(job), str(out)]
            log = Path(folder) / "peer.log"
            with log.open("w", encoding="utf-8") as stream:
                done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                sys.exit(log.read_text(encoding="utf-8")[-4000:])
            peer = json.loads(out.read_text(encoding="utf-8"))
            for who, seconds in (("kurabe", ours["seconds"]), ("TRL", peer["seconds"])):
                parts = " ".join(f"{seconds[part]:8.1f}" for part in ("import", "load", "train", "answer", "total"))
                load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
                print(f"{number:>5} {who:>7} {parts}   {load:.1f}", flush=True)
            ratios.append(peer["seconds"]["total"] / ours["seconds"]["total"])
            first = first or check(ours, peer)
    print(f"TRL / kurabe, process start to scored answers: median {statistics.median(ratios):.2f} of {len(ratios)}")
    print(json.dumps(first, indent=2))


if __name__ == "__main__":
    main()
