"""48 trials of `fair` on the example shop: kurabe beside TRL with a process per trial, and beside itself one by one.

The trials differ in their seeds. They are trained in one call of the backend, which puts as many into a batch as it
measured to be fastest (1 is a possible answer), then asked their held-out and first trained wordings. TRL, tuned (see
`peer_trl.py`), does some of them, each in a process of its own, and its time is scaled up to all. Both train on the
same samples, so on equal real positions. Then the same trials are trained again one after another, in this process. On
CUDA, where there is one, that comparison is made once more at TinyLlama-1.1B's shape.
"""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import measuring
import peer_trl
import tinyllama
from measuring import Asked, Outcome, Shape

from kurabe.backends import load
from kurabe.settings import RunSettings

TRIALS, PEER_TRIALS = 48, 3
RECALL_TOLERANCE = 0.15
NO_SLOWER = 0.95  # two runs of the same work differ by so much
EARLY_STEPS = 20  # afterwards, rounding has been carried through many updates


class Work(NamedTuple):
    """The trials, and what each of them is asked."""

    trials: list[Any]
    questions: list[Any]
    requests: list[Any]


def plan_work(backend: Any, trials: int, steps: int | None = None, most: int | None = None) -> Work:
    """Trials that differ in their seeds; each is asked its held-out and first trained wordings, without a prompt."""
    from kurabe import intake, planning
    from kurabe.arms import Material
    from kurabe.schema import AnswerKey

    plans = measuring.fair_trials(backend, range(trials))
    plan = plans[0].plan.model_copy(update={"rates": plans[0].plan.rates[:steps]})
    request, examples = intake.read(measuring.SUPPORT, RunSettings())
    questions = list(planning.asked(examples))[:most]
    longest = 2 * planning.longest_answer(questions, backend)
    make = planning.request_maker(Material(examples, request.prompt, request.language), questions, longest)
    keys = [
        AnswerKey(model=backend.info.name, trial=t.trial, arm="lora", hop=planning.LIVE, probe=q.probe, question=q.id)
        for t in plans
        for q in questions
    ]
    return Work([trial._replace(plan=plan) for trial in plans], questions, [make(key) for key in keys])


class Trained(NamedTuple):
    """Trial -> its steps, the seconds of all calls, and how many trials shared the first batch."""

    steps: dict[int, list[Any]]
    seconds: float
    together: int


def train(backend: Any, calls: Sequence[Sequence[Any]]) -> Trained:
    """Train these trials, those of one call as the backend likes."""
    done: list[Any] = []
    began = time.monotonic()
    for trials in calls:
        done.extend(backend.train(trials))
    seconds, steps = time.monotonic() - began, {}
    for step in done:
        steps.setdefault(step.trial, []).append(step)
    together = sum(1 for _ in itertools.takewhile(lambda step: step.step == 1, done))
    return Trained(steps, seconds, together)


def losses(steps: Sequence[Any]) -> list[float]:
    return [step.loss if step.loss is not None else float("nan") for step in steps]


def smallest_norm(steps: dict[int, list[Any]]) -> float:
    return min(step.grad_norm or 0.0 for own in steps.values() for step in own)


def peer_job(backend: Any, trial: Any, questions: Sequence[Any], requests: Sequence[Any]) -> dict[str, Any]:
    """One trial with its questions as a job for a process of its own."""
    return {
        "model": backend.info.path, "threads": backend.info.threads, "peer": "tuned",
        "trials": [measuring.describe_trial(trial)],
        "requests": [r.model_dump(mode="json") for r in requests if r.key.trial == trial.trial],
        "questions": [q.model_dump(mode="json") for q in questions],
    }  # fmt: skip


