"""What is configured -> what is wrong with it. One function per subject; each is silent about what is not known.

Knows no file format. `warn` is for what can explain a fine-tune that learned nothing or a test that cannot show what
it learned; what is only worth knowing is `info`. Sources: docs/science.md and docs/audit.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from kurabe.auditing.configured import Configured, Rows
from kurabe.auditing.costs import cost_of
from kurabe.auditing.libraries import setting
from kurabe.auditing.plan import ENOUGH_EXPOSURES
from kurabe.auditing.schedule import Schedule, schedule
from kurabe.recipes import FAIR_RATE, FAIR_WIDTH, SHORT_RUN_STEPS, WIDTH_EXPONENT
from kurabe.schema import Finding, Level

# The rule of recipes.py at the width of the widest common models: what a LoRA needs at the very least.
WIDEST = 8192
LEAST_RATE = FAIR_RATE * math.pow(FAIR_WIDTH / WIDEST, WIDTH_EXPONENT)
LOW = 5  # times below that: in the study of the old recipe a fifth of the rate learned nearly nothing
USUAL_SCALE = 2.0  # alpha / rank; a larger one does the work of a larger rate
MUCH_PROMPT = 0.5  # share of the learned tokens
_ATTENTION = {
    "q_proj", "k_proj", "v_proj", "o_proj", "query", "value", "key", "q", "v", "k", "c_attn", "query_key_value",
}  # fmt: skip
_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# How the libraries say "every linear layer"; the others have a word for it.
_ALL: dict[str, Any] = {"llama-factory": "all", "axolotl": _LAYERS, "mlx-lm": _LAYERS}
_LEVELS: tuple[Level, ...] = ("refuse", "warn", "info")


def judge(c: Configured, rows: Rows | None) -> tuple[Finding, ...]:
    """All findings, what matters most first. Works for any description, also an empty one."""
    plan = schedule(c, rows) if c.task == "train" else None
    found = [
        *_schedule(c, plan), *_rate(c, plan),
        *_loss(c, rows), *_end(c), *_rows(c, rows, plan), *_lengths(c, rows),
        *_test(c), *_same(c), *_adapter(c), *_targets(c), *_log(c), *_tokenizer(c),
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda finding: _LEVELS.index(finding.level)))


def _finding(
    c: Configured, level: Level, key: str, values: dict[str, Any], *, at: str = "", **repaired: Any
) -> Finding:
    """`at` names the field that decides; `repaired` maps fields to values that mend, told in the library's words."""
    told: dict[str, Any] = {}
    for field, value in repaired.items():
        told |= setting(c.tool, field, value)
    return Finding(
        id=key, level=level, recipe=c.tool, values=values, repaired=told,
        where=c.places.get(at) or c.assumed.get(at, ""), cost=cost_of(key, values),
    )  # fmt: skip


# --- steps and rates -------------------------------------------------------------------------------------------------


def _schedule(c: Configured, plan: Schedule | None) -> Iterator[Finding]:
    if plan is None:
        return
    full = {"full_steps": plan.full} if plan.full is not None else {"form": "unsummed"}
    work = {"steps": plan.steps, **full}
    short = plan.steps < SHORT_RUN_STEPS
    # More epochs mend both: what follows is worked out for the training as it should be.
    steps = max(plan.steps, SHORT_RUN_STEPS)
    if plan.warmup and plan.warmup >= plan.steps:
        values = {"warmup": plan.warmup, **work}
        repaired = {"warmup_steps": min(10, math.ceil(steps * 0.05))}
        yield _finding(c, "warn", "warmup-exceeds-steps", values, at=_warmup_at(c), **repaired)
    elif plan.warmup and 2 * plan.warmup >= plan.steps and not plan.bound:
        values = {"warmup": plan.warmup, **work}
        repaired = {"warmup_steps": min(10, math.ceil(steps * 0.05))}
        yield _finding(c, "warn", "long-warmup", values, at=_warmup_at(c), **repaired)
    if short:
        values = {"enough": SHORT_RUN_STEPS, **work} | ({"form": "at-most"} if plan.bound else {})
        more = math.ceil((c.epochs or 0) * SHORT_RUN_STEPS / max(1, plan.steps))
        repaired = {"steps": SHORT_RUN_STEPS} if c.steps is not None else {"epochs": more}
        yield _finding(c, "warn", "too-few-steps", values, at="steps" if c.steps is not None else "epochs", **repaired)


def _warmup_at(c: Configured) -> str:
    return "warmup_steps" if c.warmup_steps is not None else "warmup_ratio"


