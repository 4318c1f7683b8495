"""A curve over models: the same rows, recipe and questions on several models, joined by their size. Here they are
measured one after another, on a cluster at once.

Knows no step of a run. Each model has a run folder of its own; the last one, the largest, keeps the curve of all. What
was stored is not done again, so that the same call goes on where it was stopped.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from kurabe import backends, experiment, raypool, runs, snapshots
from kurabe.analysis import load_run
from kurabe.cluster import MEMORY
from kurabe.errors import SettingsError
from kurabe.events import Emit
from kurabe.model import Backend
from kurabe.runs import RunFolder, RunWriter
from kurabe.schema import CurvePoint, Estimate, Event, ModelRun, Results
from kurabe.settings import RunSettings
from kurabe.wholeruns import carry_out

AXIS = "models"


class Part(NamedTuple):
    """One model of the curve, and the run that measures it."""

    model: str  # as the user named it
    settings: RunSettings

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return Path(self.settings.runs) / (self.settings.name or "")

    @property
    def on_cluster(self) -> bool:
        """Whether the models are measured at once, each run as a task of a cluster."""
        return self.settings.ray not in (None, "none")


def curve_over_models(
    data: str | Path, models: Sequence[str], settings: RunSettings | None = None, *, emit: Emit | None = None
) -> Results:
    """`data` measured on every model, the smallest first; the results of the largest, with the curve of all in
    `models` and `curves` (axis "models", x = parameters)."""
    parts = plan(data, models, settings or RunSettings())
    if parts[0].on_cluster:
        measure_at_once(data, parts, lambda _, event: emit(event) if emit else None)
    else:
        for part in parts:
            measure(data, part, emit)
    return join(parts)


def plan(data: str | Path, models: Sequence[str], settings: RunSettings) -> tuple[Part, ...]:
    """The runs of a curve, by the size of their models. Every model is looked at before the first run begins: one that
    is missing, or as large as another, is refused now."""
    sizes = {model: _numbers(model) for model in models}
    if len(sizes) < 2 or len(sizes) < len(models):
        raise SettingsError(
            "A curve over models needs two models or more, each named once.", where=",".join(models),
            fix="kurabe curve FILE --over models A,B,C",
        )  # fmt: skip
    ordered = sorted(sizes, key=lambda model: sizes[model])
    for smaller, larger in pairwise(ordered):
        if sizes[smaller] == sizes[larger]:
            raise SettingsError(
                f"{smaller} and {larger} are of the same size: {sizes[larger]:,} parameters.",
                why="The curve's axis is the size of the model.",
                fix=f"Leave one of them out; kurabe run FILE --model {larger} measures it by itself.",
            )
    now = datetime.now(timezone.utc).astimezone()
    name = settings.name or runs.new_name(Path(settings.runs), Path(data).name, now)
    # Every model by the same rule: a rate that was found for one of them would set it apart.
    same = {"over": (), "rate": settings.rate or 1.0}
    return tuple(
        Part(model, settings.model_copy(update={"model": model, "name": f"{name}-{k}-{_short(model)}", **same}))
        for k, model in enumerate(ordered, start=1)
    )


def measure(data: str | Path, part: Part, emit: Emit | None = None, backend: Backend | None = None) -> Results:
    """One model's run: begun, or gone on with, or read where it is finished. The model is let go of afterwards."""
    try:
        if not (part.folder / runs.REQUEST).is_file():
            return experiment.run(data, part.settings, emit=emit, backend=backend)
        _check_same(part, data)
        return experiment.resume(part.folder, emit=emit, backend=backend, ray=part.settings.ray or "none")
    finally:
        gc.collect()  # two models would not fit where one does