def beside_peer(
    steps: dict[int, list[Any]], recall: dict[str, float], peers: dict[int, dict[str, Any]]
) -> tuple[dict[str, bool], dict[str, Any]]:
    """Whether the peers' trials came to the same as ours."""
    norms = min(n for peer in peers.values() for own in peer["grad_norms"].values() for n in own)
    curves = {trial: peer["losses"][str(trial)] for trial, peer in peers.items()}
    own = [recall[f"lora/{trial}"] for trial in peers]
    other = [peer["recall"][f"lora/{trial}"] for trial, peer in peers.items()]
    spread = [measuring.fifths(losses(own)) for own in steps.values()]
    checks = {
        "no gradient is zero": min(smallest_norm(steps), norms) > 0,
        "losses fall alike": all(measuring.curves_alike(losses(steps[t]), curve) for t, curve in curves.items()),
        "recall alike": abs(statistics.fmean(own) - statistics.fmean(other)) <= RECALL_TOLERANCE,
    }
    figures = {
        "smallest gradient norm (kurabe, TRL)": f"{smallest_norm(steps):.2g}, {norms:.2g}",
        "kurabe's loss by fifths, least and most of all seeds": [
            (round(min(part), 4), round(max(part), 4)) for part in zip(*spread, strict=True)
        ],
        "TRL's loss by fifths": [measuring.rounded_fifths(curve) for curve in curves.values()],
        "recall of these trials (kurabe, TRL)": list(zip(own, other, strict=True)),
    }
    return checks, figures


def beside_itself(stacked: dict[int, list[Any]], alone: dict[int, list[Any]]) -> tuple[dict[str, bool], dict[str, Any]]:
    """Whether a trial in company is the trial alone: over the first steps to rounding."""
    apart = [
        abs(a - b) / max(abs(a), 1e-6)
        for trial, steps in stacked.items()
        for a, b in list(zip(losses(steps), losses(alone[trial]), strict=True))[:EARLY_STEPS]
    ]
    checks = {
        f"losses of the first {EARLY_STEPS} steps equal to 1e-3": max(apart) <= 1e-3,
        "no gradient is zero": min(smallest_norm(stacked), smallest_norm(alone)) > 0,
    }
    return checks, {f"largest relative difference of a loss in {EARLY_STEPS} steps": f"{max(apart):.1e}"}


class Round(NamedTuple):
    """What one round measured."""

    stacked: Trained
    alone: Trained
    answers: list[Any]
    peers: dict[int, dict[str, Any]]
    seconds: dict[str, float]  # kurabe's parts

    @property
    def peer_seconds(self) -> float:
        """Of one trial in a process of its own."""
        return statistics.median(peer["seconds"]["total"] for peer in self.peers.values())


def run_round(backend: Any, work: Work, started: dict[str, float], peers: int, number: int) -> Round:
    # 1. All trials in one call, and their answers.
    stacked = train(backend, [work.trials])
    began = time.monotonic()
    answers = list(backend.answer(work.requests))
    seconds = {**started, "train": stacked.seconds, "answer": time.monotonic() - began}
    seconds["total"] = sum(seconds.values())
    measuring.print_parts(number, "kurabe", seconds)
    # 2. The same, one after another.
    alone = train(backend, [[trial] for trial in work.trials])
    measuring.print_parts(number, "kurabe, one by one", {"train": alone.seconds, "total": alone.seconds})
    # 3. Some of them by TRL.
    found = {}
    for trial in work.trials[:peers]:
        with tempfile.TemporaryDirectory() as folder:
            found[trial.trial] = peer_trl.run(peer_job(backend, trial, work.questions, work.requests), Path(folder))
        measuring.print_parts(number, f"TRL, trial {trial.trial}", found[trial.trial]["seconds"])
    return Round(stacked, alone, answers, found, seconds)


def print_limits(backend: Any, done: Round) -> None:
    """What this machine could do at best, beside what both took."""
    limits = measuring.measure_limits(backend.info.threads)
    print(f"this machine: {limits}")
    shape = Shape.of(json.loads((Path(backend.info.path) / "config.json").read_text(encoding="utf-8")))
    flops = sum(shape.training(step.positions, step.supervised) for own in done.stacked.steps.values() for step in own)
    peer = len(done.stacked.steps) * statistics.median(p["seconds"]["train"] for p in done.peers.values())
    took = {"kurabe": done.seconds["train"], "kurabe, one by one": done.alone.seconds, "TRL, scaled": peer}
    positions = sum(step.positions for own in done.stacked.steps.values() for step in own)
    measuring.print_limit("training (4N FLOPs per position)", positions, flops / limits.flops, took)
    rows = [Asked(a.prompt_tokens, a.cached_tokens, a.new_tokens) for a in done.answers]
    least = measuring.answering_seconds(shape, limits, [rows])
    took = {
        "kurabe": done.seconds["answer"],
        "TRL, scaled": len(done.stacked.steps) * statistics.median(p["seconds"]["answer"] for p in done.peers.values()),
    }
    measuring.print_limit("decoding", sum(row.new for row in rows), least, took)


