"""Curves over steps, examples, settings and models, and what is read off them."""

from __future__ import annotations

from kurabe.schema.base import SCHEMA_VERSION, Record
from kurabe.schema.measures import Estimate
from kurabe.schema.run import Axis, ModelInfo


class CurvePoint(Record):
    """One point of a curve: (axis, x) -> measure. A loss curve (axis "step", measure "loss") belongs to one trial;
    other curves take the trials of all seeds together (trial 0) and say how many these were."""

    axis: str
    x: float
    measure: str
    trial: int
    recipe: str
    value: float | None
    low: float | None = None
    high: float | None = None
    seeds: int = 1


class ModelRun(Record):
    """One model of a curve over models: a finished run of its own, on the same rows and by the same recipe."""

    run: str  # the name of its run folder
    model: ModelInfo
    rank: int
    rate: float  # the recipe's, carried to this model
    points: tuple[CurvePoint, ...]  # axis "models", x = parameters


class RateTried(Record):
    """What one learning rate came to on check wordings, over a few seeds."""

    factor: float  # on the rate that the recipe's rule gives
    recall: float
    low: float | None = None
    high: float | None = None
    seeds: int


class TunedRate(Record):
    """What `kurabe tune-recipe` found for one model."""

    version: int = SCHEMA_VERSION
    model: str
    model_sha256: str
    recipe: str
    factor: float  # the runs of this model use it
    rate: float  # what it comes to at this model's width
    hidden: int
    examples: int
    data: str
    tried: tuple[RateTried, ...]
    created: str  # ISO 8601, UTC
    kurabe: str


class Crossing(Record):
    """Where along an axis the LoRA's recall reaches the prompt's, on the same examples."""

    axis: Axis
    at: float | None  # None: not within the range that was tried
    low: float | None = None
    high: float | None = None  # None beside a value: the interval goes on beyond the range
    least: float  # the range that was tried
    most: float


class Prediction(Record):
    """What a curve says about a point that it has not seen, and what came out there."""

    axis: Axis
    x: float
    predicted: Estimate
    measured: Estimate
