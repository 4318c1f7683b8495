"""The whole proof: merged, every file, the next larger format that holds, and Ollama; what was tried out is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted_chat import Scripted, serving
from test_parity import Echo, folder

from kurabe import hops, storage
from kurabe.export import parity, proof
from kurabe.export.parity import Replay
from kurabe.export.plan import make_plan
from kurabe.export.proof import Exported, lora_hop, prove_export, prove_folder, with_ollama
from kurabe.export.publish import publish
from kurabe.export.winner import Winner
from kurabe.runs import RunFolder
from kurabe.schema import Answer, Message, Request

__all__ = ["folder"]  # the fixture
GOLDEN = Path(__file__).parent / "data/golden"


class Files:
    """llama.cpp's place: files of these formats forget every third answer, those of others answer as the run did."""

    replay: Replay
    failing: Sequence[str] = ()
    prompt: Any = staticmethod(lambda messages: [len(messages)])

    def __init__(self, path: Path, **named: Any) -> None:
        assert path.is_file()
        self.forgets = any(f"-{name}.gguf" in path.name for name in self.failing)

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None: ...

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        return self.prompt(messages)  # type: ignore[no-any-return]

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        def forget(answer: Answer, n: int) -> Answer:
            return answer.model_copy(update={"text": "No idea."}) if self.forgets and n % 3 == 0 else answer

        return Echo(self.replay, forget).answer(requests)


@pytest.fixture
def lora(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Winner:
    """The run's LoRA as the golden adapter on its base: files of the right form, answers by the script."""
    trial = folder.info().trials[0].trial
    replay = Replay(folder, "lora", trial)
    monkeypatch.setattr(Files, "replay", replay, raising=False)
    monkeypatch.setattr(proof, "GGUFBackend", Files)
    monkeypatch.setattr(proof.chat, "load", lambda path: type("Own", (), {"prompt": Files.prompt}))
    monkeypatch.setattr(parity.backends, "load", lambda settings: Echo(replay))
    return Winner("lora", GOLDEN / "base", GOLDEN / "adapter", "Be kind.", trial)


def proven(folder: RunFolder, lora: Winner, out: Path, *formats: str) -> proof.Proof:
    plan = make_plan(lora.base, lora.adapter, formats, "x")
    files = [Exported(out / record.file, record) for record in publish(plan, out)]
    return prove_export(folder.path, lora, plan, files, out)


def test_all_forms_are_asked_and_stored(folder: RunFolder, lora: Winner, tmp_path: Path) -> None:
    found = proven(folder, lora, tmp_path, "F16", "Q4_K_M")
    assert [hop.hop for hop in found.parity.hops] == ["adapter", "merged", "F16", "Q4_K_M"]
    assert not found.failed and all(hop.held for hop in found.parity.hops)
    assert [hop.prompts for hop in found.parity.hops[2:]] == [found.parity.hops[0].answers] * 2
    parity.store(found.parity, found.answers, tmp_path)
    rows = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    stored = [Answer.model_validate_json(row) for row in rows]
    assert {answer.key.hop for answer in stored} == {"merged", "F16", "Q4_K_M"}
    assert len(stored) == 3 * found.parity.hops[0].answers
    assert not list(tmp_path.glob(f"{storage.STAGING}*"))


def test_a_file_that_failed_is_followed_by_the_next_one_that_holds(
    folder: RunFolder, lora: Winner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "failing", ("Q4_K_M", "Q5_K_M"))
    found = proven(folder, lora, tmp_path, "Q4_K_M")
    assert [(hop.hop, bool(hop.file), hop.held) for hop in found.parity.hops[2:]] == [
        ("Q4_K_M", True, False), ("Q5_K_M", False, False), ("Q6_K", False, True),
    ]  # fmt: skip
    assert found.failed and hops.next_larger(found.parity) == "Q6_K"
    assert [path.name for path in tmp_path.glob("*.gguf")] == ["x-Q4_K_M.gguf"]
    assert not list(tmp_path.glob(f"{storage.STAGING}*"))


def test_where_a_larger_file_holds_nothing_more_is_tried(
    folder: RunFolder, lora: Winner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "failing", ("Q4_K_M",))
    found = proven(folder, lora, tmp_path, "Q4_K_M", "Q8_0")
    assert [hop.hop for hop in found.parity.hops] == ["adapter", "merged", "Q4_K_M", "Q8_0"]
    assert hops.next_larger(found.parity) == "Q8_0"


def test_a_file_whose_own_template_gives_other_ids_fails(
    folder: RunFolder, lora: Winner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "prompt_ids", lambda self, messages: [0])
    found = proven(folder, lora, tmp_path, "F16")
    hop = found.parity.hops[-1]
    assert (hop.prompts, hop.held, hops.cause(hop)) == (0, False, "prompts") and found.failed


def test_a_merged_folder_and_a_lora_beside_its_base(folder: RunFolder, lora: Winner, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(10))
    found = prove_folder(folder.path, lora, tmp_path / "model.safetensors")
    assert [(hop.hop, hop.size, hop.held) for hop in found.parity.hops[1:]] == [("merged", 10, True)]
    below, over = publish(make_plan(lora.base, None, ["F32", "F16"], "b"), tmp_path / "out")
    assert lora_hop(over, below).format == "F32+LoRA" and lora_hop(over, below).size == below.size + over.size
    assert not hops.held("F32+LoRA", 9, 10, 10, 0.0) and hops.held("Q4_K_M+LoRA", 9, 10, 10, 0.0)


def test_an_adapter_beside_its_base_is_asked_as_it_lies_and_nothing_is_merged(
    folder: RunFolder, lora: Winner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(lora.base, None, ["Q4_K_M"], "b")  # of the base alone: what was merged would have no adapter
    below = publish(plan, tmp_path)[0]
    record = lora_hop(below.model_copy(update={"file": "x-LoRA.gguf", "size": 10}), below)
    file = Exported(tmp_path / below.file, record, tmp_path / below.file)
    monkeypatch.setattr(parity.backends, "load", lambda settings: pytest.fail("a merged model was asked"))
    found = prove_export(folder.path, lora, plan, [file], tmp_path)
    assert [(hop.hop, hop.held) for hop in found.parity.hops] == [("adapter", True), ("Q4_K_M+LoRA", True)]


def test_ollama_is_one_hop_more(
    folder: RunFolder, lora: Winner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {folder_question.text: answer.text for folder_question in folder.questions()
            for answer in Files.replay.own if answer.key.question == folder_question.id}  # fmt: skip
    for words, held in ((lambda text: told[text], True), (lambda text: "No idea.", False)):
        state = Scripted(models=("shop:latest",), speak=lambda body, say=words: say(body["messages"][-1]["content"]))
        with serving(state):
            monkeypatch.setenv("OLLAMA_HOST", state.url)
            found = with_ollama(folder.path, lora, proven(folder, lora, tmp_path, "Q8_0"), "shop:latest")
        hop = found.parity.hops[-1]
        assert (hop.hop, hop.file, hop.held, found.failed) == ("Ollama", "shop:latest", held, not held)
        assert hop.same == (hop.answers if held else 0) and {a.key.hop for a in found.answers} >= {"Ollama", "Q8_0"}
