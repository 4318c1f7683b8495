"""A run's settings, each declared once: name, type, default and help text. YAML file < environment < flags.

Nobody assigns to settings after this module has resolved them.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator

from kurabe.errors import SettingsError, in_words
from kurabe.schema import Axis, Record

ARM_NAMES = ("base", "prompt", "few-shot", "rag", "lora", "lora+prompt", "lora+rag", "ceiling", "shuffled")
USUAL_ARMS = tuple(name for name in ARM_NAMES if name != "shuffled")  # a control that costs a training of its own
RECIPE_NAMES = ("fair", "distil", "fair+retention", "distil+retention", "fair+unknown", "origin")
AXES: tuple[Axis, ...] = get_args(Axis)
ENVIRONMENT_PREFIX = "KURABE_"
_NO_SETTINGS = ("KURABE_LANG",)  # variables of the screen, read by `texts`
# What text that is no YAML raises: the latter are of odd numbers, dates, tags and nesting, inside the parser.
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, OverflowError, RecursionError, TypeError, AttributeError)
_EXAMPLE = "Write one setting per line, as `retention: 20`; docs/commands.md lists them."


class Price(Record):
    """What the tokens of one model cost."""

    input_per_million: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="price of a million prompt tokens"
    )
    output_per_million: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="price of a million answered tokens"
    )


class Prices(Price):
    """What an answer costs, for the cost table. Without prices the table shows tokens only."""

    currency: str = Field("USD", max_length=20, description="shown beside the prices")
    models: dict[str, Price] = Field(
        {}, description="the two prices of each other model that is asked with `beside`, by the model's name"
    )


class RunSettings(Record):
    """Everything that decides a run, apart from the data file."""

    model: str = Field(
        "tiny", description="`tiny` (the embedded stand-in), a model folder, or ORG/NAME once it is pulled"
    )
    arms: tuple[str, ...] = Field(USUAL_ARMS, description="arms to compare; `all` adds `shuffled`, one more training")
    recipes: tuple[str, ...] = Field(("fair",), description="recipes to train by; the first one is the verdict's")
    seed: int = Field(0, ge=0, description="seed of adapters, row order and resampling")
    prompt_file: str | None = Field(None, description="your own system prompt for the `prompt` arms")
    documents: tuple[str, ...] = Field(
        (), description="your Markdown and text files, or folders of them, for the `rag` arms; none: the rows"
    )
    nearest: int = Field(
        3, ge=1, le=50, description="rows or passages that `few-shot` and the `rag` arms show before a question"
    )
    max_new_tokens: int | None = Field(
        None, ge=1, le=4096, description="answer limit in tokens; none: twice the longest expected answer"
    )
    minutes: int | None = Field(
        None, ge=1, le=10_080, description="fit the run into so many minutes, taking away what costs the least truth"
    )
    rate: float | None = Field(
        None, gt=0, le=1000,
        description="factor on the learning rate of our recipes; none: what tune-recipe found for this model, or 1",
    )  # fmt: skip
    exposures: int | None = Field(
        None, ge=1, description="times each example is seen in training; none: the recipe's own number (fair: 100)"
    )
    wordings: int | None = Field(
        None, ge=1, description="trained wordings used per example; none: the recipe's own number (fair: all)"
    )
    held_out: int | None = Field(None, ge=1, description="held-out wordings asked per example; none: all")
    stop: Literal["plan", "learned"] = Field(
        "plan", description="learned: end a training once its check wordings are answered no better any more"
    )
    retention: int = Field(60, ge=0, le=400, description="retention questions of each kind; 0 leaves them out")
    samples: int = Field(
        0, ge=0, le=50, description="times a question of each example is answered at temperature 0.7; 0 leaves it out"
    )
    alternatives: int = Field(
        0, ge=0, le=9, description="changed answers that each expected one is held against, by likelihood; 0: none"
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads; none: as many as there are cores, on a cluster one per task"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="where the model runs: auto (CUDA, else MPS, else the CPU), cpu, cuda or mps"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="numbers of the frozen layers' products: float32, bfloat16, or auto (bfloat16 where it is real)",
    )
    ray: str | None = Field(
        None, description="train and answer on a Ray cluster: `local`, `auto` or HOST:PORT; `none`: in this process"
    )
    runs: str = Field("runs", description="folder that holds the run folders")
    name: str | None = Field(None, description="name of the run folder; none: the file's name and the time")
    encoding: str | None = Field(None, description="encoding of the data file, where it is not UTF-8")
    skip_bad: bool = Field(False, description="leave out refused rows (they are counted in the report)")
    over: tuple[Axis, ...] = Field(
        (), description="axes of curves: examples, wordings, samples, epochs, rank, rate, seeds"
    )
    seeds: int = Field(3, ge=1, le=20, description="trials per point of a curve, each with a seed of its own")
    questions_per_day: int | None = Field(None, ge=1, description="your volume, for the cost of each arm")
    prices: Prices = Field(Prices(), description="price table for the cost of each arm, or the YAML file that holds it")
    beside: tuple[str, ...] = Field(
        (), description="other models, prompted, that stand apart: `ollama:NAME`, `http://HOST:PORT/v1#NAME`"
    )
    key_env: str | None = Field(
        None, description="environment variable that holds the key of the server named by `beside`"
    )
    at_once: int = Field(4, ge=1, le=256, description="requests to a server that are under way at once")
    answers_from: str | None = Field(
        None, description="a vLLM that serves the same weights and answers for all arms: `http://HOST:PORT/v1#NAME`"
    )

    @field_validator("prices", mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        """A file's name is the table in that file, bare or under `prices:` as in a settings file."""
        if not isinstance(value, str):
            return value
        table = _read_yaml(Path(value), "price table")
        return table["prices"] if list(table) == ["prices"] else table

    @field_validator("arms", "recipes", "documents", "beside", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """A comma-separated string (environment, flag) is a list; "all" is every one."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("arms")
    @classmethod
    def _known_arms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _known("arm", value, ARM_NAMES)

    @field_validator("over", mode="before")
    @classmethod
    def _known_axes(cls, value: Any) -> Any:
        parts = cls._split(value)
        return _known("axis", tuple(parts), AXES) if parts else ()

    @field_validator("recipes")
    @classmethod
    def _known_recipes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _known("recipe", value, RECIPE_NAMES)


def _known(kind: str, value: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    if value == ("all",):
        return names
    for name in value:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            raise ValueError(
                f"no {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(names)}")
            )
    if not value or len(set(value)) != len(value):
        raise ValueError(f"name each {kind} once, and at least one")
    # The table's order is the design's, whatever the order of the flags; recipes keep theirs (the first one decides).
    return value if kind == "recipe" else tuple(n for n in names if n in value)


def load_settings(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> RunSettings:
    """Settings from a YAML file, then `KURABE_<NAME>` variables, then flags that are not None.

    Raises `SettingsError` for an unknown key (with the nearest one) and for a value of the wrong type.
    """
    merged: dict[str, Any] = dict(_read_yaml(path)) if path else {}
    places = dict.fromkeys(merged, str(path))
    environment = os.environ if environment is None else environment
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in _NO_SETTINGS:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            merged[name], places[name] = value, variable
    for name, value in (flags or {}).items():
        if value is not None:
            merged[name], places[name] = value, "--" + name.replace("_", "-")
    return parse(merged, "", places)


def parse(values: Mapping[str, Any], where: str, places: Mapping[str, str] | None = None) -> RunSettings:
    """`values` as settings, or a `SettingsError` that names the key, the nearest key, and what was expected.

    `places` says where each one comes from, `where` the place of those that it does not name.
    """
    for name, value in values.items():
        if isinstance(value, str) and not value.isprintable() and re.search("[\ud800-\udfff]", value):
            place = (places or {}).get(name, where)
            raise SettingsError(
                f"The setting {name!r} is no text.", where=place, why="It has bytes that are not UTF-8.",
                fix="Rename that file or folder.",
            )  # fmt: skip
    try:
        return RunSettings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = (places or {}).get(str(first["loc"][0]), where) if first["loc"] else where
        key = ".".join(str(part) for part in first["loc"][:2] if not isinstance(part, int))
        if first["type"] == "extra_forbidden":
            key = ".".join(map(str, first["loc"]))
            places_of: dict[int, type[Record]] = {1: RunSettings, 2: Prices}
            known = list(places_of.get(len(first["loc"]), Price).model_fields)
            near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
            fix = f"Use {near[0]!r}." if near else "Known settings: " + ", ".join(known) + "."
            raise SettingsError(f"There is no setting {key!r}.", where=where, fix=fix) from None
        raise SettingsError(
            f"The setting {key!r} was refused: {in_words(first)}", where=where, fix=_describe(key)
        ) from None


def _describe(key: str) -> str:
    owner, _, inner = key.rpartition(".")
    field = (Prices if owner == "prices" else RunSettings).model_fields.get(inner)
    if field is None:
        return "docs/commands.md lists every setting."
    default = field.default if not isinstance(field.default, tuple) else ",".join(field.default)
    usual = "" if default in (None, "") or isinstance(default, Record) else f"; the default is {default}"
    return f"{key}: {field.description}{usual}."


def _read_yaml(path: Path, what: str = "settings file") -> Mapping[str, Any]:
    """The mapping in a file. Raises SettingsError."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"The {what} does not exist.", where=str(path), fix="Check the path.") from None
    except OSError as error:
        raise SettingsError(
            f"The {what} cannot be read.",
            where=str(path),
            why=error.strerror or str(error),
            fix="Check the path.",
        ) from None
    except YAML_ERRORS as error:
        raise SettingsError(
            f"The {what} is not YAML.", where=str(path), why=" ".join(str(error).split()), fix=_EXAMPLE
        ) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(f"The {what} must hold `name: value` lines.", where=str(path), fix=_EXAMPLE)
    return data
