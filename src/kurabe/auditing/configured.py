"""What somebody configured: one description of a fine-tune, wherever it was written. None means "unknown".

Knows no file format and no judgement. A reader fills in what it found and what the library does by default; the rules
stay silent about what nobody knows.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kurabe.schema import Record

Tool = Literal["transformers", "trl", "axolotl", "llama-factory", "mlx-lm", "peft", "kurabe"]
MOST = 10**12  # no count in a fine-tune is larger; what is, was not understood

Count = Annotated[int, Field(ge=0, le=MOST)]
Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]


class Rows(Record):
    """The training rows, counted. Tokens are estimated from characters where no tokenizer was at hand."""

    source: str
    rows: Count  # one per trained wording
    examples: Count
    single: Count  # examples with one trained wording
    factual: Count  # examples whose answer holds a checkable value
    longest: Count  # tokens of the longest row, question and answer
    longest_answer: Count
    question_tokens: Count  # of all rows together
    answer_tokens: Count
    estimated: bool


class AdapterState(Record):
    """What the weights of an adapter say about themselves."""

    matrices: Count  # B matrices
    zero: Count  # of them with nothing but zeros
    strangers: Count | None = None  # of them for a layer that the base does not have; None: the base is not here


class Log(Record):
    """What a trainer logged, its first and last values."""

    first_loss: float | None = None
    last_loss: float | None = None
    peak_rate: float | None = None
    rising: bool = False  # the rate of the last line is the highest, and the first one the lowest
    not_finite: Count = 0  # lines whose loss or gradient was no finite number
    last_step: Count = 0


class Configured(Record):
    """One fine-tune. `places`: field -> its file and line. `assumed`: field -> the library whose default it is."""

    tool: Tool
    version: str = ""  # of the library whose defaults were taken
    task: Literal["train", "merge", "predict"] = "train"
    method: Literal["lora", "full"] | None = None
    base: str | None = None
    other_bases: tuple[str, ...] = ()  # further models that are loaded, compared or shipped in its place
    # how long and how fast
    steps: Count | None = None  # optimizer steps, where they were set or done
    epochs: Amount | None = None
    batch: Count | None = None
    accumulation: Count | None = None
    most_rows: Count | None = None
    rate: Amount | None = None
    warmup_steps: Count | None = None
    warmup_ratio: Amount | None = None
    warmup_most: Count | None = None  # a cap on what the ratio comes to
    schedule: str | None = None
    # what is trained
    rank: Count | None = None
    alpha: Amount | None = None
    scale: Amount | None = None  # what the adapter's output is multiplied by, where it was set as such
    targets: tuple[str, ...] | None = None
    # what is learned from
    max_length: Count | None = None  # tokens; longer rows are cut
    pad_to: Count | None = None  # tokens; shorter rows are padded
    padded: bool | None = None  # rows are padded before the labels are made
    packed: bool | None = None
    loss_on_padding: bool | None = None
    loss_on_prompt: bool | None = None
    end_token: Literal["learned", "masked", "never", "doubtful"] | None = None
    template: str | None = None  # the markers around the turns, in training
    system: str | None = None  # the system message in training; "": none
    # how it is tried and shipped
    test_template: str | None = None
    test_system: str | None = None
    sampled: bool | None = None
    temperature: Amount | None = None
    seeded: bool | None = None
    max_new_tokens: Count | None = None
    quantised: bool | None = None  # the base is loaded in fewer bits
    merged: bool | None = None  # the adapter is merged into the base as it was loaded
    fixed_padding: Count | None = None  # tokens, in the saved tokenizer
    fixed_truncation: Count | None = None
    adapter: AdapterState | None = None
    log: Log | None = None
    places: dict[str, str] = Field({})
    assumed: dict[str, str] = Field({})


def number(value: Any) -> float | None:
    """A number from 0 to `MOST`, also from a string such as "1e-5", which YAML does not take for one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and len(value) > 40:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found <= MOST else None  # neither NaN nor infinity is


def whole(value: Any) -> int | None:
    """A whole number from 0 to `MOST`."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def truth(value: Any) -> bool | None:
    """A yes or a no, also as the strings and numbers that configurations use for them."""
    if isinstance(value, str):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.lower())
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return None


def text(value: Any) -> str | None:
    """A short string."""
    return value[:4000] if isinstance(value, str) else None


def names(value: Any) -> tuple[str, ...] | None:
    """A list of names, also written with commas; PEFT's "all-linear" stays one name."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, (list, tuple, set)):
        return None
    found = tuple(sorted(name.strip() for name in value if isinstance(name, str) and name.strip()))
    return found[:1000] or None
