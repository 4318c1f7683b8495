"""Did the answers survive? The run's held-out questions, asked of each exported file and compared with the run's own.

Knows no file format: a hop is a backend that answers requests, as every arm's is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kurabe import backends, hops, intake, planning, scoring, stats
from kurabe.errors import MissingError
from kurabe.export.header import read_header
from kurabe.llamacpp import FILE_TYPES
from kurabe.model import Answering
from kurabe.runs import RunFolder
from kurabe.schema import Answer, Hop, Parity, Question, Request, Shipped
from kurabe.settings import RunSettings


def store(parity: Parity, answers: Iterable[Answer], out: Path) -> Path:
    """`parity.json` and the answers that it judges, `answers.jsonl`, each replaced as a whole: they can be made again
    from the run and the files."""
    rows = "".join(answer.model_dump_json() + "\n" for answer in answers)
    for name, text in (("answers.jsonl", rows), ("parity.json", parity.model_dump_json(indent=1) + "\n")):
        whole = out / f".{name}.{os.getpid()}"
        whole.write_text(text, encoding="utf-8")
        os.replace(whole, out / name)
    return out / "parity.json"


ADAPTER, BASE = "adapter", "base"  # the first hop: the run's own answers, of a LoRA or of an arm without one


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
        info = folder.info()
        self.run = info.name
        self.answers: list[Answer] = []  # of all hops that were asked, under their names
        self._seed = RunSettings.model_validate(info.settings).seed
        material = intake.material(folder.request(), folder.examples())
        self._make = planning.request_maker(material, tuple(self._asked.values()), info.max_new_tokens)

    def requests(self, hop: str) -> list[Request]:
        """The arm's questions, addressed to a hop. Its weights are merged, so there is no trial to choose."""
        return [self._make(answer.key.model_copy(update={"hop": hop, "trial": 0})) for answer in self.own]

    def first(self) -> Hop:
        """The arm itself, as the run measured it."""
        seconds = sum(answer.seconds for answer in self.own)
        return self._hop(ADAPTER if self.own[0].key.trial else BASE, "", 0, self.own, seconds)

    def ask(self, shipped: Shipped, backend: Answering, prompts: int | None = None) -> Hop:
        """One exported file, answered by `backend`; `prompts`: of how many questions the file alone makes the run's
        token ids, where that was compared."""
        answers, seconds = self._answers(shipped.format, backend)
        return self._hop(shipped.format, shipped.file, shipped.size, answers, seconds, prompts)

    def ask_folder(self, folder: Path, file: str = "") -> Hop:
        """The merged model in a folder, answered by transformers; `file` is empty where it was only written aside."""
        backend = backends.load(RunSettings(model=str(folder)))
        answers, seconds = self._answers(hops.MERGED, backend)
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        return self._hop(hops.MERGED, file, size if file else 0, answers, seconds)

    def _answers(self, hop: str, backend: Answering) -> tuple[list[Answer], float]:
        began = time.monotonic()
        answers = list(backend.answer(self.requests(hop)))
        self.answers += answers
        return answers, time.monotonic() - began

    def _hop(
        self, hop: str, file: str, size: int, answers: Sequence[Answer], seconds: float, prompts: int | None = None
    ) -> Hop:
        scored = [answer for answer in answers if answer.finish != "error"]
        same = sum(_same(answer, own) for answer, own in zip(answers, self.own, strict=True))
        lost = None
        if hop not in (ADAPTER, BASE):
            lost = stats.difference(self._counts(answers, "right"), self._counts(self.own, "right"), self._seed)
        return Hop(
            hop=hop, file=file, size=size, answers=len(answers), unscored=len(answers) - len(scored), same=same,
            recall=stats.share(self._counts(answers, "right"), self._seed),
            wrong=stats.share(self._counts(answers, "wrong"), self._seed), lost=lost, seconds=round(seconds, 3),
            held=hops.held(hop, same, len(answers), len(scored), lost.value if lost else 0.0, prompts),
            prompts=prompts, new_tokens=sum(answer.new_tokens for answer in scored),
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
    """Token by token; a server gives no tokens, so there the text counts."""
    tokens = answer.token_ids == own.token_ids or not answer.token_ids
    return answer.finish != "error" and tokens and answer.text == own.text


def format_of(path: Path) -> str:
    """The format that a file names itself; "" where it names none that is known."""
    number = read_header(path).number("general.file_type")
    return "" if number is None else FILE_TYPES.get(number, "")
