"""Every record that reaches disk or crosses a module boundary, frozen and versioned.

Knows no files, no torch, no screen text: records hold keys and numbers, words are made at the edge.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

FactKind: TypeAlias = Literal[
    "money", "duration", "percentage", "count", "phone", "email", "url", "date", "time", "code", "name", "yes_no"
]
Speaker: TypeAlias = Literal["system", "user", "assistant"]
Role: TypeAlias = Literal["trained", "check", "held_out"]
Probe: TypeAlias = Literal[
    "held_out",
    "trained",
    "check",
    "general",
    "reading",
    "stale",
    "sampled",
    "weighed",
    "ask",
    "teacher",
    "mix",
    "unknown",
]
Status: TypeAlias = Literal["right", "wrong", "missing", "refused", "unscored"]
Choice: TypeAlias = Literal["prompt", "retrieve", "fine-tune", "both", "cannot-tell"]
UsageKind: TypeAlias = Literal["loading", "preparation", "answering"]
Level: TypeAlias = Literal["refuse", "warn", "info"]
Measure: TypeAlias = Literal["recall", "style"]
Term: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]
Axis: TypeAlias = Literal["examples", "wordings", "samples", "epochs", "rank", "rate", "seeds"]


class Record(BaseModel):
    """Base of all records: immutable, and a field nobody declared is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(Record):
    """One sentence, as a key of the catalogue and the numbers in it."""

    key: str
    values: dict[str, Any]


# --- data in ---------------------------------------------------------------------------------------------------


class Fact(Record):
    """One checkable value. `value` is the canonical form that is compared; `text` is how it was written."""

    kind: FactKind
    value: str
    text: str
    start: int = -1  # character span of `text` in the string it was found in; -1 where a row named it explicitly
    end: int = -1


class Checks(Record):
    """What the form of an answer must be; each entry that is given is one check, and holds as a whole or fails."""

    pattern: str | None = Field(
        None, min_length=1, max_length=300
    )  # a regular expression, found anywhere in the answer
    sections: tuple[Term, ...] = Field((), max_length=20)  # headings, each on a line of its own, in this order
    min_length: int | None = Field(None, ge=1, le=4000)  # characters
    max_length: int | None = Field(None, ge=1, le=4000)  # characters
    language: Literal["en", "ja"] | None = None
    wanted: tuple[Term, ...] = Field((), max_length=20)  # words that must all stand in the answer
    unwanted: tuple[Term, ...] = Field((), max_length=20)  # words of which none may
    json_schema: dict[str, Any] | None = None  # the whole answer is JSON of this schema (draft 2020-12)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the checks that the row asks for."""
        return tuple(name for name, value in self if value not in (None, ()))


class Wording(Record):
    """One way to ask an example's question."""

    text: str
    role: Role
    generated: bool = False  # made by rules or by a model, not by the user


class Example(Record):
    """One row of the user's file: a question with its expected answer. The first wording is the row's own question."""

    id: str
    answer: str
    facts: tuple[Fact, ...]
    wordings: tuple[Wording, ...]
    line: int = 0  # 1-based line of the source file, 0 where there is none
    checks: Checks | None = None  # what the form of an answer must be, where the row says it

    def texts(self, role: Role) -> tuple[str, ...]:
        """The wordings of one role, in file order."""
        return tuple(w.text for w in self.wordings if w.role == role)

    @property
    def question(self) -> str:
        """The row's own question."""
        return self.wordings[0].text


class Passage(Record):
    """A piece of the user's documents, long enough to be read by itself."""

    source: str  # the document's file name
    text: str


class Message(Record):
    role: Speaker
    content: str


class Sample(Record):
    """One training row: messages that end with the answer that is learned."""

    example: str  # "" for a row beside the user's own
    messages: tuple[Message, ...]
    source: str = ""  # the question whose answer, by the model itself before training, takes the expected one's place
    teacher: tuple[Message, ...] = ()  # what it was asked then, where its likelihoods are learned, too
    values: tuple[tuple[int, int], ...] = ()  # spans of the answer's characters that are learned as they stand


class Question(Record):
    """One thing to be asked, by whichever arms. An answer is right when all `facts` are; or, where `accept` is given
    (general questions), when any of its strings stands in the answer."""

    id: str  # "<example id>/h1" (held-out), "/t1" (trained), "/c1" (check), "/s1" (stale); of retention its own id
    example: str  # the cluster: its example; of a retention question its shop, or itself
    probe: Probe
    text: str
    expected: str
    facts: tuple[Fact, ...] = ()
    accept: tuple[str, ...] = ()
    checks: Checks | None = None
    system: str | None = None  # the question's own system message (probe "reading"); None: the arm's


# --- asking and answering --------------------------------------------------------------------------------------


class AnswerKey(Record):
    """Names one answer for good. Every part is present from version 1 so that later arms and hops need no migration."""

    model: str
    trial: int  # 0 = no adapter
    arm: str
    hop: str  # "live" = answered by the run's own model; "server" = by another one, on a server
    probe: Probe
    question: str  # "<example id>/h1", "<example id>/t1", "<general id>" ...
    sample: int = 0


class Request(Record):
    """One question for a backend. `key.trial` says which adapter answers."""

    key: AnswerKey
    messages: tuple[Message, ...]
    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0


