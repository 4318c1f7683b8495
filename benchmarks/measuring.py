"""What the benchmarks share: the machine and its measured limits, the work of a Llama in FLOPs and bytes, the tables.

Knows no benchmark. A ratio is printed with what was measured, the checks that it stands on, and how near the machine's
own limit it comes; `run_all.py` collects the `Outcome` lines.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil

ROOT = Path(__file__).resolve().parents[1]
SUPPORT = ROOT / "examples" / "support-en.jsonl"
PARTS = ("import", "load", "train", "answer", "total")
# Between two trainings from different draws of adapters and row orders; `trials.py` prints the spread of seeds.
LOSS_TOLERANCE = 0.25


# --- the command line, the clock and the machine ---------------------------------------------------------------------


def arguments(doc: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often both sides run (default {rounds})")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads of both sides (default: all cores)")
    parser.add_argument("--outcomes", type=Path, default=None, help="append the results to this file as JSON lines")
    return parser


def since_start() -> float:
    """Seconds since this process began."""
    return time.time() - psutil.Process().create_time()


def load_average() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def hardware(threads: int) -> str:
    """The machine in one line."""
    from kurabe import provenance

    found = provenance.describe("")
    libraries = provenance.versions(("torch", "transformers", "peft", "trl"))
    return (
        f"{found.processor}, {found.cores} cores, {threads} threads, {found.memory / 2**30:.0f} GiB, "
        f"Python {found.python}; "
        + ", ".join(f"{name} {version}" for name, version in libraries.items())
        + f"; load average at the start {load_average():.1f}"
    )


SMALLER = "less work than the target stands for"


class Limits(NamedTuple):
    """What this machine did best in this process: FLOPs per second in float32, bytes read per second."""

    flops: float
    bytes: float

    def __str__(self) -> str:
        return f"{self.flops / 1e9:.0f} GFLOPS (fp32 product 1024 x 2048 x 5632), {self.bytes / 1e9:.1f} GB/s read"


def measure_limits(threads: int, repeats: int = 5) -> Limits:
    """A large matrix product and one pass over 256 MB, the fastest of some repeats."""
    import torch

    torch.set_num_threads(threads)

    def best(work: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats + 1):  # the first one warms up
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times[1:])

    with torch.inference_mode():
        a, b, memory = torch.randn(1024, 2048), torch.randn(2048, 5632), torch.ones(1 << 26)
        return Limits(2 * 1024 * 2048 * 5632 / best(lambda: a @ b), 4 * memory.numel() / best(memory.sum))


# --- what has to be computed -----------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """The matrix products of a Llama: parameters of its layers and of its head, and what attention adds."""

    body: int
    head: int
    layers: int
    width: int  # of all query heads together
    kv_width: int  # of all key heads together

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        hidden, layers = config["hidden_size"], config["num_hidden_layers"]
        size = config.get("head_dim") or hidden // config["num_attention_heads"]
        width, kv_width = size * config["num_attention_heads"], size * config["num_key_value_heads"]
        layer = 2 * hidden * width + 2 * hidden * kv_width + 3 * hidden * config["intermediate_size"]
        return cls(layers * layer, hidden * config["vocab_size"], layers, width, kv_width)

    def training(self, positions: int, labelled: int) -> int:
        """FLOPs of a LoRA's training: 4N per position, the head where a label is. Attention and adapters left out."""
        return 4 * (self.body * positions + self.head * labelled)

    def answering(self, rows: Iterable[Asked]) -> tuple[int, int, int]:
        """(FLOPs of reading the prompts, FLOPs of decoding, bytes of decoding) of rows that are answered together.

        A prompt token that another row has paid for costs nothing. In a step, the weights are read once for all rows,
        and each key and value once.
        """
        read = decoded = cells = 0
        pair, column = 4 * self.layers * self.width, 2 * 4 * self.layers * self.kv_width
        asked = list(rows)
        for prompt, cached, new in asked:
            read += 2 * self.body * (prompt - cached) + pair * (_sum(prompt) - _sum(cached))
            decoded += 2 * self.body * (new - 1) + 2 * self.head * new + pair * (_sum(prompt + new - 1) - _sum(prompt))
            cells += _sum(prompt - cached + new - 1) - _sum(prompt - cached)
        steps = max((row.new for row in asked), default=0)
        return read, decoded, 4 * (self.body + self.head) * steps + column * cells


class Asked(NamedTuple):
    """One answered row: tokens of its prompt, those that it did not have to compute, tokens of its answer."""

    prompt: int
    cached: int
    new: int


def _sum(n: int) -> int:
    return n * (n + 1) // 2


def answering_seconds(shape: Shape, limits: Limits, batches: Iterable[Sequence[Asked]]) -> float:
    """The least time in which this machine could read these prompts and decode these answers."""
    seconds = 0.0
    for batch in batches:
        read, decoded, moved = shape.answering(batch)
        seconds += read / limits.flops + max(decoded / limits.flops, moved / limits.bytes)
    return seconds


# --- the job, as a peer reads it -------------------------------------------------------------------------------------


def trial_of(recipe: Any, examples: Sequence[Any], language: str, hidden: int, number: int, seed: int) -> Any:
    """The trial that a run makes of this recipe and all of these examples, as a `TrialPlan`."""
    from kurabe import arms, recipes
    from kurabe.model import TrialPlan

    samples = arms.samples(examples, language, recipe.wordings)
    return TrialPlan(number, recipes.plan(recipe, len(samples), len(examples), hidden), samples, seed)


