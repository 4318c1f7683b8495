"""Results -> one self-contained HTML page, Markdown, JSON or CSV. A pure function of the results: nothing is re-run.

Knows no run folder and no model. Text from data and models stays text in every form.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from kurabe.schema import Results
from kurabe.texts import Texts

Format: TypeAlias = Literal["html", "md", "json", "csv"]
FORMATS: tuple[Format, ...] = ("html", "md", "json", "csv")


def render(results: Results, fmt: Format, language: str) -> str:
    """The report as text; `language` is that of its words ("en", "ja"), not that of the data."""
    if fmt == "json":
        return results.model_dump_json(indent=2) + "\n"
    if fmt == "csv":
        from kurabe.report.sheet import sheet

        return sheet(results)
    if fmt == "md":
        from kurabe.report.markdown import markdown

        return markdown(results, Texts(language))
    from kurabe.report.page import page

    return page(results, Texts(language))
