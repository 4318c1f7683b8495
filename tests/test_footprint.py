"""What a planned run asks of the memory, against the run's own rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_run import settings, write_data

from kurabe import backends, footprint, intake, planning
from kurabe.fake import FakeBackend
from kurabe.settings import RunSettings


def test_a_scripted_model_has_no_plan(tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    request, examples = intake.read(write_data(tmp_path), wanted)
    material, fake = intake.material(request, examples), FakeBackend()
    assert footprint.plan(planning.plan_work(material, wanted, fake), material, fake) is None


@pytest.mark.parametrize("recipe", ["fair", "origin"])
def test_a_step_is_foreseen_between_its_mean_and_its_largest(tiny_folder: Path, tmp_path: Path, recipe: str) -> None:
    """Against the positions that are really computed: what rows share once, padding where the recipe pads."""
    wanted = settings(tmp_path, model=str(tiny_folder), threads=1, device="cpu", retention=0, recipes=(recipe,))
    request, examples = intake.read(write_data(tmp_path), wanted)
    material, backend = intake.material(request, examples), backends.load(RunSettings.model_validate(wanted))
    work = planning.plan_work(material, wanted, backend)
    trial = work.trainings.compared[0].trial
    load = footprint.load(work, material, backend)
    assert load.adapters == load.trained == backend.trainable(trial.plan.recipe.rank)
    computed: list[int] = []
    decoder = backend.engine.decoder  # type: ignore[attr-defined]
    hook = decoder.register_forward_pre_hook(
        lambda _, __, given: computed.append(given["input_ids"].numel()), with_kwargs=True
    )
    for step in backend.train([trial]):
        if step.step >= min(8, step.steps):
            break
    hook.remove()
    assert 0.8 * sum(computed) / len(computed) <= load.positions <= 1.2 * max(computed)
    assert load.dropout == (recipe == "origin") and 0 < load.labelled <= load.positions
    found = footprint.plan(work, material, backend)
    assert found is not None and found.peak > found.weights > 0
