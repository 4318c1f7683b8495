"""Did the answers survive? The run's held-out questions, asked of each exported file and compared with the run's own.

Knows no file format: a hop is a backend that answers requests, as every arm's is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from kurabe import chat, hops, planning, scoring, stats
from kurabe.arms import Material
from kurabe.errors import MissingError
from kurabe.export.header import read_header
from kurabe.export.winner import Winner
from kurabe.llamacpp import FILE_TYPES, GGUFBackend
from kurabe.model import Answering
from kurabe.runs import RunFolder
from kurabe.schema import Answer, Hop, Parity, Question, Request, Shipped
from kurabe.settings import RunSettings


def prove(
    run: Path, shipped: Winner, files: Sequence[tuple[Path, Shipped]], tell: Callable[[str], None] | None = None
) -> Parity:
    """Ask every file the run's held-out questions. Raises MissingError where llama.cpp is missing or refuses a file."""
    folder = RunFolder.open(run)
    replay = Replay(folder, shipped.arm, shipped.trial)
    own = chat.load(shipped.base)
    asked = [replay.first()]
    for path, record in files:
        if tell:
            tell(record.file)
        with GGUFBackend(path, chat=own, sha256=record.sha256) as backend:
            asked.append(replay.ask(record, backend))
    return Parity(run=folder.info().name, arm=shipped.arm, margin=hops.MARGIN, hops=tuple(asked))


def store(parity: Parity, out: Path) -> Path:
    """`parity.json`, replaced as a whole: it can be made again from the run and the files."""
    path = out / "parity.json"
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    whole.write_text(parity.model_dump_json(indent=1) + "\n", encoding="utf-8")
    os.replace(whole, path)
    return path


class Replay:
    """One arm of a finished run, ready to be asked again elsewhere."""

    def __init__(self, folder: RunFolder, arm: str, trial: int) -> None:
        self._asked: Mapping[str, Question] = {question.id: question for question in folder.questions()}
        self.own = [
            answer for answer in folder.answers()
            if (answer.key.arm, answer.key.trial, answer.key.probe, answer.key.hop)
            == (arm, trial, "held_out", planning.LIVE)
        ]  # fmt: skip
        if not self.own:
            raise MissingError(
                "The run has no answers of this arm to compare with.",
                where=str(folder.path),
                fix="Choose an arm that the run measured: --arm lora",
            )
        info, request = folder.info(), folder.request()
        self._seed = RunSettings.model_validate(info.settings).seed
        material = Material(folder.examples(), request.prompt, request.language)
        self._make = planning.request_maker(material, tuple(self._asked.values()), info.max_new_tokens)

    def requests(self, hop: str) -> list[Request]:
        """The arm's questions, addressed to a hop. Its weights are merged, so there is no trial to choose."""
        return [self._make(answer.key.model_copy(update={"hop": hop, "trial": 0})) for answer in self.own]

    def first(self) -> Hop:
        """The adapter itself, as the run measured it."""
        seconds = sum(answer.seconds for answer in self.own)
        return self._hop("adapter", "", 0, self.own, seconds)

    def ask(self, shipped: Shipped, backend: Answering) -> Hop:
        """One exported file, answered by `backend`."""
        began = time.monotonic()
        answers = list(backend.answer(self.requests(shipped.format)))
        return self._hop(shipped.format, shipped.file, shipped.size, answers, time.monotonic() - began)

    def _hop(self, hop: str, file: str, size: int, answers: Sequence[Answer], seconds: float) -> Hop:
        scored = [answer for answer in answers if answer.finish != "error"]
        same = sum(_same(answer, own) for answer, own in zip(answers, self.own, strict=True))
        lost = None
        if file:
            lost = stats.difference(self._counts(answers, "right"), self._counts(self.own, "right"), self._seed)
        return Hop(
            hop=hop, file=file, size=size, answers=len(answers), unscored=len(answers) - len(scored), same=same,
            recall=stats.share(self._counts(answers, "right"), self._seed),
            wrong=stats.share(self._counts(answers, "wrong"), self._seed), lost=lost, seconds=round(seconds, 3),
            held=hops.held(hop, same, len(answers), len(scored), lost.value if lost else 0.0),
        )  # fmt: skip

    def _counts(self, answers: Iterable[Answer], status: str) -> dict[str, stats.Cluster]:
        """Values with this status per example, of those asked for."""
        clusters: dict[str, stats.Cluster] = {}
        for answer in answers:
            question = self._asked[answer.key.question]
            if answer.finish == "error" or not question.facts:
                continue
            outcomes = scoring.score(answer, question).outcomes
            before = clusters.get(question.example, stats.Cluster(0, 0))
            hits = sum(outcome.status == status for outcome in outcomes)
            clusters[question.example] = stats.Cluster(before.total + hits, before.items + len(outcomes))
        return clusters


def _same(answer: Answer, own: Answer) -> bool:
    return answer.finish != "error" and (answer.token_ids, answer.text) == (own.token_ids, own.text)


def format_of(path: Path) -> str:
    """The format that a file names itself; "" where it names none that is known."""
    number = read_header(path).number("general.file_type")
    return "" if number is None else FILE_TYPES.get(number, "")
