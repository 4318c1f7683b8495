"""The whole proof of an export: the adapter, the merged model, every file, and the next larger format that holds.

Knows no score: `parity` asks one hop and judges it. What is only tried out is written aside and removed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from kurabe import backends, chat, hops
from kurabe.errors import MissingError
from kurabe.export import layout
from kurabe.export.lora_file import FORMAT as LORA
from kurabe.export.parity import Replay
from kurabe.export.plan import Plan, make_plan
from kurabe.export.publish import aside, aside_folder
from kurabe.export.winner import Winner
from kurabe.llamacpp import GGUFBackend
from kurabe.runs import RunFolder
from kurabe.schema import Answer, Hop, Parity, Shipped

Tell = Callable[[str], None]
# Formats by the bits of a weight: a file that failed is followed by the next ones until one holds.
LARGER = ("Q3_K_M", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16", "F32")


class Exported(NamedTuple):
    """One file to be asked, and the adapter's file that lies over it where it is a base's."""

    path: Path
    record: Shipped
    lora: Path | None = None


class Proof(NamedTuple):
    """What is stored: the judgement, and the answers on which it stands."""

    parity: Parity
    answers: tuple[Answer, ...]

    @property
    def failed(self) -> bool:
        """Whether an exported file lost its answers; what was only tried on the way does not count."""
        return any(hop.file and not hop.held for hop in self.parity.hops)


def prove_files(run: Path, shipped: Winner, files: Sequence[Exported], tell: Tell | None = None) -> Proof:
    """Ask every file the run's held-out questions. Raises MissingError where llama.cpp is missing or refuses a file."""
    replay = _replay(run, shipped)
    return _proof(replay, shipped, [replay.first(), *_asked(replay, shipped, files, tell)])


def prove_export(
    run: Path, shipped: Winner, plan: Plan, files: Sequence[Exported], out: Path, tell: Tell | None = None
) -> Proof:
    """The same of an export with its plan: the merged model is asked, too, and where a quantised file failed, larger
    formats until one holds. Both are written into `out` aside, and go again."""
    replay = _replay(run, shipped)
    beside = any(exported.lora for exported in files)  # the plan is the base's then: nothing is merged
    merged = _merged(replay, shipped, plan, out, tell) if shipped.adapter and not beside else ()
    asked = [replay.first(), *merged]
    found = list(_asked(replay, shipped, files, tell))
    tried = () if beside else _tried(replay, shipped, plan, found, out, tell)
    return _proof(replay, shipped, [*asked, *found, *tried])


def prove_folder(run: Path, shipped: Winner, weights: Path, tell: Tell | None = None) -> Proof:
    """A merged folder, answered by transformers."""
    replay = _replay(run, shipped)
    if tell:
        tell(weights.name)
    hop = replay.ask_folder(weights.parent, weights.name)
    return _proof(replay, shipped, [replay.first(), hop])


def with_ollama(run: Path, shipped: Winner, proof: Proof, model: str, tell: Tell | None = None) -> Proof:
    """The proof with one hop more: the model as Ollama answers. Raises MissingError where it does not."""
    replay = _replay(run, shipped)
    if tell:
        tell(model)
    with backends.answering(f"ollama:{model}") as server:
        record = _named(hops.OLLAMA, model, proof.parity.hops[-1].size)
        hop = replay.ask(record, server)
    parity = proof.parity.model_copy(update={"hops": (*proof.parity.hops, hop)})
    return Proof(parity, (*proof.answers, *replay.answers))


def _replay(run: Path, shipped: Winner) -> Replay:
    return Replay(RunFolder.open(run), shipped.arm, shipped.trial)


def _proof(replay: Replay, shipped: Winner, asked: Sequence[Hop]) -> Proof:
    parity = Parity(run=replay.run, arm=shipped.arm, margin=hops.MARGIN, hops=tuple(asked))
    return Proof(parity, tuple(replay.answers))


def _asked(replay: Replay, shipped: Winner, files: Sequence[Exported], tell: Tell | None) -> Iterator[Hop]:
    own = chat.load(shipped.base)
    for path, record, lora in files:
        if tell:
            tell(lora.name if lora else record.file)
        requests = replay.requests(record.format)
        with GGUFBackend(path, lora=lora) as alone:  # with the file's own template and vocabulary, as others run it
            prompts = sum(alone.prompt_ids(one.messages) == own.prompt(one.messages) for one in requests)
        with GGUFBackend(path, chat=own, sha256=record.sha256, lora=lora) as backend:
            yield replay.ask(record, backend, prompts)


def _merged(replay: Replay, shipped: Winner, plan: Plan, out: Path, tell: Tell | None) -> Iterator[Hop]:
    try:
        with aside_folder(plan, out) as folder:
            if tell:
                tell(hops.MERGED)
            yield replay.ask_folder(folder)
    except MissingError as error:  # the proof of the files stands without this step between them
        if tell:
            tell(f"{hops.MERGED}: {error.what} {error.why}".strip())


def _tried(
    replay: Replay, shipped: Winner, plan: Plan, found: Sequence[Hop], out: Path, tell: Tell | None
) -> Iterator[Hop]:
    """Formats above the largest quantised file that failed, the smallest first, until one holds."""
    largest = max((hop.size for hop in found if not hop.held and hop.hop not in layout.PLAIN), default=0)
    if not largest or any(hop.held and hop.size > largest for hop in found):
        return
    known = {hop.hop for hop in found}
    wanted = [name for name in LARGER if name not in known]
    whole = make_plan(shipped.base, shipped.adapter, wanted, "tried", plan.match)._replace(device=plan.device)
    for file in sorted(whole.files, key=lambda file: file.size):
        if file.size <= largest:
            continue
        trial: AbstractContextManager[tuple[Path, Shipped]] = aside(whole._replace(files=(file,)), out)
        with trial as (path, record):
            (hop,) = _asked(replay, shipped, [Exported(path, record)], tell)
        yield hop.model_copy(update={"file": ""})
        if hop.held:
            return


def lora_hop(record: Shipped, base: Shipped) -> Shipped:
    """What the proof calls an adapter's file over a base's: the base's format and `+LoRA`, and both sizes."""
    return record.model_copy(update={"format": f"{base.format}+{LORA}", "size": record.size + base.size})


def _named(hop: str, file: str, size: int) -> Shipped:
    return Shipped(
        file=file, format=hop, match="exact", base_sha256="", adapter_sha256="", sha256="", size=size, weights=0,
        kurabe="",
    )  # fmt: skip
