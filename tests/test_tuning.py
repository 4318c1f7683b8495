"""The rate for a new base: trained together, asked on check wordings alone, kept unless another is clearly better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from killed_run import write_data

from kurabe import backends, recipes, tuned, tuning
from kurabe.cli import main
from kurabe.cli.demo import packaged
from kurabe.errors import EXIT_DATA, DataError
from kurabe.fake import FAKE_INFO, FakeBackend
from kurabe.model import TrialPlan
from kurabe.schema import Request
from kurabe.settings import RunSettings

ROWS = packaged("en")
RULE = recipes.scaled_rate(recipes.for_model(recipes.FAIR, FAKE_INFO.parameters), FAKE_INFO.hidden)


class Learner(FakeBackend):
    """A model that recalls by `knows(factor)`: a question is answered right for this share of the examples."""

    def __init__(self, knows: Callable[[float], float]) -> None:
        self.knows, self.plans, self.asked = knows, list[TrialPlan](), list[Request]()
        self.expected = dict[str, str]()
        super().__init__(self.say)

    def train(self, trials: Sequence[TrialPlan], stopped: object = None):  # type: ignore[no-untyped-def]
        self.plans = list(trials)
        for trial in trials:
            self.expected |= {sample.example: sample.messages[-1].content for sample in trial.samples}
        return super().train(trials)

    def say(self, request: Request) -> str:
        self.asked.append(request)
        plan = next(p for p in self.plans if p.trial == request.key.trial)
        examples = sorted(self.expected)
        example = request.key.question.rsplit("/", 1)[0]
        knows = self.knows(plan.plan.recipe.rate / recipes.FAIR.rate)
        return self.expected[example] if examples.index(example) < knows * len(examples) else "No idea."


def tuned_by(knows: Callable[[float], float], **changes: object) -> tuple[tuning.TunedRate, Learner]:
    learner = Learner(knows)
    settings = RunSettings.model_validate({"seeds": 2, "exposures": 10, **changes})
    return tuning.tune(ROWS, settings, learner), learner


def test_a_clearly_better_rate_is_found() -> None:
    found, _ = tuned_by(lambda factor: {2.0: 1.0}.get(round(factor, 3), 0.1))
    assert found.factor == 2.0
    assert found.rate == pytest.approx(2 * RULE)
    assert found.model_sha256 == FAKE_INFO.sha256
    assert [row.factor for row in found.tried] == list(tuning.FACTORS)
    assert {row.seeds for row in found.tried} == {2}


def test_the_recipe_s_own_stays_where_no_other_is_clearly_better() -> None:
    assert tuned_by(lambda factor: 0.8 if factor < 1.5 else 0.9)[0].factor == 1.0
    assert tuned_by(lambda factor: 1.0)[0].factor == 1.0
    nothing = tuned_by(lambda factor: 0.0)[0]
    assert nothing.factor == 1.0 and {row.recall for row in nothing.tried} == {0.0}


@pytest.mark.parametrize(("edge", "beyond"), [(4.0, 8.0), (0.25, 0.125)])
def test_at_an_end_one_more_is_tried(edge: float, beyond: float) -> None:
    found, _ = tuned_by(lambda factor: {edge: 0.7, beyond: 1.0}.get(round(factor, 3), 0.0))
    assert found.factor == beyond
    assert beyond in [row.factor for row in found.tried]
    assert tuned_by(lambda factor: {edge: 1.0}.get(round(factor, 3), 0.0))[0].factor == edge


def test_check_wordings_are_asked_and_neither_trained_nor_held_out() -> None:
    _, learner = tuned_by(lambda factor: 1.0)
    asked = {request.messages[-1].content for request in learner.asked}
    trained = {sample.messages[1].content for plan in learner.plans for sample in plan.samples}
    assert asked and trained and not asked & trained
    assert {request.key.probe for request in learner.asked} == {"check"}
    text = ROWS.read_text(encoding="utf-8")
    held_out = {row for row in asked if f'"{row}"' in text and row in str(_held_out())}
    assert not held_out


def _held_out() -> set[str]:
    from kurabe import dataset, splits

    examples = splits.prepare(dataset.read_examples(ROWS).examples, "en", 0).examples
    return {wording for example in examples for wording in example.texts("held_out")}


def test_rows_without_enough_wordings_or_values_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "few.jsonl"
    data.write_text("".join(write_data(tmp_path).read_text(encoding="utf-8").splitlines(True)[:3]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        tuning.tune(data, RunSettings(), Learner(lambda factor: 1.0))
    assert caught.value.exit_code == EXIT_DATA and caught.value.fix


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize(
    ("good", "word"), [(2.0, {"en": "×2", "ja": "2 倍"}), (9.0, {"en": "is not", "ja": "どの学習率でも"})]
)
def test_the_command_shows_every_rate_and_keeps_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], language: str, good: float,
    word: dict[str, str],
) -> None:  # fmt: skip
    monkeypatch.setattr(tuned, "place", lambda: tmp_path / "rates")
    monkeypatch.setattr(backends, "load", lambda _: Learner(lambda factor: float(round(factor, 3) == good)))
    with pytest.raises(SystemExit) as caught:
        main(["tune-recipe", "--exposures", "10", "--lang", language])
    assert caught.value.code == 0
    screen = capsys.readouterr()
    assert word[language] in screen.out and screen.out.count("×") >= len(tuning.FACTORS)
    kept = tuned.find(FAKE_INFO.sha256)
    assert kept and kept.factor == (good if good in tuning.FACTORS else 1.0)