def on_cuda() -> Outcome:
    """All trials in one call beside one after another, at TinyLlama's shape."""
    import torch

    outcome = Outcome(
        f"{TRIALS} fair trials trained in one call at TinyLlama's shape, CUDA", "our engine, one trial after another",
        8.0, note="no CUDA device",
    )  # fmt: skip
    if not torch.cuda.is_available():
        return outcome
    with tempfile.TemporaryDirectory() as folder:
        tinyllama.write(Path(folder))
        backend: Any = load(RunSettings(model=folder, device="cuda"))
    trials = measuring.fair_trials(backend, range(TRIALS))
    stacked, alone = train(backend, [trials]), train(backend, [[trial] for trial in trials])
    measuring.print_parts(1, "CUDA, one call", {"train": stacked.seconds})
    measuring.print_parts(1, "CUDA, one by one", {"train": alone.seconds})
    checks, figures = beside_itself(stacked.steps, alone.steps)
    measuring.print_checks(checks, figures)
    note = f"{torch.cuda.get_device_name()}, {stacked.together} together"
    return replace(outcome, ratio=alone.seconds / stacked.seconds, rounds=1, checks=checks, note=note)


def main() -> None:
    parser = measuring.arguments(__doc__, rounds=1)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--steps", type=int, default=None, help="cut each training after so many steps")
    parser.add_argument("--questions", type=int, default=None, help="ask each trial only so many")
    parser.add_argument("--peers", type=int, default=PEER_TRIALS, help=f"trials that TRL does (default {PEER_TRIALS})")
    parser.add_argument("--together", type=int, default=None, help="trials in one batch (default: kurabe's own choice)")
    args = parser.parse_args()
    import kurabe.hf  # noqa: F401  (so that its time is counted as import)

    started = {"import": measuring.since_start()}
    backend: Any = load(RunSettings(threads=args.threads, device="cpu"))
    started["load"] = measuring.since_start() - started["import"]
    if args.together:
        backend.together = args.together
    print(measuring.hardware(backend.info.threads))
    work = plan_work(backend, args.trials, args.steps, args.questions)
    print(f"{len(work.trials)} trials x {work.trials[0].plan.steps} steps, {len(work.requests)} answers")
    measuring.print_head()
    found = [run_round(backend, work, started, args.peers, number) for number in range(1, args.rounds + 1)]
    recall = peer_trl.score(
        {"questions": [q.model_dump(mode="json") for q in work.questions]},
        [answer.model_dump(mode="json") for answer in found[-1].answers],
    )
    peers_hold, figures = beside_peer(found[-1].stacked.steps, recall, found[-1].peers)
    measuring.print_checks(peers_hold, figures)
    itself_holds, figures = beside_itself(found[-1].stacked.steps, found[-1].alone.steps)
    measuring.print_checks(itself_holds, figures)
    print_limits(backend, found[-1])
    smaller = (args.trials, args.steps, args.questions) != (TRIALS, None, None)
    note = f"; {measuring.SMALLER}" if smaller else ""
    beside = statistics.median(one.peer_seconds * args.trials / one.seconds["total"] for one in found)
    itself = statistics.median(one.alone.seconds / one.stacked.seconds for one in found)
    outcomes = [
        Outcome(
            f"{args.trials} trials at equal positions, with answers", "TRL tuned, one process per trial", 3.0, beside,
            args.rounds, peers_hold, f"TRL's time scaled up from {args.peers} trials{note}",
        ),
        Outcome(
            f"{args.trials} fair trials trained in one call", "our engine, one trial after another", NO_SLOWER, itself,
            args.rounds, itself_holds, f"{found[-1].stacked.together} together; 5 % are noise{note}",
        ),
        on_cuda(),
    ]  # fmt: skip
    measuring.report(outcomes, args.outcomes)


if __name__ == "__main__":
    main()
