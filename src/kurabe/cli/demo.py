"""`kurabe demo`: the main job on ten support rows that come with kurabe, all arms, the recipes `fair` and `origin`.

Knows nothing that `kurabe run` does not.
"""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen


def command(
    screen: "Screen",
    model: Annotated[str | None, typer.Option(help="settings.model")] = None,
    rows: Annotated[Literal["en", "ja"] | None, typer.Option(help="cli.demo.rows")] = None,
    runs: Annotated[str | None, typer.Option(help="settings.runs")] = None,
    name: Annotated[str | None, typer.Option(help="settings.name")] = None,
    threads: Annotated[int | None, typer.Option(help="settings.threads")] = None,
) -> None:
    from kurabe.cli.measure import finish, measure
    from kurabe.settings import load_settings

    # The stand-in reads English only; a model of the user's own is shown the rows in the screen's language.
    language = rows or ("en" if model in (None, "tiny") else screen.t.language)
    flags = {"model": model, "runs": runs, "name": name, "threads": threads, "recipes": "fair,origin", "arms": "all"}
    results, folder = measure(screen, packaged(language), load_settings(flags=flags))
    finish(screen, results, folder)


def packaged(language: str) -> Path:
    """The ten rows: beside the package where it is installed, in `examples/` of a checkout."""
    name = f"support-{language}.jsonl"
    installed = Path(str(files("kurabe"))) / "data" / name
    return installed if installed.is_file() else Path(__file__).parents[3] / "examples" / name
