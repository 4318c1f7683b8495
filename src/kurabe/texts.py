"""Words and numbers for people: `t(key, **values)` from the two catalogues, and the one place that formats numbers.

Knows no record. A key that one catalogue lacks is a bug that `tests/test_locales.py` finds.
"""

from __future__ import annotations

import contextlib
import locale
import os
from functools import cache
from importlib import resources
from string import Formatter
from typing import Any

import yaml

LANGUAGES = ("en", "ja")


class _Sentence(Formatter):
    """`str.format` with one form more: `{n:row|rows}` is the first word where n is 1, else the second."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        one, bar, many = format_spec.partition("|")
        return (one if value in (1, "1") else many) if bar else super().format_field(value, format_spec)


class Texts:
    """The catalogue of one language; call it as `t("verdict.prompt", n=10)`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._catalogue = catalogue(language)

    def __call__(self, key: str, **values: Any) -> str:
        """The sentence of `key`, its `{name}` places filled. Raises KeyError for an unknown key or a missing value."""
        return _Sentence().format(self._catalogue[key], **values)


@cache
def catalogue(language: str) -> dict[str, str]:
    """Key -> sentence with `{name}` places; nested YAML maps are joined by dots."""
    text = resources.files("kurabe").joinpath(f"locales/{language}.yaml").read_text(encoding="utf-8")
    return dict(_flat("", yaml.safe_load(text)))


def _flat(prefix: str, node: Any) -> list[tuple[str, str]]:
    if not isinstance(node, dict):
        return [(prefix, str(node))]
    return [item for key, value in node.items() for item in _flat(f"{prefix}.{key}" if prefix else str(key), value)]


def pick_language(wanted: str | None = None) -> str:
    """`wanted`, else KURABE_LANG, else the locale's language where we have it, else English."""
    for candidate in (wanted, os.environ.get("KURABE_LANG"), *_locale_names()):
        if candidate and candidate[:2].lower() in LANGUAGES:
            return candidate[:2].lower()
    return "en"


def _locale_names() -> list[str]:
    names = [os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    with contextlib.suppress(ValueError):  # an unknown LANG
        names.append(locale.getlocale()[0] or "")
    return names


def percent(value: float | None, digits: int = 0) -> str:
    """0.953 -> "95 %"; None -> "–"."""
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def interval(low: float | None, high: float | None) -> str:
    """(0.9, 1.0) -> "90–100 %"; None bounds -> ""."""
    return "" if low is None or high is None else f"{low * 100:.0f}–{high * 100:.0f} %"


def points(value: float | None) -> str:
    """A difference of shares: 0.12 -> "+12"; None -> "–"."""
    return "–" if value is None else f"{value * 100:+.0f}"


def seconds(value: float, language: str = "en") -> str:
    """0.061 -> "61 ms"; 4.2 -> "4.2 s"; 95 -> "1 min 35 s", in Japanese "1分35秒"."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    number = (
        f"{value * 1000:.0f}" if value < 0.1
        else f"{value:.2f}" if value < 1
        else f"{value:.1f}" if value < 10
        else f"{value:.0f}"
    )  # fmt: skip
    if value < 90:
        units = {"en": (" ms", " s"), "ja": ("ミリ秒", "秒")}[language]
        return number + units[value >= 0.1]
    if language == "ja":
        return f"{hours}時間{minutes:02d}分" if hours else f"{minutes}分{rest:02d}秒"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(value: float) -> str:
    """Bytes: 1_500_000 -> "1.5 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def count(value: float) -> str:
    """12600000 -> "12,600,000"."""
    return f"{value:,.0f}"


def about(number: int) -> str:
    """An estimated count, in the two figures that it is worth, rounded up: 237 -> "240"."""
    scale: int = 10 ** max(0, len(str(number)) - 2)
    return count(-(-number // scale) * scale)


def rate(value: float) -> str:
    """A learning rate: 0.00018 -> "1.8e-04"."""
    return f"{value:.1e}"
