"""What stands beside exported files."""

from __future__ import annotations

from typing import Literal

from kurabe.schema.base import SCHEMA_VERSION, Record
from kurabe.schema.data import Example, Passage
from kurabe.schema.measures import Estimate


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
