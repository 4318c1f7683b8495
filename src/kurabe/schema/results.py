"""results.json: the verdict and all it rests on."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from kurabe.schema.base import SCHEMA_VERSION, Reason, Record
from kurabe.schema.curves import Crossing, CurvePoint, ModelRun, Prediction
from kurabe.schema.data import Fact, Probe
from kurabe.schema.findings import Finding
from kurabe.schema.measures import (
    ArmResult,
    ConsistencyResult,
    CostEstimate,
    Difference,
    LikelihoodResult,
    OtherResult,
    Outcome,
    RetentionResult,
    StaleResult,
    TeacherResult,
    UnknownResult,
)
from kurabe.schema.run import ModelInfo, Provenance, TrialInfo
from kurabe.schema.shipping import Parity

Choice: TypeAlias = Literal["prompt", "retrieve", "fine-tune", "both", "cannot-tell"]


class Verdict(Record):
    choice: Choice
    stand_in: bool
    generated: int = 0  # examples that were asked in wordings made by rules or by a model
    reasons: tuple[Reason, ...]
    would_change: tuple[Reason, ...] = ()
    add_examples: int | None = None  # about how many more, where the choice is "cannot-tell" for lack of data

    @property
    def arm(self) -> str:
        """The arm that was measured for the choice, "" where there is none. Of the combined ones it is the one that the
        first reason names; runs of older versions had only one."""
        if self.choice == "both":
            return str(self.reasons[0].values.get("label", "lora+prompt")) if self.reasons else "lora+prompt"
        return {"prompt": "prompt", "retrieve": "rag", "fine-tune": "lora"}.get(self.choice, "")


class ArmAnswer(Record):
    label: str
    text: str
    outcomes: tuple[Outcome, ...]
    extra: tuple[Fact, ...]
    finish: str
    checks: dict[str, bool] = {}  # of its row's checks of form, those that could be judged: whether each holds


class QuestionResult(Record):
    """One question with every arm's answer beside the expected one."""

    id: str
    example: str
    probe: Probe
    text: str
    expected: str
    facts: tuple[Fact, ...]
    answers: tuple[ArmAnswer, ...]


class Results(Record):
    """results.json: the one object from which verdict, table, report and exit code are made."""

    version: int = SCHEMA_VERSION
    verdict: Verdict
    stand_in: bool
    arms: tuple[ArmResult, ...]
    differences: tuple[Difference, ...]
    retention: tuple[RetentionResult, ...]
    stale: tuple[StaleResult, ...] = ()
    unknown: tuple[UnknownResult, ...] = ()
    consistency: tuple[ConsistencyResult, ...] = ()
    likelihood: tuple[LikelihoodResult, ...] = ()
    teachers: tuple[TeacherResult, ...] = ()
    costs: tuple[CostEstimate, ...]
    beside: tuple[OtherResult, ...] = ()
    curves: tuple[CurvePoint, ...]
    crossings: tuple[Crossing, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    audit: tuple[Finding, ...]
    questions: tuple[QuestionResult, ...]
    trials: tuple[TrialInfo, ...]
    model: ModelInfo
    provenance: Provenance
    settings: dict[str, Any]
    run: str  # name of the run folder
    data: str = ""  # the data file's name, as the user gave it
    created: str = ""  # ISO 8601, UTC
    language: str  # of the data: "en" or "ja"
    seconds: dict[str, float]  # stage -> seconds, displayed only
    planned: dict[str, float | None] = {}  # load, train, answer -> seconds as they were planned, displayed only
    notes: tuple[Reason, ...] = ()  # e.g. examples without a held-out wording, rows left out
    models: tuple[ModelRun, ...] = ()  # where this run closes a curve over models: all of it, by size
    parity: Parity | None = None  # of the files that were shipped into the run's folder since
