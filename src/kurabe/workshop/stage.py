"""Which model goes on stage, and how a script on stage ends when something is wrong.

Knows no step of the show. Nothing is fetched: TinyLlama is taken where it is complete in the hub's cache and its
training fits the time, else the embedded model, and the reason is said.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kurabe import arms, hub, intake, recipes
from kurabe.errors import UserError
from kurabe.schema import Example, Message
from kurabe.settings import RunSettings
from kurabe.texts import Texts, pick_language
from kurabe.texts import seconds as spoken

REPOSITORY = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
EMBEDDED = "tiny"
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
# A LoRA's step costs two operations per weight and position on the way forward and two on the way back.
OPERATIONS = 4


class Choice(NamedTuple):
    """The model for `RunSettings(model=...)`, and why it is this one."""

    model: str
    reason: str = ""  # none where it was named by hand
    needed: float = 0.0  # seconds
    limit: float = 0.0

    def why(self, t: Texts | None = None) -> str:
        """The reason in words; None: in the language of this computer."""
        t = t or Texts(pick_language())
        times = {"needed": spoken(self.needed, t.language), "limit": spoken(self.limit, t.language)}
        return t(f"workshop.model.{self.reason}", name=REPOSITORY, **times) if self.reason else ""


def choose_model(rows: str | Path, minutes: float, settings: RunSettings | None = None) -> Choice:
    """TinyLlama where it is complete in the cache and the run on `rows` fits into `minutes`, else the embedded model.

    The time is predicted in two steps: first what the training takes at the least, from this machine's speed at
    multiplying matrices, which takes a second; then, where that fits, by a few real steps as `kurabe run --dry-run`
    tries them.
    """
    settings = settings or RunSettings(recipes=("fair", "origin"))
    folder = cached()
    if folder is None:
        return Choice(EMBEDDED, "absent")
    needed = least_seconds(folder, rows, settings)
    if needed <= 60 * minutes:
        from kurabe.experiment import plan_run

        planned = plan_run(rows, settings.model_copy(update={"model": str(folder)})).seconds
        needed = sum(value for value in planned.values() if value is not None)
    fits = needed <= 60 * minutes
    return Choice(str(folder) if fits else EMBEDDED, "fits" if fits else "slow", needed, 60 * minutes)


def cached() -> Path | None:
    """TinyLlama's folder in the hub's cache; None where a file is missing or a weight file was cut short."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(REPOSITORY, "config.json")
    folder = Path(found).parent if isinstance(found, str) else None
    if folder is None or any(not (folder / name).is_file() for name in NEEDED):
        return None
    try:
        for file in hub.weight_files(folder):
            hub.check_safetensors(file)
    except UserError:
        return None
    return folder


def least_seconds(folder: Path, rows: str | Path, settings: RunSettings) -> float:
    """Seconds that the trainings take at the least: their operations at the speed of a plain matrix product."""
    from kurabe import chat

    request, examples = intake.read(rows, settings)
    count = chat.load(folder).count
    width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    positions = 0
    for name in settings.recipes:
        recipe = recipes.RECIPES[name]
        positions += _positions(recipe, examples, request.language, width, count)
    return OPERATIONS * _parameters(folder) * positions / _operations_per_second()


def _positions(
    recipe: recipes.Recipe, examples: Sequence[Example], language: str, width: int,
    count: Callable[[Sequence[Message]], int],
) -> int:  # fmt: skip
    """Positions of all steps of a training, padding included."""
    rows = arms.samples(examples, language, recipe.wordings)
    plan = recipes.plan(recipe, len(rows), len(examples), width)
    return plan.epochs * sum(max(count(row.messages), recipe.pad_to or 0) for row in rows)


def _parameters(folder: Path) -> int:
    """Weights of all tensors, by the headers of their files."""
    tensors = [entry for file in hub.weight_files(folder) for entry in hub.check_safetensors(file).values()]
    return sum(math.prod(entry["shape"]) for entry in tensors)


def _operations_per_second() -> float:
    """Of the best of three matrix products in float32, the type in which kurabe trains."""
    import torch

    size = 1024
    matrix = torch.ones(size, size, device=torch.accelerator.current_accelerator() or "cpu")
    best = 0.0
    for _ in range(3):
        clock = time.monotonic()
        float((matrix @ matrix)[0, 0])  # reading a value waits for the device
        best = max(best, 2 * size**3 / (time.monotonic() - clock))
    return best


@contextlib.contextmanager
def told() -> Iterator[None]:
    """A user's error ends a script with its four lines instead of a traceback. Bugs keep theirs."""
    t = Texts(pick_language())
    try:
        yield
    except UserError as error:
        lines = [f"{t('cli.error.' + type(error).__name__)}: {error.what}"]
        lines += [f"  {t('cli.error.' + name)}: {sentence}" for name, sentence in error.lines() if name != "what"]
        sys.stderr.write("\n".join(lines) + "\n")
        raise SystemExit(error.exit_code) from None