def _rate(c: Configured, plan: Schedule | None) -> Iterator[Finding]:
    """LoRA's best rate is about ten times that of full tuning; many libraries' defaults are for the latter."""
    if c.rate is None or c.method != "lora" or c.task != "train":
        return
    scale = c.scale if c.scale is not None else c.alpha / c.rank if c.alpha is not None and c.rank else USUAL_SCALE
    worth = c.rate * max(1.0, scale / USUAL_SCALE)
    if worth >= LEAST_RATE / LOW:
        return
    done = None if plan is None or plan.full is None else plan.full * worth
    if done is not None and done >= LEAST_RATE * SHORT_RUN_STEPS:
        return  # slow, and long enough for it
    far_off = worth < LEAST_RATE / LOW**2  # no number of steps that people train for makes up for it
    hopeless = far_off or (done is not None and done < LEAST_RATE * SHORT_RUN_STEPS / LOW)
    values = {"rate": c.rate, "least": LEAST_RATE, "width": WIDEST}
    yield _finding(c, "warn" if hopeless else "info", "low-rate", values, at="rate", rate=2e-4)


# --- what is learned from --------------------------------------------------------------------------------------------


def _loss(c: Configured, rows: Rows | None) -> Iterator[Finding]:
    shares = _shares(c, rows)
    values: dict[str, Any] = shares or {"form": "unmeasured"}
    if shares and rows and rows.estimated:
        values = shares | {"form": "about"}
    if c.loss_on_padding:
        yield _finding(c, "warn", "loss-on-padding", values, at="loss_on_padding", loss_on_padding=False)
    if c.loss_on_prompt:
        much = bool(shares) and shares["prompt"] >= MUCH_PROMPT * (1 - shares["padding"])
        level: Level = "warn" if c.loss_on_padding or much else "info"
        told = values | {"with_padding": bool(c.loss_on_padding)}
        yield _finding(c, level, "loss-on-prompt", told, at="loss_on_prompt", loss_on_prompt=False)


def _shares(c: Configured, rows: Rows | None) -> dict[str, float]:
    """Padding, prompt and answer as shares of what is learned; {} where the rows are unknown."""
    if rows is None or not rows.rows:
        return {}
    learned = rows.question_tokens + rows.answer_tokens
    if c.loss_on_padding and c.pad_to is None:
        return {}
    positions = max(learned, rows.rows * c.pad_to) if c.loss_on_padding and c.pad_to else learned
    parts = {"padding": positions - learned, "prompt": rows.question_tokens, "answer": rows.answer_tokens}
    return {name: round(part / max(1, positions), 4) for name, part in parts.items()}


def _end(c: Configured) -> Iterator[Finding]:
    if c.end_token in ("masked", "never"):
        yield _finding(c, "warn", "eos-unlearned", {"form": c.end_token}, at="end_token")
    elif c.end_token == "doubtful":
        yield _finding(c, "info", "eos-unlearned", {"form": "doubtful"}, at="end_token")


def _rows(c: Configured, rows: Rows | None, plan: Schedule | None) -> Iterator[Finding]:
    """Facts are learned from many looks in many wordings. Rows without checkable values are not judged."""
    if rows is None or 2 * rows.factual < rows.examples:
        return
    if rows.single:
        yield _finding(c, "warn", "one-wording", {"single": rows.single, "examples": rows.examples})
    if plan is None or plan.bound or not rows.examples:
        return
    exposures = _seen(c, rows, plan) / rows.examples
    if 0 < exposures < ENOUGH_EXPOSURES:
        values = {"exposures": round(exposures, 1), "enough": ENOUGH_EXPOSURES}
        yield _finding(c, "warn", "low-exposure", values)


def _seen(c: Configured, rows: Rows, plan: Schedule) -> float:
    """Rows of the whole training, 0 where that is not known. A number of steps ends it before the epochs are over."""
    by_epochs = [] if c.epochs is None else [c.epochs * rows.rows]
    by_steps = [plan.steps * c.batch * c.accumulation] if c.steps and c.batch and c.accumulation else []
    return min([*by_epochs, *by_steps], default=0)


def _lengths(c: Configured, rows: Rows | None) -> Iterator[Finding]:
    if rows is None:
        return
    form = {"form": "about"} if rows.estimated else {}
    if c.max_length and rows.longest > c.max_length:
        values = {"length": c.max_length, "longest": rows.longest} | (form or {"form": "cut"})
        yield _finding(c, "warn", "truncated-rows", values, at="max_length", max_length=_rounded(rows.longest))
    if c.max_new_tokens and rows.longest_answer > c.max_new_tokens:
        values = {"limit": c.max_new_tokens, "longest": rows.longest_answer, **form}
        yield _finding(c, "warn", "answer-cut", values, at="max_new_tokens", max_new_tokens=2 * rows.longest_answer)