def fair_trials(backend: Any, seeds: Sequence[int]) -> list[Any]:
    """`fair` on the example shop, once per seed, numbered from 1."""
    from kurabe import intake, recipes
    from kurabe.settings import RunSettings

    request, examples = intake.read(SUPPORT, RunSettings())
    recipe = recipes.for_model(recipes.RECIPES["fair"], backend.info.parameters)
    return [
        trial_of(recipe, examples, request.language, backend.info.hidden, number, seed)
        for number, seed in enumerate(seeds, start=1)
    ]


def describe_trial(trial: Any) -> dict[str, Any]:
    """A `TrialPlan` in a peer's words: same samples, steps, batches, rates, adapter, loss and padding."""
    plan, recipe = trial.plan, trial.plan.recipe
    warmup = recipe.warmup_steps if recipe.warmup_steps is not None else min(10, -(-plan.steps // 20))
    falling = max(1, -(-plan.steps // 5))
    schedule: dict[str, Any] = {"lr_scheduler_type": "linear"}
    if recipe.schedule == "constant":
        schedule = {
            "lr_scheduler_type": "warmup_stable_decay",
            "lr_scheduler_kwargs": {"num_decay_steps": falling, "decay_type": "linear"},
        }
    return {
        "trial": trial.trial, "recipe": recipe.name, "seed": trial.seed, "steps": plan.steps, "batch": recipe.batch,
        "accumulation": recipe.accumulation, "rank": recipe.rank, "alpha": recipe.alpha, "dropout": recipe.dropout,
        "rate": plan.rate, "pad_to": recipe.pad_to, "warmup": warmup, "schedule": schedule,
        "loss_on": recipe.loss_on,
        "samples": [[m.model_dump() for m in sample.messages] for sample in trial.samples],
    }  # fmt: skip


# --- are the two sides alike? ----------------------------------------------------------------------------------------


def fifths(losses: Sequence[float]) -> list[float]:
    """The mean loss of each fifth of a training."""
    cut = [len(losses) * i // 5 for i in range(6)]
    return [statistics.fmean(losses[a:b]) for a, b in itertools.pairwise(cut) if b > a]


def rounded_fifths(losses: Sequence[float]) -> list[float]:
    return [round(loss, 4) for loss in fifths(losses)]


def curves_alike(own: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two loss curves agree within the noise of training: each fifth within a quarter of the larger one, or
    within a hundredth of where they began: where a curve falls steeply, a few steps sooner or later are a large
    factor.
    """
    floor = max(own[0], other[0]) / 100
    pairs = zip(fifths(own), fifths(other), strict=True)
    return all(abs(a - b) <= max(floor, LOSS_TOLERANCE * max(a, b)) for a, b in pairs)


# --- what is printed -------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """One line of the table of what was to be reached. `ratio` None: it was not run, and `note` says why."""

    work: str
    beside: str
    target: float
    ratio: float | None = None
    rounds: int = 0
    checks: dict[str, bool] = field(default_factory=dict)
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return "untried"
        failed = [name for name, passed in self.checks.items() if not passed]
        if failed:
            return f"does not count: {', '.join(failed)}"
        return "met" if self.ratio >= self.target else "missed"

    def row(self) -> str:
        """A row of the Markdown table that `HEAD` begins."""
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}x"
        runs = {0: "-", 1: "once"}.get(self.rounds, f"median of {self.rounds}")
        return f"| {self.work} | {self.beside} | {self.target:g}x | {ratio} | {runs} | {self.verdict} | {self.note} |"


HEAD = "| work | beside | target | ratio | runs | result | note |\n|---|---|---|---|---|---|---|"


def table(outcomes: Iterable[Outcome]) -> str:
    return "\n".join([HEAD, *(outcome.row() for outcome in outcomes)])


def report(outcomes: Sequence[Outcome], path: Path | None) -> None:
    """Print the outcomes, and keep them for `run_all.py`."""
    print(table(outcomes), flush=True)
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes)


def print_head() -> None:
    print(f"round {'who':>20} " + " ".join(f"{part:>8}" for part in PARTS) + "   load average")


def print_parts(round_: int, who: str, seconds: Mapping[str, float]) -> None:
    """One line of seconds by part; a part that a side does not have is left empty."""
    cells = " ".join(f"{seconds[part]:8.1f}" if part in seconds else " " * 8 for part in PARTS)
    print(f"{round_:>5} {who:>20} {cells}   {load_average():.1f}", flush=True)


def print_limit(what: str, tokens: int, least: float, took: Mapping[str, float]) -> None:
    """Tokens per second of each side, and its share of what this machine could do at best."""
    print(f"{what}: {tokens} tokens; this machine's limit {least:.2f} s")
    for who, seconds in took.items():
        print(f"  {who}: {seconds:.2f} s, {tokens / seconds:.0f} tokens/s, {least / seconds:.0%} of the limit")


def print_checks(checks: Mapping[str, bool], figures: Mapping[str, Any]) -> None:
    for name, value in figures.items():
        print(f"  {name}: {value}")
    for name, passed in checks.items():
        print(f"  {'holds' if passed else 'FAILS'}: {name}")
