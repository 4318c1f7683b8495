"""What a run was asked for, of which model, with which trainings, on which machine."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from kurabe.schema.base import SCHEMA_VERSION, Reason, Record
from kurabe.schema.data import Passage
from kurabe.schema.findings import Finding

Axis: TypeAlias = Literal["examples", "wordings", "samples", "epochs", "rank", "rate", "seeds"]


class Footprint(Record):
    """What a plan of memory has to know of loaded weights: widths, and bytes in the process or on the device."""

    feed_forward: int
    query: int  # of all query heads together
    key_value: int  # of all key heads together
    libraries: int  # the process before the weights
    weights: int
    loading: int  # given back when the weights are loaded


class ModelInfo(Record):
    """Which weights answered. `sha256` covers config and weights; two runs with equal hashes asked the same model."""

    name: str
    path: str
    sha256: str
    stand_in: bool
    family: str
    parameters: int
    hidden: int
    layers: int
    context: int
    vocabulary: int
    dtype: str
    device: str
    threads: int
    chosen: Reason | None = None  # why this device and these numbers
    footprint: Footprint | None = None  # None: nobody has said


class OtherModel(Record):
    """A model that a server runs, asked the run's questions beside the run's own: other weights."""

    name: str  # of this run's models no other has it: the `model` of the keys of its answers
    server: str  # as a user names it; never with a key
    model: ModelInfo  # of a server's model only the name, its hash and its context may be known
    version: str = ""  # of the server, where it says so


class TrialInfo(Record):
    """One training run inside the experiment, as planned and as it came out."""

    trial: int
    recipe: str
    examples: int
    samples: int
    steps: int
    epochs: float
    rank: int
    rate: float
    seed: int
    trainable: int  # adapter parameters
    positions: int  # those of all its steps
    wordings: int = 0  # trained wordings of each example; 0: not recorded
    of: int = 0  # the trial whose training this one is a checkpoint of; 0: trained by itself
    shuffled: bool = False  # the control: trained on answers that belong to other examples

    @property
    def name(self) -> str:
        """The recipe, and whether its answers were shuffled: what trials of one table differ by."""
        return f"{self.recipe}-shuffled" if self.shuffled else self.recipe


class Point(Record):
    """One trial as a point of a curve; several points of one (axis, x) differ in their seed."""

    axis: Axis
    x: float
    trial: int
    unseen: bool = False  # not part of the curve: what the others predict for it is compared with what it came to


class Provenance(Record):
    kurabe: str
    python: str
    platform: str
    processor: str
    cores: int
    memory: int  # bytes
    libraries: dict[str, str]
    data_sha256: str
    commit: str = ""


class RunRequest(Record):
    """request.json: what was asked for, stored before the model is loaded: from here on the run can be resumed."""

    version: int = SCHEMA_VERSION
    name: str
    created: str  # ISO 8601, UTC
    data: str  # the data file's name, as the user gave it
    data_sha256: str
    form: str  # the detected form of the rows
    language: str  # of the data: "en" or "ja"
    settings: dict[str, Any]
    prompt: str  # the system prompt of the `prompt` arms: written from the training rows, or the user's own file
    passages: tuple[Passage, ...] = ()  # what the `rag` arms search: the user's documents; none: the training rows
    notes: tuple[Reason, ...] = ()


class RunInfo(Record):
    """run.json: what was asked for, of which model, on which machine."""

    version: int = SCHEMA_VERSION
    name: str
    created: str  # ISO 8601, UTC
    data: str  # the data file's name, as the user gave it
    form: str  # the detected form of the rows
    language: str  # of the data: "en" or "ja"
    settings: dict[str, Any]
    model: ModelInfo
    beside: tuple[OtherModel, ...] = ()
    provenance: Provenance
    trials: tuple[TrialInfo, ...]  # those that are arms of the table
    swept: tuple[TrialInfo, ...] = ()  # further ones, which are points of curves only
    points: tuple[Point, ...] = ()
    max_new_tokens: int
    planned: dict[str, float | None] = {}  # load, train, answer -> seconds, where they were measured before (--minutes)
    memory: dict[str, int] = {}  # bytes by their use as planned, and `peak`; empty where the model has not said
    notes: tuple[Reason, ...] = ()


class RunPlan(Record):
    """What a run would do and take; nothing is stored. None is "unknown", and a note says why."""

    trials: tuple[TrialInfo, ...]
    steps: int
    positions: int  # training positions
    answers: int
    prompt_tokens: int
    new_tokens: int  # at most: every answer as long as the limit
    seconds: dict[str, float | None]  # load, train, answer
    memory: dict[str, int | None]  # bytes by their use, `peak` and `measured` among them
    disk: dict[str, int]  # bytes: adapters, answers, free
    audit: tuple[Finding, ...]
    notes: tuple[Reason, ...]
