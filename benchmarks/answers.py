"""Answers of four arms to 100 questions with a fact prompt of 1,500 tokens: kurabe beside transformers' `generate`.

Both in this process, in float32, with the same adapter and the same questions. `generate` gets left-padded batches of
like length, arm by arm, in the size that is fastest here, and the merged adapter. The ratio counts where the tokens of
the answers are the same (nearly all of them: a merged adapter rounds otherwise).
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import measuring
import peer_trl
from measuring import Asked, Outcome, Shape

ARMS = {"base": 0, "prompt": 0, "lora": 1, "lora+prompt": 1}  # arm -> trial
QUESTIONS, PROMPT_TOKENS, NEW_TOKENS, TUNING_STEPS = 100, 1500, 40, 20
PEER_BATCHES = (8, 25, 100)
EQUAL = 0.99


def make_requests(backend: Any, questions: int, prompt_tokens: int, new_tokens: int) -> dict[str, list[Any]]:
    """Arm -> its requests: held-out wordings of invented rows, which the prompt of the prompt arms holds."""
    from kurabe import prompts, shops
    from kurabe.schema import AnswerKey, Message, Request

    rng, role = Random("benchmark"), prompts.NEUTRAL["en"]
    rows: list[Any] = []
    prompt = Message(role="system", content=role)
    while backend.count([prompt]) < prompt_tokens:
        rows = [*rows, *shops.invent_shop(f"benchmark/{len(rows)}", 4).rows]
        facts = ((row.question, row.answer) for row in rows)
        prompt = Message(role="system", content=prompts.write(role, facts, "en"))
    asked = [Message(role="user", content=rows[i % len(rows)].ask(rng, held_out=True)) for i in range(questions)]
    system = {arm: prompt if arm.endswith("prompt") else Message(role="system", content=role) for arm in ARMS}

    def request(arm: str, number: int) -> Request:
        key = AnswerKey(
            model=backend.info.name, trial=ARMS[arm], arm=arm, hop="live", probe="held_out", question=f"q{number}"
        )
        return Request(key=key, messages=(system[arm], asked[number]), max_new_tokens=new_tokens)

    return {arm: [request(arm, number) for number in range(questions)] for arm in ARMS}


def tune(backend: Any, folder: Path) -> None:
    """An adapter that changes answers: the first steps of `fair` on the example shop, loaded as trial 1 and stored."""
    trial = measuring.fair_trials(backend, [1])[0]
    plan = trial.plan.model_copy(update={"rates": trial.plan.rates[:TUNING_STEPS]})
    for _ in backend.train([trial._replace(plan=plan)]):
        pass
    backend.save_adapter(1, folder)


class Sides(NamedTuple):
    """Both, ready to answer under trial 0 (no adapter) and trial 1."""

    backend: Any
    models: dict[int, Any]
    tokenizer: Any


def prepare(threads: int) -> tuple[Sides, dict[str, float]]:
    """Load both sides with one adapter; the seconds of import, load and training."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from kurabe.backends import load
    from kurabe.hf import quiet
    from kurabe.settings import RunSettings

    seconds = {"import": measuring.since_start()}
    backend: Any = load(RunSettings(threads=threads, device="cpu"))
    with quiet():
        base, other = (AutoModelForCausalLM.from_pretrained(backend.info.path, dtype=torch.float32) for _ in range(2))
    tokenizer = AutoTokenizer.from_pretrained(backend.info.path)
    seconds["load"] = measuring.since_start() - seconds["import"]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        tune(backend, Path(folder))
        seconds["train"] = time.monotonic() - began
        tuned = PeftModel.from_pretrained(other, folder).merge_and_unload()
    return Sides(backend, {0: base, 1: tuned}, tokenizer), seconds


def ask_peer(sides: Sides, requests: list[Any], size: int) -> tuple[list[Any], float]:
    """One arm by `generate`: its answers and the seconds."""
    rows = [request.model_dump(mode="json") for request in requests]
    began = time.monotonic()
    answers = peer_trl.answer(sides.models[requests[0].key.trial], sides.tokenizer, rows, size, by_length=True)
    return answers, time.monotonic() - began


def ask_kurabe(backend: Any, requests: list[Any]) -> tuple[list[Any], float]:
    began = time.monotonic()
    answers = list(backend.answer(requests))
    return answers, time.monotonic() - began