def _rounded(tokens: int) -> int:
    """The next power of two, with room for a template."""
    return int(2 ** math.ceil(math.log2(max(1, tokens) * 1.1)))


# --- how it is tried and shipped -------------------------------------------------------------------------------------


def _test(c: Configured) -> Iterator[Finding]:
    if c.sampled:
        values: dict[str, Any] = {"form": "unknown"} if c.temperature is None else {"temperature": c.temperature}
        level: Level = "info" if c.seeded else "warn"
        yield _finding(c, level, "sampled-test", values, at="sampled", sampled=False)
    if c.system is not None and c.test_system is not None and _plain(c.system) != _plain(c.test_system):
        said = {"trained": _short(c.system), "asked": _short(c.test_system)}
        if not (c.system and c.test_system):
            said["form"] = "dropped" if c.system else "added"
        yield _finding(c, "warn", "system-prompt-differs", said, at="test_system")
    if c.template and c.test_template and c.template != c.test_template:
        forms = {"trained": c.template, "asked": c.test_template}
        yield _finding(c, "warn", "template-differs", forms, at="test_template")


def _plain(words: str) -> str:
    return " ".join(words.split()).casefold()


def _short(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= 80 else words[:79] + "…"


def _same(c: Configured) -> Iterator[Finding]:
    others = [name for name in c.other_bases if c.base and not same_base(c.base, name)]
    if others:
        values = {"base": c.base, "others": ", ".join(others[:5])}
        yield _finding(c, "warn", "different-base", values, at="other_bases")
    if c.merged and c.quantised:
        yield _finding(c, "warn", "merge-into-quantised", {}, at="merged")


def same_base(one: str, other: str) -> bool:
    """Whether two names can be the same weights: owner, format and number of bits do not count, size and family do."""
    first, second = _family(one), _family(other)
    return first == second or first in second or second in first


def _family(name: str) -> str:
    name = name.rstrip("/").split("/")[-1].lower()
    name = re.sub(
        r"(-|_|\.|\b)(bnb|\d-?bit|unsloth|gguf|awq|gptq|mlx|fp16|bf16|f16|q\d\w*|latest|hf)(?=\W|_|$)", "", name
    )
    return re.sub(r"[^a-z0-9]", "", name)


def _adapter(c: Configured) -> Iterator[Finding]:
    state = c.adapter
    if state is not None and state.matrices and state.zero == state.matrices:
        yield _finding(c, "warn", "adapter-inert", {"matrices": state.matrices, "form": "zero"}, at="adapter")
    elif state is not None and state.matrices == 0:
        yield _finding(c, "warn", "adapter-inert", {"form": "empty"}, at="adapter")
    elif state is not None and state.strangers:
        values = {"matrices": state.matrices, "strangers": state.strangers, "form": "strangers"}
        yield _finding(c, "warn", "adapter-inert", values, at="adapter")
    elif c.method == "lora" and (c.alpha == 0 or c.scale == 0 or c.rank == 0):
        yield _finding(c, "warn", "adapter-inert", {"form": "scaled"}, at="alpha" if c.alpha == 0 else "rank")


def _targets(c: Configured) -> Iterator[Finding]:
    if c.method == "lora" and c.targets and {name.split(".")[-1] for name in c.targets} <= _ATTENTION:
        values = {"modules": ", ".join(c.targets)}
        yield _finding(c, "info", "few-target-modules", values, at="targets", targets=_ALL.get(c.tool, "all-linear"))


# --- what a finished training left behind ----------------------------------------------------------------------------


def _log(c: Configured) -> Iterator[Finding]:
    log = c.log
    if log is None:
        return
    if log.not_finite:
        yield _finding(c, "warn", "loss-not-finite", {"lines": log.not_finite}, at="log")
    elif log.first_loss is not None and log.last_loss is not None and log.last_loss >= log.first_loss:
        losses = {"first": round(log.first_loss, 3), "last": round(log.last_loss, 3)}
        yield _finding(c, "warn", "loss-did-not-fall", losses, at="log")
    if log.rising and c.warmup_steps is None and c.warmup_ratio is None:
        values = {"step": log.last_step, "form": "logged"}
        yield _finding(c, "warn", "warmup-exceeds-steps", values, at="log")


def _tokenizer(c: Configured) -> Iterator[Finding]:
    if c.fixed_padding:
        yield _finding(c, "warn", "padding-in-tokenizer", {"length": c.fixed_padding}, at="fixed_padding")
    elif c.fixed_truncation:
        values = {"length": c.fixed_truncation, "form": "truncation"}
        yield _finding(c, "info", "padding-in-tokenizer", values, at="fixed_truncation")
