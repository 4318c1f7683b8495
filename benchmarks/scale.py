"""Beyond one machine: what two local Ray workers gain, what one driver can store, and a plan made of both.

1. What a driver stores per second: steps, answers, adapters of the size that rank 16 has at TinyLlama-1.1B's shape.
2. The forecast of a large curve for one machine, shared out over many, and what its driver has to take in meanwhile.
   `--model FOLDER` forecasts for another model: a few steps and answers are tried, as `--dry-run` does.
3. A curve of the example shop with the stand-in, in this process and on Ray's workers on this machine (left out without
   ray): seconds, and whether answers and adapters are equal.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import measuring

ADAPTER = 12_615_680 * 4  # bytes: rank 16 at TinyLlama's shape, float32
ARMS = ("base", "prompt", "lora")
SMALL = {"over": ("seeds",), "arms": ("base", "lora"), "retention": 0, "exposures": 5, "wordings": 2, "threads": 1}


class Plan(NamedTuple):
    """A forecast for one machine, and the cluster that it is shared out over."""

    trainings: int
    adapters: int  # more than trainings: states on the way are trials, too
    steps: int
    answers: int
    train: float
    answer: float
    longest: float


def main() -> None:
    parser = measuring.arguments(__doc__, rounds=1)
    parser.add_argument("--model", default="tiny", help="forecast for this model (default: the stand-in)")
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=16, help="tasks that one machine runs at a time (default 16)")
    parser.add_argument("--seeds", type=int, default=20, help="seeds of the large curve (default 20)")
    given = parser.parse_args()
    print(measuring.hardware(1))
    with tempfile.TemporaryDirectory() as folder:
        stored = store(Path(folder))
    show(forecast(given.model, given.seeds), given.machines, given.tasks, stored)
    if not importlib.util.find_spec("ray"):
        return print("\nray is not installed: two workers were not tried")
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder))


def compare(folder: Path) -> None:
    """The same curve in one process and on the workers of this machine."""
    from kurabe import experiment
    from kurabe.runs import RunFolder
    from kurabe.settings import RunSettings

    seconds = {}
    for name, ray in (("one", None), ("many", "local")):
        clock = time.monotonic()
        settings = RunSettings.model_validate({**SMALL, "runs": str(folder), "name": name, "ray": ray})
        experiment.run(measuring.SUPPORT, settings)
        seconds[name] = time.monotonic() - clock
    one, many = (RunFolder.open(folder / name) for name in ("one", "many"))
    stages = {
        name: {e.values["name"]: e.values["seconds"] for e in run.events() if e.values.get("state") == "end"}
        for name, run in (("one", one), ("many", many))
    }
    trials = [t.trial for t in (*one.info().trials, *one.info().swept)]
    equal = sum(_weights(one, trial) == _weights(many, trial) for trial in trials)
    same = sum(a.text == b.text for a, b in zip(one.answers(), many.answers(), strict=True))
    slots = next(e.values["values"]["slots"] for e in many.events() if e.values.get("key") == "audit.note.cluster")
    print(f"\n3. {len(trials)} trials, {len(one.answers())} answers; Ray on this machine, {slots} tasks at a time")
    for stage in ("train", "answer"):
        a, b = stages["one"][stage], stages["many"][stage]
        print(f"   {stage:8} {a:7.1f} s in one process, {b:7.1f} s on Ray ({a / b:.2f} x)")
    print(f"   whole    {seconds['one']:7.1f} s in one process, {seconds['many']:7.1f} s on Ray, Ray's start included")
    print(f"   equal to the last bit: {equal} of {len(trials)} adapters; equal: {same} of {len(one.answers())} answers")


def _weights(run: Any, trial: int) -> bytes:
    return bytes((run.adapter(trial) / "adapter_model.safetensors").read_bytes())


def store(folder: Path) -> dict[str, float]:
    """What one driver stores per second, with every flush that a run makes."""
    from kurabe.events import Recorder
    from kurabe.runs import RunFolder
    from kurabe.schema import Answer, AnswerKey, Step

    step = Step(
        trial=1,
        step=1,
        steps=9,
        epoch=1.0,
        loss=1.0,
        rate=1e-3,
        grad_norm=1.0,
        positions=900,
        supervised=90,
        seconds=1.0,
    )
    key = AnswerKey(model="m", trial=1, arm="lora", hop="live", probe="held_out", question="q")
    batch = [Answer(key=key, text="x" * 120, token_ids=tuple(range(60)), prompt_tokens=90, new_tokens=60)] * 64
    with RunFolder.create(folder, "driver") as run:
        record, content = Recorder(run), bytes(ADAPTER)

        def adapter(number: int) -> None:
            with run.staged() as stage:
                (stage / f"{number}.safetensors").write_bytes(content)

        found = {
            "steps": _per_second(lambda _: record("step", **step.model_dump(mode="json")), 2000),
            "answers": 64 * _per_second(lambda number: run.append_answers(number, batch), 50),
            "adapters": _per_second(adapter, 10),
        }
    print(f"\n1. One driver stores {found['steps']:,.0f} steps, or {found['answers']:,.0f} answers, or "
          f"{found['adapters']:.1f} adapters of {ADAPTER / 2**20:.0f} MiB per second")  # fmt: skip
    return found


def _per_second(work: Callable[[int], None], times: int) -> float:
    clock = time.monotonic()
    for number in range(times):
        work(number)
    return times / (time.monotonic() - clock)


def forecast(model: str, seeds: int) -> Plan:
    """What the large curve would take on one machine, one task at a time."""
    from kurabe import backends, intake, planning
    from kurabe.forecast import Pace
    from kurabe.settings import RunSettings

    axes = ("examples", "wordings", "samples", "epochs", "rank", "rate")
    settings = RunSettings(model=model, over=axes, seeds=seeds, arms=ARMS, retention=0, threads=1)
    backend = backends.load(settings)
    request, examples = intake.read(measuring.SUPPORT, settings)
    material = intake.material(request, examples)
    work = planning.plan_work(material, settings, backend)
    alone, endless = Pace(material, backend), Pace(material, backend, slots=10**9)
    train, answer = alone.training(work), alone.answering(work)
    endless._trained = alone._trained  # measured once; with more tasks than trials only the longest is left
    longest = endless.training(work)
    assert train is not None and longest is not None
    infos = (*work.trials, *work.swept)
    steps = sum(training.trial.plan.steps for training in work.trainings.trainings)
    print(
        f"\n2. {backend.info.name}, curves over {', '.join(axes)}, {seeds} seeds: {len(infos)} adapters of "
        f"{len(work.trainings.trainings)} trainings"
    )
    return Plan(
        len(work.trainings.trainings), len(infos), steps, sum(len(b.keys) for b in work.batches), train, answer, longest
    )


def show(plan: Plan, machines: int, tasks: int, stored: dict[str, float]) -> None:
    """The plan for many machines, and the driver's part in it."""
    slots = machines * tasks
    shared = max(plan.train / slots, plan.longest)
    print(f"   one task at a time: {_time(plan.train)} of training, {_time(plan.answer)} of {plan.answers:,} answers")
    print(f"   {machines} machines, {tasks} tasks each: {_time(shared)} of training (the longest trial alone: "
          f"{_time(plan.longest)}), {_time(plan.answer / slots)} of answers")  # fmt: skip
    for name, count in (("steps", plan.steps), ("answers", plan.answers), ("adapters", plan.adapters)):
        print(f"   the driver stores {count:9,} {name:8} in {_time(count / stored[name])}")
    print(f"   adapters at TinyLlama's shape: {plan.adapters * ADAPTER / 2**30:.0f} GiB of disk, sent twice")
    rounds = math.ceil(plan.trainings / slots)
    print(f"   {plan.trainings} trainings for {slots} slots: {rounds} round(s)")


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"


if __name__ == "__main__":
    main()
