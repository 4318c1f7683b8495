"""Figures and a template -> a study's page in English and in Japanese: the same figures in both.

Knows no study. What all pages share (where the figures come from, on which machine, by which weights) stands in
`templates/study.<language>.md.jinja`, which a study's own template fills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kurabe import texts
from kurabe.schema import Estimate
from studies.estimates import Share, Slope
from studies.results import Stored, Trial

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs" / "studies"
LANGUAGES = ("en", "ja")


class Page(NamedTuple):
    """A study's page: its folder, its command, its kind of trial, and what its template places."""

    folder: Path
    command: str
    kind: type[Trial]  # type: ignore[type-arg]
    figures: Callable[[Stored], Mapping[str, Any]]

    @property
    def names(self) -> dict[str, str]:
        """Language -> file name."""
        name = self.folder.name.replace("_", "-")
        return {"en": f"{name}.md", "ja": f"{name}.ja.md"}


def write(page: Page, study: Stored, folder: Path = DOCS) -> list[Path]:
    """Both pages, from a finished study; nothing is written where one of them cannot be made."""
    return store(folder, page.names, lambda language: render(page, study, language))


def store(folder: Path, names: Mapping[str, str], page: Callable[[str], str]) -> list[Path]:
    """The page of each language under its name."""
    made = {folder / name: page(language) for language, name in names.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return list(made)


def render(page: Page, study: Stored, language: str) -> str:
    """One page as text. The same results give the same bytes."""
    figures = page.figures(study)
    return environment(page.folder).get_template(f"page.{language}.md.jinja").render(
        command=page.command, names=page.names, study=study, session=study.sessions[-1], **figures,
    )  # fmt: skip


# --- numbers ---------------------------------------------------------------------------------------------------------


def share(found: Estimate | Share) -> str:
    """ "45 % (30–60 %)"."""
    estimate = found.estimate if isinstance(found, Share) else found
    span = texts.interval(estimate.low, estimate.high)
    return texts.percent(estimate.value) + (f" ({span})" if span else "")


def cost(estimate: Estimate | None) -> str:
    """ "+45 [+30, +55]", in points."""
    if estimate is None:
        return "–"
    low, high = estimate.low, estimate.high
    span = "" if low is None or high is None else f" [{points(low)}, {points(high)}]"
    return points(estimate.value) + span


def slope(found: Slope) -> str:
    """The same of a slope."""
    return f"{points(found.value)} [{points(found.low)}, {points(found.high)}]"


def points(value: float | None) -> str:
    """A difference in points; what rounds to nothing has no minus before it."""
    return texts.points(None if value is None else round(value, 2) + 0.0)


def seeds(found: Share | Sequence[float]) -> str:
    """The single seeds: "44, 47, 45 %"."""
    values = found.by_seed if isinstance(found, Share) else found
    return ", ".join(f"{value * 100:.0f}" for value in values) + " %"


def seeds_of_cost(values: Sequence[float]) -> str:
    """The single seeds: "+44, +47, +45"."""
    return ", ".join(map(points, values))


def loss(value: float | None) -> str:
    """Two digits behind the point, more where nothing else would be left."""
    return "–" if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


FILTERS: dict[str, Callable[..., str]] = {
    "share": share, "cost": cost, "slope": slope, "points": points, "seeds": seeds, "seeds_of_cost": seeds_of_cost,
    "loss": loss, "percent": texts.percent, "seconds": texts.seconds, "rate": texts.rate, "size": texts.size,
    "count": texts.count,
}  # fmt: skip


def environment(folder: Path, **filters: Callable[..., str]) -> Environment:
    """The templates of a study's folder and those that all share, with a study's own filters beside the shared ones."""
    made = Environment(
        loader=FileSystemLoader([folder, HERE / "templates"], encoding="utf-8"), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,  # Markdown of figures
    )  # fmt: skip
    made.filters.update(FILTERS | filters)
    return made