class Answer(Record):
    """What a backend returned for one request. `finish` is "error" when no answer came: that is unscored, not wrong."""

    key: AnswerKey
    text: str
    token_ids: tuple[int, ...] = ()
    finish: Literal["stop", "length", "error"] = "stop"
    prompt_tokens: int = 0
    cached_tokens: int = 0  # prompt tokens that another row of the batch had already paid for
    new_tokens: int = 0
    seconds: float = 0.0  # this answer's share of its batch's time
    logprobs: tuple[float, ...] | None = None  # probe "weighed": of the expected answer, then of its alternatives
    error: str = ""


class Step(Record):
    """One optimizer step of one trial, as training yields it."""

    trial: int
    step: int  # 1-based
    steps: int
    epoch: float
    loss: float | None  # None where it was not finite
    rate: float
    grad_norm: float | None
    positions: int  # tokens of the step's rows, padding included; a beginning they share counts in each
    supervised: int  # positions with a label
    seconds: float
    at_once: int | None = None  # rows of one pass, where memory ended with more of them
    peak_memory: int | None = None  # bytes, of the process that trained it, where that is another one
    ended: Literal["broken", "learned"] | None = None  # why this is the trial's last step, though not its plan's


class Usage(Record):
    """Metered work. Loading belongs to no arm; preparation and answering are kept apart."""

    kind: UsageKind
    arm: str
    trial: int
    seconds: float
    tokens: int  # training positions, or prompt + new tokens
    peak_memory: int  # bytes, of the process


class Event(Record):
    """One line of events.jsonl; `seq` orders, `at` is for people, `elapsed` is monotonic seconds since the start."""

    seq: int
    at: str
    elapsed: float
    kind: str
    values: dict[str, Any]


# --- what a run was --------------------------------------------------------------------------------------------


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


class Batch(Record):
    """One line of plan.jsonl: answers that are asked for together, and stored or asked again together."""

    batch: int  # 1-based
    stage: Literal["base", "beside", "answer"]  # before training, of another model, after training
    keys: tuple[AnswerKey, ...]


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


class Review(Record):
    """One line of wordings.jsonl: the generated wordings of one question. The field names are those of a data file, so
    that a corrected line can be pasted there."""

    id: str
    question: str
    wordings: tuple[str, ...]
    held_out: tuple[str, ...]


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


# --- results ---------------------------------------------------------------------------------------------------


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


class FaultCost(Record):
    """What one fault costs in recall on held-out wordings: a sound recipe minus the same with the fault put back."""

    points: float
    low: float
    high: float
    shown: bool  # whether the interval leaves out 0
    fault: Literal["steps", "warmup", "loss", "wordings", "rate"]  # what was put back, and its two values
    faulty: float = Field(gt=0)
    mended: float
    model: str  # what it was measured on
    source: str


class StudyFigure(Record):
    """What one of our studies measured, as the show cites it: shares with their intervals, and numbers around them."""

    shares: dict[str, Estimate]
    counts: dict[str, int] = {}
    model: str  # what it was measured on; "" where it was computed without one
    source: str


class Finding(Record):
    """One thing the audit found; `id` is stable, `values` fill its sentence (`form` picks one of several)."""

    id: str
    level: Level
    recipe: str  # the recipe, or the library of somebody else's configuration
    values: dict[str, Any]
    repaired: dict[str, Any] = {}  # setting -> the value that mends it, in the words of that configuration
    where: str = ""  # the line, or the library whose default it is
    cost: FaultCost | None = None


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


class Hop(Record):
    """The run's held-out questions, answered by one form of the shipped arm."""

    hop: str  # "adapter" or "base": the run's own answers; "merged"; a format, as in Shipped; "Ollama"
    file: str  # "" for the first one, and for what was only tried out; in Ollama the model's name
    size: int  # bytes; 0 for the first one
    answers: int
    unscored: int
    same: int  # answers equal to the adapter's, token by token
    recall: Estimate
    wrong: Estimate
    lost: Estimate | None  # recall minus the adapter's, question by question; None for the adapter itself
    seconds: float  # displayed only
    held: bool  # whether the answers survived, by the margin
    prompts: int | None = None  # prompts that the file's own template and vocabulary render to the run's token ids
    new_tokens: int = 0  # of all answers; with `seconds` the speed


class Parity(Record):
    """parity.json beside exported files: did the answers survive the way?"""

    version: int = SCHEMA_VERSION
    run: str
    arm: str
    margin: float  # recall that a hop may lose
    hops: tuple[Hop, ...]


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


class Delivered(Record):
    """One model that kurabe made in Ollama."""

    url: str  # of the server
    model: str  # its name there, with its tag
    sha256: str  # of the GGUF file that it holds


class Deliveries(Record):
    """ollama.json beside exported files: what was made of them in Ollama."""

    version: int = SCHEMA_VERSION
    models: tuple[Delivered, ...]


class SearchIndex(Record):
    """index.json beside a shipped file: what an arm that searches shows to the model."""

    version: int = SCHEMA_VERSION
    arm: str
    file: str  # the model's, in the same folder
    language: str
    nearest: int
    max_new_tokens: int
    examples: tuple[Example, ...]
    passages: tuple[Passage, ...] = ()


class Shipped(Record):
    """NAME-FORMAT.json beside an exported file: what it was made of, and its bytes' hash."""

    version: int = SCHEMA_VERSION
    file: str
    format: str
    match: Literal["exact", "peer"]
    base_sha256: str  # config and weights, as in run.json
    adapter_sha256: str  # "" without an adapter
    sha256: str
    size: int  # bytes
    weights: int
    kurabe: str  # the version that wrote it
