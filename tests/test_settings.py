"""Settings: where each value came from, what is refused, and what the refusal says."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from kurabe.errors import SettingsError
from kurabe.settings import RunSettings, load_settings


def refused(tmp_path: Path, text: str = "", environment: dict[str, str] | None = None, **flags: Any) -> SettingsError:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load_settings(path, environment=environment or {}, flags=flags)
    return error.value


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("retention: 1\nseed: 1\nrecipes: [origin]\n", encoding="utf-8")
    settings = load_settings(path, environment={"KURABE_RETENTION": "2", "KURABE_SEED": "2"}, flags={"seed": 3})
    assert (settings.recipes, settings.retention, settings.seed) == (("origin",), 2, 3)


def test_a_refused_value_names_the_place_it_came_from(tmp_path: Path) -> None:
    assert refused(tmp_path, "retention: x").where == str(tmp_path / "run.yaml")
    assert refused(tmp_path, "retention: 3", {"KURABE_RETENTION": "x"}).where == "KURABE_RETENTION"
    assert refused(tmp_path, "retention: 3", {"KURABE_RETENTION": "3"}, max_new_tokens="x").where == "--max-new-tokens"


def test_an_unknown_variable_is_refused_and_the_language_of_the_screen_is_none() -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(environment={"KURABE_RETENTIONS": "3"})
    assert (error.value.where, error.value.fix) == ("KURABE_RETENTIONS", "Use 'retention'.")
    assert load_settings(environment={"KURABE_LANG": "ja", "HOME": "/"}) == load_settings(environment={})


TABLE = "currency: EUR\ninput_per_million: 1\nmodels:\n  large:9b: {input_per_million: 2, output_per_million: 3.5}\n"


@pytest.mark.parametrize("text", [TABLE, "prices:\n" + textwrap.indent(TABLE, "  ")])
def test_a_price_table_is_a_file_that_is_named_and_read_at_once(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text, encoding="utf-8")
    named = (load_settings(environment={"KURABE_PRICES": str(file)}), load_settings(flags={"prices": str(file)}))
    for prices in (settings.prices for settings in named):
        assert (prices.currency, prices.input_per_million, prices.output_per_million) == ("EUR", 1, None)
        assert prices.models["large:9b"].output_per_million == 3.5
    assert RunSettings.model_validate(named[0].model_dump(mode="json")) == named[0]  # a run keeps it without the file


@pytest.mark.parametrize(
    ("text", "words"),
    [("models: {a: {input_per_milion: 1}}", "input_per_million"), ("models: {a: {input_per_million: -1}}", "prices"),
     ("input_per_million: .inf", "prices"), ("model: {}", "models"), ("[1]", "price table"), (None, "price table")],
)  # fmt: skip
def test_a_price_table_that_is_none_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "prices.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load_settings(environment={}, flags={"prices": str(file)})
    assert words in str(error.value) + str(error.value.fix)


@pytest.mark.parametrize(
    ("text", "words"),
    [("retentoin: 3", "Use 'retention'."), ("retention: x", "the default is 60"), ("prices: {currency: 3}", "currency"),
     ("over: [x]", "rate, seeds."),
     ("arms: [bass]", "did you mean 'base'"), ("arms: [xyz]", "base, prompt, few-shot, rag, lora"),
     ("- 3", "retention: 20"), ("a: [", "retention: 20"), ("a: 9999-99-99", "retention: 20"),
     ("a: !!bool foo", "retention: 20"), ("a: !!int ''", "retention: 20"), ("[" * 2000, "retention: 20")],
)  # fmt: skip
def test_a_refusal_says_what_to_write_instead(tmp_path: Path, text: str, words: str) -> None:
    error = refused(tmp_path, text)
    assert words in f"{error.what} {error.fix}" and error.fix