def fastest_batch(sides: Sides, requests: list[Any]) -> int:
    """The size of batches in which `generate` is fastest on the prompt arm."""
    seconds = {size: ask_peer(sides, requests, size)[1] for size in PEER_BATCHES if size <= len(requests)}
    print("generate, prompt arm, by rows of a batch: " + ", ".join(f"{n}: {s:.1f} s" for n, s in seconds.items()))
    return min(seconds, key=lambda size: seconds[size]) if seconds else len(requests)


def same_tokens(ours: list[Any], theirs: list[Any]) -> float:
    """Share of questions to which both gave the same tokens."""
    other = {json.dumps(row["key"], sort_keys=True): row["token_ids"] for row in theirs}
    same = [
        list(answer.token_ids) == other[json.dumps(answer.key.model_dump(mode="json"), sort_keys=True)]
        for answer in ours
    ]
    return sum(same) / len(same)


class Round(NamedTuple):
    """Both sides' answers, and the seconds that they took."""

    ours: list[Any]
    theirs: list[Any]
    own: float
    peer: float


def compare(sides: Sides, requests: dict[str, list[Any]], size: int, number: int) -> Round:
    """One round, printed."""
    ours, own = ask_kurabe(sides.backend, [request for arm in requests.values() for request in arm])
    by_arm = {arm: ask_kurabe(sides.backend, asked)[1] for arm, asked in requests.items()}
    theirs: list[Any] = []
    peer = {}
    for arm, asked in requests.items():
        answers, peer[arm] = ask_peer(sides, asked, size)
        theirs += answers
    total = sum(peer.values())
    measuring.print_parts(number, "kurabe", {"answer": own, "total": own})
    measuring.print_parts(number, f"generate x {size}", {"answer": total, "total": total})
    each = ", ".join(f"{arm} {by_arm[arm]:.2f} | {peer[arm]:.2f}" for arm in ARMS)
    print(f"      one arm at a time, kurabe | generate: {each}")
    return Round(ours, theirs, own, total)


def print_work(backend: Any, ours: list[Any], own: float, peer: float) -> None:
    """What had to be computed and read, and each side's share of this machine's limit."""
    limits = measuring.measure_limits(backend.info.threads)
    shape = Shape.of(json.loads((Path(backend.info.path) / "config.json").read_text(encoding="utf-8")))
    rows = [Asked(a.prompt_tokens, a.cached_tokens, a.new_tokens) for a in ours]
    decoded = sum(row.new for row in rows)
    alone = sum(shape.answering([row._replace(cached=0)])[2] for row in rows) / decoded
    print(f"this machine: {limits}")
    print(
        f"{sum(row.prompt for row in rows)} prompt tokens, {sum(row.prompt - row.cached for row in rows)} of them "
        f"computed; {decoded} decoded, {shape.answering(rows)[2] / decoded / 1e6:.2f} MB read for each "
        f"({alone / 1e6:.2f} MB if each row were alone)"
    )
    least = measuring.answering_seconds(shape, limits, [rows])
    measuring.print_limit("answering, prompts shared", decoded, least, {"kurabe": own, "generate": peer})


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--prompt-tokens", type=int, default=PROMPT_TOKENS)
    args = parser.parse_args()
    threads = args.threads or os.cpu_count() or 1
    whole = (args.questions, args.prompt_tokens) == (QUESTIONS, PROMPT_TOKENS)
    print(measuring.hardware(threads))
    sides, seconds = prepare(threads)
    requests = make_requests(sides.backend, args.questions, args.prompt_tokens, NEW_TOKENS)
    length = sides.backend.count(requests["prompt"][0].messages[:1])
    print(f"the prompt has {length} tokens; before the first round, for both sides together:")
    measuring.print_head()
    measuring.print_parts(0, "both", seconds)
    size = fastest_batch(sides, requests["prompt"])
    found = [compare(sides, requests, size, number) for number in range(1, args.rounds + 1)]
    ours, theirs, own, peer = found[-1]
    same = same_tokens(ours, theirs)
    print_work(sides.backend, ours, own, peer)
    checks = {"the same tokens": same >= EQUAL, "no answer is empty": all(answer.new_tokens for answer in ours)}
    measuring.print_checks(checks, {"the same tokens": f"{same:.1%} of {len(ours)}"})
    outcome = Outcome(
        f"answers of 4 arms x {args.questions} questions with a {args.prompt_tokens:,}-token fact prompt",
        f"generate, left-padded batches of {size}, per arm", 10.0,
        statistics.median(one.peer / one.own for one in found),
        args.rounds, checks, "" if whole else measuring.SMALLER,
    )  # fmt: skip
    measuring.report([outcome], args.outcomes)


if __name__ == "__main__":
    main()
