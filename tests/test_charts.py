"""Charts: every number at its place, text as text, colours as tokens, words beside the colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
import synthetic

from kurabe import analysis, charts
from kurabe.charts import NARROW, WIDE
from kurabe.schema import CurvePoint, Results
from kurabe.texts import LANGUAGES, Texts

SVG = "{http://www.w3.org/2000/svg}"
Draw = Callable[..., str | None]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return analysis.analyse(synthetic.write_run(tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def drawn(results: Results) -> dict[str, str]:
    t = Texts("en")
    return {name: getattr(charts, name)(results, t, WIDE) for name in ("recall", "loss", "retention")}


def words(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def marks(svg: str, shape: str) -> list[float]:
    """The x of every mark that Vega calls by this name."""
    places = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if f"mark-{shape}" in (group.get("class") or ""):
            for path in group.iter(f"{SVG}path"):
                found = re.match(r"translate\(([\d.-]+),", path.get("transform") or "")
                if found:
                    places.append(float(found[1]))
    return places


def test_the_dots_stand_at_the_recall_of_their_arms(results: Results, drawn: dict[str, str]) -> None:
    expected = [arm.recall.value * WIDE.width for arm in results.arms if arm.recall.value is not None]
    places = marks(drawn["recall"], "symbol")
    for x in expected:
        assert any(abs(x - place) < 0.6 for place in places), x
    trained = [arm.trained.value * WIDE.width for arm in results.arms if arm.trained.value is not None]
    assert len(places) == len(expected) + len(trained)


def test_every_arm_is_named_with_its_numbers_in_text(results: Results, drawn: dict[str, str]) -> None:
    said = words(drawn["recall"])
    for arm in results.arms:
        assert arm.label in said
        assert any(word.startswith(f"{arm.recall.value:.0%}".replace("%", " %")) for word in said)


@pytest.mark.parametrize("name", ["recall", "loss", "retention"])
def test_a_chart_can_be_read_aloud_and_takes_the_pages_colours(drawn: dict[str, str], name: str) -> None:
    root = ElementTree.fromstring(drawn[name])
    assert root.get("role") == "img" and root.find(f"{SVG}title") is not None
    assert (root.findtext(f"{SVG}desc") or "").count(";") >= 1
    assert root.get("viewBox") and root.get("width") is None
    assert "var(--soft, " in drawn[name]
    plain = re.findall(r'(?:fill|stroke)="(#[0-9a-fA-F]+)"', drawn[name])
    assert plain == []
    assert "@font-face" not in drawn[name] and "<image" not in drawn[name]
    assert words(drawn[name])


def test_curves_end_where_the_losses_end_and_are_told_apart_without_colour(
    results: Results, drawn: dict[str, str]
) -> None:
    assert {"fair", "origin"} <= set(words(drawn["loss"]))
    assert len(set(re.findall(r'stroke-dasharray="([^"]+)"', drawn["loss"]))) >= 2
    last = {c.recipe: c.value for c in results.curves}
    told = ElementTree.fromstring(drawn["loss"]).findtext(f"{SVG}desc") or ""
    for recipe, value in last.items():
        assert recipe in told and f"{value:.2f}" in told


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    points = [CurvePoint(axis="step", x=n, measure="loss", trial=1, recipe="fair", value=1 / n) for n in range(1, 5001)]
    kept = charts._thinned(points)
    steps = [p.x for p in kept]
    assert len(kept) <= charts.MAX_POINTS + 2 and steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (1, 5000)
    assert charts._thinned(points[:50]) == points[:50]


def test_a_loss_that_was_not_finite_leaves_a_gap_and_no_curve_leaves_no_chart(results: Results) -> None:
    t = Texts("en")
    broken = [c.model_copy(update={"value": None}) if c.x == 5 else c for c in results.curves]
    svg = charts.loss(results.model_copy(update={"curves": tuple(broken)}), t)
    assert svg is not None and "NaN" not in svg
    assert charts.loss(results.model_copy(update={"curves": ()}), t) is None
    assert charts.retention(results.model_copy(update={"retention": ()}), t) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_narrow_chart_says_the_same_in_its_own_width(results: Results, language: str) -> None:
    t = Texts(language)
    wide, narrow = charts.recall(results, t, WIDE), charts.recall(results, t, NARROW)
    assert sorted(words(wide)) == sorted(words(narrow))
    width = float((ElementTree.fromstring(narrow).get("viewBox") or "").split()[2])
    assert width < 360
    assert t("charts.recall.axis") in words(narrow)


def test_hostile_names_stay_text(results: Results) -> None:
    hostile = '</title><script>alert(1)</script>"&'
    curves = tuple(c.model_copy(update={"recipe": hostile}) for c in results.curves)
    svg = charts.loss(results.model_copy(update={"curves": curves}), Texts("en"))
    assert svg is not None
    assert not list(ElementTree.fromstring(svg).iter(f"{SVG}script"))
    assert hostile in words(svg)


def test_every_token_of_the_charts_is_set_by_the_page() -> None:
    css = Path(charts.__file__).with_name("report") / "templates" / "report.css"
    text = css.read_text(encoding="utf-8")
    for token in charts.COLOURS:
        assert f"--{token}:" in text, token
