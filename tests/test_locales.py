"""The two catalogues say the same things, the code asks for nothing else, and nothing in them is left over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from kurabe.settings import RunSettings
from kurabe.texts import LANGUAGES, catalogue

PACKAGE = Path(__file__).parents[1] / "src" / "kurabe"
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {path: ast.parse(source) for path, source in SOURCES.items()}
TEMPLATES = [
    path
    for path in PACKAGE.rglob("*")
    if path.suffix in {".html", ".jinja", ".j2", ".md"} and path.relative_to(PACKAGE).parts[0] != "tiny"
]
# Where a key stands as an argument: t("..."), typer.Option(help="..."), Reason(key="...") and the like.
KEY_WORDS = {"help", "key"}


def places(sentence: str) -> set[str]:
    return {name.split(".")[0] for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def is_texts(function: ast.expr) -> bool:
    name = (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
    return name in {"t", "_t"}


def asked_for() -> Iterator[tuple[str, set[str] | None, str]]:
    """(key, names of the values given or None where they are not known, place) of every literal key in the code."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            place = f"{path.name}:{node.lineno}"
            if is_texts(node.func) and node.args and isinstance(node.args[0], ast.Constant):
                names = {word.arg for word in node.keywords}
                yield str(node.args[0].value), None if None in names else {n for n in names if n}, place
            for word in node.keywords:
                if word.arg in KEY_WORDS and isinstance(word.value, ast.Constant) and "." in str(word.value.value):
                    yield str(word.value.value), None, place


def test_both_languages_have_the_same_keys() -> None:
    first, *others = (set(catalogue(language)) for language in LANGUAGES)
    assert all(first ^ other == set() for other in others)


def test_both_languages_have_the_same_places() -> None:
    english, japanese = catalogue("en"), catalogue("ja")
    assert {k for k in english if k in japanese and places(english[k]) != places(japanese[k])} == set()


def test_a_number_never_stands_before_a_plural_that_does_not_bend() -> None:
    """`{rows} rows` is wrong for one row; `{rows} {rows:row|rows}` and `rows: {rows}` are right. A range has no one."""
    always_many = {"audit.low-exposure.what", "data.note.first-only"}  # their numbers are limits, far above one
    nouns = ("answers arms bytes cells cores columns epochs examples flaws layers models questions rows samples steps "
             "threads times wordings")  # fmt: skip
    stiff = re.compile(rf"(?<!to )\{{\w+[^}}|]*\}} (?:[a-z-]+ )?(?:{nouns.replace(' ', '|')})\b")
    assert [k for k, text in catalogue("en").items() if stiff.search(text) and k not in always_many] == []


def test_no_sentence_is_empty_or_untranslated() -> None:
    """A Japanese sentence of some length has Japanese in it."""
    assert [key for language in LANGUAGES for key, text in catalogue(language).items() if not text.strip()] == []
    japanese = re.compile("[぀-ヿ一-鿿]")
    words = {k: re.sub(r"\{[^}]*\}", "", text) for k, text in catalogue("ja").items()}
    copied = [
        k for k, text in words.items()
        if text == re.sub(r"\{[^}]*\}", "", catalogue("en")[k]) and len(re.findall("[A-Za-z]{3,}", text)) > 3
        and not text.startswith(("pip ", "kurabe ")) and not japanese.search(text)
    ]  # fmt: skip
    assert copied == []


def test_every_key_in_the_code_has_its_sentence() -> None:
    tops = {key.split(".")[0] for key in catalogue("en")}
    known = catalogue("en")
    missing = [
        f"{place} {key}" for key, _, place in asked_for() if key.split(".")[0] in tops and key not in known
    ]  # fmt: skip
    assert missing == []


def test_every_place_in_a_sentence_gets_its_value() -> None:
    known = catalogue("en")
    lacking = [
        f"{place} {key}: {places(known[key]) - given}"
        for key, given, place in asked_for()
        if given is not None and key in known and places(known[key]) - given
    ]
    assert lacking == []


def test_no_sentence_is_left_over() -> None:
    """A key is used when it stands in the code, or when an f-string with a fixed beginning can make it."""
    literal: set[str] = set()
    patterns: set[str] = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                literal.add(node.value)
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                parts = [re.escape(str(v.value)) if isinstance(v, ast.Constant) else r"[\w.+-]+" for v in node.values]
                if "." in str(node.values[0].value):
                    patterns.add("".join(parts))
    templates = "\n".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    literal |= set(re.findall(r"""\bt\(\s*["']([\w.+-]+)["']""", templates))
    patterns |= {
        re.escape(prefix) + r"[\w.+-]+" for prefix in re.findall(r"""\bt\(\s*["']([\w.+-]+\.)["']\s*~""", templates)
    }
    made = re.compile("|".join(sorted(patterns)))
    # `settings.*` describes each setting, whether or not a command has a flag for it.
    unused = [
        k for k in catalogue("en") if k not in literal and not made.fullmatch(k) and not k.startswith("settings.")
    ]
    assert unused == []


def test_the_settings_are_described_as_they_are_declared() -> None:
    described = {k.removeprefix("settings."): v for k, v in catalogue("en").items() if k.startswith("settings.")}
    assert described == {name: field.description for name, field in RunSettings.model_fields.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_has_its_name(language: str) -> None:
    from kurabe import errors

    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.UserError)]
    assert len(classes) > 5
    assert [c.__name__ for c in classes if f"cli.error.{c.__name__}" not in catalogue(language)] == []
