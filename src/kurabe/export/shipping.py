"""`ship(what, out)`: a run's arm, a model folder or a GGUF file in the form that others run.

Knows no screen and asks no file any question: `kurabe ship` proves what it wrote, `kurabe.export.parity` is the proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kurabe.errors import SettingsError
from kurabe.export import probe
from kurabe.export.plan import Plan, make_plan
from kurabe.export.publish import publish, publish_file, publish_folder
from kurabe.export.requantise import make_gguf_plan
from kurabe.export.searcher import searches, store
from kurabe.export.winner import search_index, winner
from kurabe.runs import REQUEST

GGUF, FOLDER = ".gguf", "safetensors"


def ship(
    what: str | Path, out: str | Path, formats: Sequence[str] = ("Q4_K_M",), *, arm: str = "",
    adapter: str | Path | None = None,
) -> tuple[Path, ...]:  # fmt: skip
    """Write `what` into `out`; the paths of what was written.

    `what` is a run folder (its `arm`; none: the one that the verdict names), a model folder (merged with `adapter`,
    where there is one) or a GGUF file that is not quantised. `out` is a folder, which then holds each file with its
    record and its Modelfile, or the name of one `.gguf` file. The format "safetensors" is the merged model as a folder.
    Where llama.cpp is installed, a tokenizer that it would read otherwise than training did is refused before any work.
    Raises SettingsError and MissingError; nothing is overwritten and nothing half-written stays.
    """
    what, out = Path(what), Path(out)
    plan, system = _plan(what, [name for name in formats if name != FOLDER], arm, Path(adapter) if adapter else None)
    if FOLDER in formats:
        if len(formats) > 1:
            raise SettingsError("A merged folder is written alone.", fix="Leave the others to a second call of ship().")
        return (publish_folder(plan, out),)
    if probe.can_check(plan):
        probe.check(plan)
    if out.suffix == GGUF:
        return (publish_file(plan, out),)
    if system is None:
        records = publish(plan, out, system=None)
        store(search_index(what, winner(what, arm), records[-1].file), what.name, out)
    else:
        records = publish(plan, out, system=system)
    return tuple(out / record.file for record in records)


def _plan(what: Path, formats: Sequence[str], arm: str, adapter: Path | None) -> tuple[Plan, str | None]:
    """The plan, and the message that stands before each question, None where a search decides it. A merged folder is
    planned as any format is."""
    formats = formats or ("F32",)
    is_run, is_gguf = (what / REQUEST).is_file(), what.suffix == GGUF and what.is_file()
    if arm and not is_run:
        raise SettingsError("Only a run has arms.", where=str(what), fix="Leave out `arm`, or give a run folder.")
    if adapter and (is_run or is_gguf):
        raise SettingsError("An adapter is merged into a model folder.", where=str(what), fix="Leave out `adapter`.")
    if is_gguf:
        return make_gguf_plan(what, formats), ""
    if is_run:
        shipped = winner(what, arm)
        name = f"{what.resolve().name}-{shipped.arm.replace('+', '-')}"
        return make_plan(shipped.base, shipped.adapter, formats, name), None if searches(
            shipped.arm
        ) else shipped.system
    return make_plan(what, adapter, formats), ""
