"""Numbers as people read them, and the language that a screen speaks."""

from __future__ import annotations

import pytest

from kurabe import texts


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.0033, "3 ms"), (0.061, "61 ms"), (0.0999, "100 ms"), (0.15, "0.15 s"), (4.24, "4.2 s"), (22.4, "22 s"),
     (95, "1 min 35 s"), (3725, "1 h 02 min")],
)  # fmt: skip
def test_a_time_is_never_rounded_to_nothing(seconds: float, written: str) -> None:
    assert texts.seconds(seconds) == written


@pytest.mark.parametrize(
    ("number", "written"), [(7, "7"), (99, "99"), (101, "110"), (137, "140"), (237, "240"), (12_345, "13,000")]
)
def test_an_estimated_number_has_two_figures_and_is_never_too_low(number: int, written: str) -> None:
    assert texts.about(number) == written


@pytest.mark.parametrize(
    ("cores", "said"), [(1, "1 core,"), (2, "2 cores,"), (0, "0 cores,"), ("1", "1 core,"), (1.0, "1.0 core,")]
)
def test_one_is_singular(cores: object, said: str) -> None:
    assert said in texts.Texts("en")("report.machine_is", cores=cores, memory="8 GB")


@pytest.mark.parametrize(
    ("wanted", "environment", "language"),
    [("ja", {"LANG": "en_US.UTF-8"}, "ja"), (None, {"LANG": "ja_JP.UTF-8"}, "ja"), (None, {"LANG": "fr_FR"}, "en"),
     (None, {"LANG": "en_US", "KURABE_LANG": "ja"}, "ja"), ("fr", {"LANG": "ja_JP.UTF-8"}, "ja")],
)  # fmt: skip
def test_the_language_is_the_one_asked_for_else_the_locales(
    wanted: str | None, environment: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "KURABE_LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("locale.getlocale", lambda: (None, None))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert texts.pick_language(wanted) == language
