"""What the user brings to a run: the rows, their wordings, the prompt, the documents.

Knows no model and no run folder. Nothing is asked or trained that is not in what this module returns.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

from kurabe import arms, beside, checks, dataset, documents, runs, snapshots, splits
from kurabe.errors import DataError, MissingError, SettingsError
from kurabe.facts import language_of
from kurabe.schema import Example, Passage, Reason, Review, RunRequest
from kurabe.settings import RunSettings
from kurabe.texts import Texts
from kurabe.wordings import normal


def read(data: str | Path | Sequence[Example], settings: RunSettings) -> tuple[RunRequest, tuple[Example, ...]]:
    """The request of a run and its examples, every wording in its role."""
    beside.check(settings)
    notes: list[Reason] = []
    settings = _with_whole_path(settings)
    if isinstance(data, (str, Path)):
        found = dataset.read_examples(data, encoding=settings.encoding, skip_bad=settings.skip_bad)
        examples, language = found.examples, found.language
        # A file name may be bytes that no text has; where it is only told, it is told without them.
        name, form, digest = str(data).encode("utf-8", "replace").decode(), found.form, found.sha256
        if found.skipped:
            notes.append(Reason(key="audit.note.rows-skipped", values={"rows": found.skipped}))
    else:
        examples, name, form = tuple(data), "examples", "examples"
        language = language_of(" ".join(example.question for example in examples))
        digest = hashlib.sha256(b"\n".join(e.model_dump_json().encode() for e in examples)).hexdigest()
    _check_ids(examples)
    _check_forms(examples)
    prepared = splits.prepare(examples, language, settings.seed)
    prompt, prompt_notes = _prompt(prepared.examples, language, settings)
    passages, passage_notes = _passages(prepared.examples, language, settings)
    now = datetime.now(timezone.utc)
    request = RunRequest(
        name=settings.name or runs.new_name(Path(settings.runs), Path(name).name, now.astimezone()),
        created=now.isoformat(timespec="seconds"), data=name, data_sha256=digest, form=form, language=language,
        settings=settings.model_dump(mode="json"), prompt=prompt, passages=passages,
        notes=(*notes, *prepared.notes, *prompt_notes, *passage_notes),
    )  # fmt: skip
    return request, tuple(prepared.examples)


def _check_ids(examples: Sequence[Example]) -> None:
    """Questions and answers are named by their example's id."""
    counted = Counter(example.id for example in examples)
    twice = [name for name, count in counted.items() if count > 1]
    if twice or not examples:
        raise DataError(
            f"{len(twice)} ids name more than one example." if twice else "There is no example.",
            why=f"For instance {twice[0]!r}." if twice else "",
            fix="Give each example an id of its own." if twice else "Bring at least one question with its answer.",
        )


def _check_forms(examples: Sequence[Example]) -> None:
    """Examples that were made in Python pass the checks that a file's rows passed when they were read."""
    for example in examples:
        if example.checks is not None and not example.line:
            try:
                checks.require(example.checks, example.answer)
            except checks.BadChecks as bad:
                raise DataError(
                    f"The checks of the example {example.id!r} cannot be used.",
                    why=Texts("en")(f"data.problem.{bad.key}", **bad.values),
                    fix="Mend its checks, or its answer.",
                ) from None


def _with_whole_path(settings: RunSettings) -> RunSettings:
    """A run can be resumed from anywhere: a model folder is remembered by its whole path, a model of the hub by its
    commit. Where the cache does not hold it all, this says so before anything is read."""
    if settings.model == "tiny":
        return settings
    if snapshots.parse(settings.model):
        snapshots.locate(settings.model)
        return settings.model_copy(update={"model": snapshots.pinned(settings.model)})
    return settings.model_copy(update={"model": str(Path(os.path.expanduser(settings.model)).resolve())})


def _prompt(examples: Sequence[Example], language: str, settings: RunSettings) -> tuple[str, list[Reason]]:
    """The system prompt of the `prompt` arms: the user's own file, or written from the training rows."""
    if settings.prompt_file is None:
        return arms.write_prompt(examples, language), []
    path = Path(settings.prompt_file)
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MissingError(
            "The prompt file cannot be read.", where=str(path), why=str(error), fix="Name a text file in UTF-8."
        ) from None
    if not text:
        raise SettingsError("The prompt file is empty.", where=str(path), fix="Write the prompt, or leave it out.")
    held_out = _held_out_in(text, examples)
    note = Reason(key="audit.note.prompt-holds-held-out", values={"wordings": held_out})
    return text, [note] if held_out else []


def _passages(
    examples: Sequence[Example], language: str, settings: RunSettings
) -> tuple[tuple[Passage, ...], list[Reason]]:
    """The passages of the user's documents, and what has to be said about them."""
    if not settings.documents:
        return (), []
    passages = documents.read_passages(settings.documents)
    count = {"passages": len(passages), "files": len({passage.source for passage in passages})}
    notes = [Reason(key="data.note.documents", values=count)]
    text = "\n".join(passage.text for passage in passages)
    if language_of(text) != language:
        notes.append(Reason(key="data.note.documents-language", values={}))
    held_out = _held_out_in(text, examples)
    if held_out:
        notes.append(Reason(key="audit.note.documents-hold-held-out", values={"wordings": held_out}))
    return passages, notes


def _held_out_in(text: str, examples: Sequence[Example]) -> int:
    """Held-out wordings that stand in a text which an arm is shown."""
    shown = normal(text)
    return sum(normal(wording) in shown for example in examples for wording in example.texts("held_out"))


def material(request: RunRequest, examples: Sequence[Example]) -> arms.Material:
    """What the arms of this run are prepared from."""
    nearest = RunSettings.model_validate(request.settings).nearest
    return arms.Material(tuple(examples), request.prompt, request.language, request.passages, nearest)


def generated_wordings(examples: Sequence[Example]) -> Iterator[Review]:
    """What the rules made, for the user's review."""
    for example in examples:
        made = [wording for wording in example.wordings if wording.generated]
        if made:
            yield Review(
                id=example.id, question=example.question,
                wordings=tuple(wording.text for wording in made if wording.role == "trained"),
                held_out=tuple(wording.text for wording in made if wording.role == "held_out"),
            )  # fmt: skip
