"""What every record is, and one sentence as a record. Records know each other and nothing else of kurabe."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1


class Record(BaseModel):
    """Base of all records: immutable, and a field nobody declared is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(Record):
    """One sentence, as a key of the catalogue and the numbers in it."""

    key: str
    values: dict[str, Any]
