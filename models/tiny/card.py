"""Writes the card of kurabe-tiny: what it is, how it was made, what it can do, from the run's own records.

It knows nothing about training; every figure comes from `log.jsonl`, `curve.jsonl` and the scores of `evaluate.py`.
"""

# ruff: noqa: E501 - the card's own lines

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.tiny.train import Plan

TARGETS = {
    "reading": 95,
    "several values": 90,
    "declines without facts": 97,
    "general questions": 95,
    "example shop, its own prompt": 90,
    "example shop, no prompt": 0,
}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def cpu_name() -> str:
    """The processor's model name and the number of cores."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else "unknown processor"


def score_table(scores: list[dict[str, Any]]) -> str:
    """Kind by kind, with the 95 % Wilson interval and the target."""
    rows = [
        "| language | what | right | 95 % interval | n | whole answer exact | target |",
        "|---|---|---|---|---|---|---|",
    ]
    for score in scores:
        if not score["of"]:
            continue
        target = TARGETS.get(score["kind"])
        wanted = "" if target is None or score["language"] != "en" else (f"{target} %" if target else "0")
        # A decline has no one right text, so "exact" says nothing about it.
        exact = "" if score["kind"].startswith("declines") else f"{100 * score['exact']:.1f} %"
        rows.append(
            f"| {score['language']} | {score['kind']} | {100 * score['right'] / score['of']:.1f} % | "
            f"{100 * score['low']:.1f}-{100 * score['high']:.1f} | {score['of']} | {exact} | {wanted} |"
        )
    return "\n".join(rows)


def missed(scores: list[dict[str, Any]]) -> str:
    """Which targets this version does not reach, in one sentence."""
    short = [
        score["kind"]
        for score in scores
        if score["language"] == "en"
        and score["of"]
        and 100 * score["right"] / score["of"] < TARGETS.get(score["kind"], 0)
    ]
    if not short:
        return "All targets are reached."
    return f"**Not reached in this version: {'; '.join(short)}.** Verdicts on it are marked as a stand-in's."


def log_table(log: list[dict[str, Any]], every: int = 200) -> str:
    """Loss along the way, at every so many steps and at the end."""
    rows = ["| step | phase | tokens | loss | rate |", "|---|---|---|---|---|"]
    picked = [line for line in log if line["step"] % every == 0 or line is log[-1]]
    rows += [
        f"| {line['step']} | {line['phase']} | {line['tokens'] / 1e6:.2f}M | {line['loss']:.3f} | {line['rate']:.2f} |"
        for line in picked
    ]
    return "\n".join(rows)


def phase_table(plan: Plan) -> str:
    """The schedule in words."""
    head = "rows per prompt (share) | copying lines | Japanese | sets of wordings | more answers | tokens per step | rate | decay | restart | share of the mean"
    rows = [f"| phase | to step | {head} |", "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for phase in plan.phases:
        mix = phase.mix
        spread = ", ".join(
            f"{low}-{high} ({share:.0%})" if low < high else f"{low} ({share:.0%})" for low, high, share in mix.rows
        )
        rows.append(
            f"| {phase.name} | {phase.until} | {spread} | {mix.copying:.0%} | {mix.japanese:.0%} "
            f"| {2 if mix.wide else 1} | {'yes' if mix.told else ''} | {phase.batch_tokens} | {phase.rate:g} | {phase.decay_steps or ''} "
            f"| {'yes' if phase.restart else ''} | {f'{phase.share:.0%}' if phase.share else ''} |"
        )
    return "\n".join(rows)


def card(plan: Plan, work: Path, scores: list[dict[str, Any]], parameters: int, vocabulary: int, notes: str) -> str:
    """The whole card as Markdown."""
    log = _lines(work / "log.jsonl")
    last = log[-1]
    curve = _lines(work / "curve.jsonl")
    measured = ""
    if curve:
        head = "| step | " + " | ".join(curve[-1]["scores"]) + " |\n|" + "---|" * (1 + len(curve[-1]["scores"]))
        body = "\n".join(
            f"| {point['step']} | "
            + " | ".join(f"{point['scores'].get(kind, float('nan')):.0f}" for kind in curve[-1]["scores"])
            + " |"
            for point in curve
        )
        measured = (
            f"\nMeasured on the way, of that step's own weights (per cent, few questions each):\n\n{head}\n{body}\n"
        )
    return f"""# kurabe-tiny

A stand-in, so that kurabe runs anywhere and at once. It is a small chat model of our own that reads the facts in its
prompt, answers a fixed set of general questions, and otherwise says that it does not have the information. It knows
nothing about the world. **Its figures say nothing about TinyLlama or any other model**: repeat an experiment with
`--model` on yours.

Llama architecture, {parameters:,} parameters ({vocabulary} tokens in the vocabulary,
{plan_shape()}), bf16, context 4,096 (trained up to 2,048), chat template in TinyLlama's Zephyr form, no BOS. Licence: Apache-2.0; the corpus is invented by
`src/kurabe/shops.py` and the general questions are CC0.

## What it can do

Measured by `python -m models.tiny.evaluate`, greedy, float32, on shops, values and wordings that its corpus does not
hold. *Right* counts expected values (for the declines and the general questions: answers).

{score_table(scores)}

{missed(scores)}

Reading: twelve facts in the system prompt, one asked, the answer holds one value. Several values: the answer holds two
to six. The example shop's wordings are the held-out ones of `examples/`. The targets are for English.

## How it was made

`make tiny-model`, seed {plan.seed}: {last["step"]} steps, {last["tokens"]:,} tokens without padding, {last["labelled"]:,} of them
answer tokens (the loss sees no others), {last["seconds"] / 60:.0f} minutes on {cpu_name()}, {last["threads"]} threads.
Muon for the matrices (rate {plan.muon_rate:g}), AdamW for embeddings and norms ({plan.adam_rate:g}), warm-up {plan.warmup} steps, then
constant; a phase with a decay goes down to a twentieth over its last steps. A restart begins from the weights in bf16, with new
optimisers and another warm-up. Published is the mean of the weights that the phases with a share ended with. Loss: answer tokens only, each divided by the
root of its answer's length.

Hash of all training batches in order: `{last["corpus"]}`.

{phase_table(plan)}

One prompt serves several independent questions: a batch holds trees, a prefix and its branches, with positions that
restart; it is attended to tree by tree and gives exactly the logits of separate rows (`tests/test_tiny.py`).

{notes}
## The curve

{log_table(log)}
{measured}"""


def plan_shape() -> str:
    """The sizes in words."""
    from models.tiny import net

    shape = net.config(256)
    return (
        f"hidden {shape.hidden_size}, {shape.num_hidden_layers} layers, feed-forward {shape.intermediate_size}, "
        f"{shape.num_attention_heads} heads, {shape.num_key_value_heads} key-value heads, tied embeddings"
    )
