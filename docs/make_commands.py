"""Writes docs/commands.md: every command's help, every setting, every recipe. `python docs/make_commands.py`.

Knows no text of its own about a command: it asks the program. A test compares the page with what this makes.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

from kurabe import settings
from kurabe.cli import COMMANDS, load, main
from kurabe.recipes import RECIPES, Recipe
from kurabe.schema import Record
from kurabe.texts import Texts

PAGE = Path(__file__).with_name("commands.md")
HEAD = """# Commands and settings

Made by `python docs/make_commands.py` from the program itself.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## kurabe\n", _block(help_of())]
    for name in COMMANDS:
        parts += [f"## kurabe {name}\n", _block(help_of(name))]
        if rare := hidden_flags(name):
            kept = ", better kept in a `--settings` file" if "`--settings`" in _listed(name) else ""
            parts.append(f"Rare flags{kept}: " + ", ".join(f"`{f}`" for f in rare) + ".\n")
    parts += ["## Settings\n", SETTINGS, _fields(settings.RunSettings), "\nUnder `prices`:\n", _fields(settings.Prices)]
    return "\n".join([*parts, "\n## Recipes\n", RECIPES_ARE, recipes_table()]) + "\n"


SETTINGS = """\
A settings file is YAML, `name: value` per line. The environment (`KURABE_RETENTION=20`) wins over the file, and flags
win over both. An unknown name is an error that names the nearest one, in the environment too (`KURABE_LANG` is no
setting: it is the language of the screen).
"""
RECIPES_ARE = """\
The rate is carried from the width it was found for to the model's: rate x (width / hidden) ^ 0.781; that of `origin` to
narrower models only. On models below 100M parameters all but `origin` take rank 8 and alpha 16. Sources:
[science.md](science.md).
"""


def help_of(*command: str) -> str:
    """What `kurabe [command] --help` prints on a screen of 80 columns."""
    before, stream = os.environ.get("COLUMNS"), io.StringIO()
    os.environ["COLUMNS"] = "80"
    try:
        with contextlib.redirect_stdout(stream), contextlib.suppress(SystemExit):
            main([*command, "--help", "--lang", "en"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return stream.getvalue()


def hidden_flags(name: str) -> list[str]:
    """Flags that work and that the help leaves out."""
    return [option for p in load(name, Texts("en")).params if getattr(p, "hidden", False) for option in p.opts]


def _listed(name: str) -> str:
    return " ".join(f"`{option}`" for p in load(name, Texts("en")).params for option in p.opts)


def recipes_table() -> str:
    """One column per recipe, one row per setting of a recipe."""
    rows = [f"| | {' | '.join(RECIPES)} | |", "|---|" + "---|" * (len(RECIPES) + 1)]
    for name, field in Recipe.model_fields.items():
        if field.description:
            values = " | ".join(_written(getattr(recipe, name)) for recipe in RECIPES.values())
            rows.append(f"| `{name}` | {values} | {field.description} |")
    return "\n".join(rows)


def _fields(record: type[Record]) -> str:
    rows = ["| name | default | what it is |", "|---|---|---|"]
    for name, field in record.model_fields.items():
        default = "" if isinstance(field.default, Record) else _written(field.default)
        rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)


def _written(value: Any) -> str:
    if value is None:
        return "none"
    if value in ((), {}):
        return ""
    return f"`{', '.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def _block(text: str) -> str:
    return f"```\n{text.strip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