def measure_at_once(data: str | Path, parts: Sequence[Part], tell: Callable[[Part, Event], None]) -> None:
    """All models' runs, each as one task of the cluster: begun or gone on with here, finished on a worker. `tell` hears
    their events, and a note where a worker died, whose run goes on elsewhere from its last stage."""
    settings, by_folder = parts[-1].settings, {part.folder: part for part in parts}
    if settings.beside or settings.answers_from:
        raise SettingsError(
            "Models on a cluster answer for themselves.", where="--beside" if settings.beside else "--answers-from",
            why="Each run is carried out on a worker, which has neither this machine's servers nor its keys.",
            fix="Leave it out, or leave out --ray.",
        )  # fmt: skip

    def lost(folder: Path, why: str) -> None:
        note = {"key": "audit.note.worker-lost", "values": {"why": why}}
        tell(by_folder[folder], Event(seq=0, at="", elapsed=0.0, kind="note", values=note))

    memory = math.ceil(MEMORY * 4 * max(_numbers(part.model) for part in parts))
    with raypool.joined(settings.ray) as pool:
        assert pool is not None
        slots = pool.reserve(settings.threads or 1, memory, settings.device in ("auto", "cuda"))
        for part in parts:  # once it is known that they can be carried out
            if (part.folder / runs.REQUEST).is_file():
                _check_same(part, data)
            else:
                experiment.begin(data, part.settings)
        waiting = [folder for folder in by_folder if not RunFolder.open(folder).finished]
        carry_out(pool, waiting, slots, lambda folder, event: tell(by_folder[folder], event), lost)


def join(parts: Sequence[Part]) -> Results:
    """The curve of the finished runs, stored with the last one; its results, with the curve in them."""
    if not RunFolder.open(parts[-1].folder).models():
        measured = tuple(_measured(load_run(part.folder)) for part in parts)
        with RunWriter.resume(parts[-1].folder) as folder:
            folder.publish({runs.MODELS: measured})
    return load_run(parts[-1].folder)


def points(results: Results) -> Iterator[CurvePoint]:
    """What one model's run comes to, as points of the curve: recall of LoRA and prompt, and what else tuning did."""
    arms = {arm.label: arm for arm in results.arms}
    measures: dict[str, Estimate] = {}
    if lora := arms.get("lora"):
        measures = {"recall": lora.recall, "trained": lora.trained, "wrong": lora.wrong, "extra": lora.extra}
        kept = [r.kept for r in results.retention if (r.trial, r.probe) == (lora.trial, "general")]
        measures |= {"general": kept[0]} if kept else {}
    if prompt := arms.get("prompt"):
        measures["prompt"] = prompt.recall
    for measure, estimate in measures.items():
        if estimate.value is not None:
            yield CurvePoint(
                axis=AXIS, x=results.model.parameters, measure=measure, trial=0, recipe=lora.recipe if lora else "",
                value=estimate.value, low=estimate.low, high=estimate.high,
            )  # fmt: skip


def _measured(results: Results) -> ModelRun:
    trial = results.trials[0]
    return ModelRun(
        run=results.run, model=results.model, rank=trial.rank, rate=trial.rate, points=tuple(points(results))
    )


def _numbers(model: str) -> int:
    """How many numbers the weight files of a model hold; MissingError where it could not be run."""
    folder = backends.find(model)
    described = snapshots.describe(folder)
    if described.fault:
        snapshots.refuse(folder, described)
    return described.parameters


def _short(model: str) -> str:
    return runs.slug(Path(model).name.partition("@")[0])


def _check_same(part: Part, data: str | Path) -> None:
    """A run of that name that was asked for something else is not taken for this one."""
    request = RunFolder.open(part.folder).request()
    aside = {"model", "runs", "name", "prompt_file", "documents", "ray"}
    mine = {k: v for k, v in part.settings.model_dump(mode="json").items() if k not in aside}
    stored = {k: v for k, v in request.settings.items() if k in mine}
    if mine != stored or request.data != str(data):
        raise SettingsError(
            "A run of this name was asked for something else.", where=str(part.folder),
            why="Its data or its settings differ from those of this curve.", fix="Choose another --name.",
        )  # fmt: skip
