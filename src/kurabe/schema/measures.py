"""What answers came to: outcomes, estimates with intervals, arm by arm."""

from __future__ import annotations

from typing import Literal, TypeAlias

from kurabe.schema.base import Record
from kurabe.schema.data import Fact, Probe
from kurabe.schema.run import OtherModel
from kurabe.schema.work import AnswerKey

Status: TypeAlias = Literal["right", "wrong", "missing", "refused", "unscored"]
Measure: TypeAlias = Literal["recall", "style"]


class Outcome(Record):
    """What became of one expected value in one answer."""

    fact: Fact
    status: Status
    found: Fact | None = None  # the value that stood there: the matched one, or the wrong one


class Score(Record):
    """One answer against its expected values. `extra` are values nobody asked for."""

    key: AnswerKey
    example: str
    outcomes: tuple[Outcome, ...]
    extra: tuple[Fact, ...] = ()
    refused: bool = False
    cut: bool = False


class Estimate(Record):
    """A share or a mean with its interval. None bounds mean "too little data for an interval", never width 0."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0  # independent examples (clusters)
    items: int = 0  # scored items inside them
    method: Literal["bootstrap", "wilson", "none"] = "none"


class ArmResult(Record):
    """One arm under one trial; `label` is "lora" or "lora (origin)" where several trials share an arm."""

    arm: str
    trial: int
    recipe: str
    label: str
    recall: Estimate  # held-out wordings
    trained: Estimate  # the same, on wordings it was trained on
    wrong: Estimate  # share of expected values answered with another value
    extra: Estimate  # unexpected values per answer
    outcomes: dict[str, int]
    answers: int
    cut: int
    unscored: int
    style: Estimate | None = None  # share of a row's checks of form that hold; None where rows carry none
    checks: dict[str, Estimate] = {}  # the same, check by check


class Difference(Record):
    """Recall (or style) of `label` minus that of `other`, question by question, examples resampled."""

    label: str
    other: str
    estimate: Estimate
    smallest_detectable: float | None  # the smallest true difference that this data would have shown
    measure: Measure = "recall"
    needed: int | None = None  # examples in all that would settle which of the two is better


class RetentionResult(Record):
    """Of the questions that the model answered right before tuning, the share still right after."""

    trial: int
    recipe: str
    probe: Probe
    asked: int
    right_before: int
    kept: Estimate


class ConsistencyResult(Record):
    """How often one arm says the same. Shares of the examples that were answered at least twice that way: in all their
    held-out wordings, decoded greedily, or `samples` times in one wording at a temperature."""

    label: str
    by: Literal["wordings", "samples"]
    values: Estimate  # each expected value read the same way in all answers, and the same unexpected ones beside them
    right: Estimate  # all of them right in all answers: an arm that never knows is consistent, too
    form: Estimate | None = None  # the same checks of form hold in all answers; None where no row has checks


class LikelihoodResult(Record):
    """How often one arm holds the expected answer likelier than each alternative: the same with one value changed."""

    label: str
    likeliest: Estimate
    chance: float  # the same share of a model that holds all of them equally likely


class StaleResult(Record):
    """One arm after one value per example was changed in what it is shown: which value it said. Shares of the examples
    whose new value it was shown; the three of them come to 1."""

    label: str
    followed: Estimate  # the new value
    old: Estimate  # the one from before, which a LoRA was trained on
    other: Estimate  # neither, or both


class UnknownResult(Record):
    """One arm on questions that the data does not answer: what it said. Shares of these questions; they come to 1."""

    label: str
    declined: Estimate  # it says that it does not know
    invented: Estimate  # a value, or a yes or no
    other: Estimate  # neither


class TeacherResult(Record):
    """How often the model itself, with the one right row in its prompt, said what a trial was to learn. It bounds what
    the trial can learn from it: the other rows are learned as they stand."""

    trial: int
    recipe: str
    rows: int  # training rows with a value to check by
    read: Estimate  # the share whose answer was whole, held every expected value and no other


class CostEstimate(Record):
    label: str
    arm: str
    trial: int
    preparation_seconds: float
    preparation_tokens: int
    prompt_tokens: float  # mean per answer, cached ones included
    new_tokens: float  # mean per answer
    seconds_per_answer: float  # displayed only; no rule reads it
    peak_memory: int
    money_per_thousand: float | None  # None without a price table
    cached_tokens: float = 0.0  # mean per answer: prompt tokens that another answer had already paid for
    break_even: int | None = None  # questions after which a LoRA's training is paid back by its shorter prompt
    break_even_rag: int | None = None  # the same beside the prompt that retrieval fills


class OtherResult(Record):
    """What another model came to, prompted. It stands apart: no difference is taken and no verdict rests on it."""

    model: OtherModel
    said: tuple[str, ...] = ()  # by which names the server called what answered
    arms: tuple[ArmResult, ...]  # labelled "prompt @ NAME"
    costs: tuple[CostEstimate, ...]  # the same labels; seconds are the server's and the way there


class StudyFigure(Record):
    """What one of our studies measured, as the show cites it: shares with their intervals, and numbers around them."""

    shares: dict[str, Estimate]
    counts: dict[str, int] = {}
    model: str  # what it was measured on; "" where it was computed without one
    source: str
