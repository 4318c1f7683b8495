"""A hop that answers alike holds; one that loses recall, tokens or answers does not."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kurabe import backends, chat, dataset, experiment
from kurabe.arms import messages
from kurabe.export.parity import Replay
from kurabe.export.plan import make_plan
from kurabe.export.publish import publish
from kurabe.fake import FakeBackend, rehearsal
from kurabe.llamacpp import GGUFBackend
from kurabe.prompts import NEUTRAL
from kurabe.retention import general_questions
from kurabe.runs import RunFolder
from kurabe.schema import Answer, AnswerKey, Request, Shipped
from kurabe.settings import RunSettings

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of the example shop on a scripted model whose LoRA knows most answers."""
    path = ROOT / "examples" / "support-en.jsonl"
    examples = dataset.read_examples(path).examples
    parent = tmp_path_factory.mktemp("runs")
    settings = RunSettings(runs=str(parent), retention=0)
    experiment.run(path, settings, backend=FakeBackend(rehearsal(examples, {"lora": 0.8, "prompt": 1.0})))
    return RunFolder.open(next(p for p in parent.iterdir() if p.is_dir()))


class Echo:
    """A backend that gives the run's own answers, changed by `change`."""

    def __init__(self, replay: Replay, change: Any = None) -> None:
        self._own = {(a.key.question): a for a in replay.own}
        self._change = change or (lambda answer, n: answer)

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        for n, request in enumerate(requests):
            own = self._own[request.key.question].model_copy(update={"key": request.key})
            yield self._change(own, n)


def shipped(format_name: str) -> Shipped:
    return Shipped(
        file=f"x-{format_name}.gguf", format=format_name, match="exact", base_sha256="", adapter_sha256="", sha256="",
        size=10, weights=1, kurabe="0",
    )  # fmt: skip


def hop(folder: RunFolder, format_name: str, change: Any = None) -> Any:
    replay = Replay(folder, "lora", folder.info().trials[0].trial)
    return replay.ask(shipped(format_name), Echo(replay, change))  # type: ignore[arg-type]


def test_equal_answers_hold(folder: RunFolder) -> None:
    found = hop(folder, "F32")
    first = Replay(folder, "lora", folder.info().trials[0].trial).first()
    assert found.held and found.same == found.answers == first.answers
    assert found.recall == first.recall and found.lost.value == 0.0
    assert first.recall.value == pytest.approx(0.8, abs=0.15)


def test_the_questions_are_the_runs_own(folder: RunFolder) -> None:
    replay = Replay(folder, "lora", folder.info().trials[0].trial)
    requests = replay.requests("Q4_K_M")
    asked = {question.id: question for question in folder.questions() if question.probe == "held_out"}
    assert {request.key.question for request in requests} == set(asked)
    for request in requests:
        assert request.key.hop == "Q4_K_M"
        assert request.messages[-1].content == asked[request.key.question].text


def test_lost_values_fail_a_hop(folder: RunFolder) -> None:
    def forget(answer: Answer, n: int) -> Answer:
        return answer.model_copy(update={"text": "I don't know."}) if n % 3 == 0 else answer

    found = hop(folder, "Q4_K_M", forget)
    assert not found.held and found.lost.value < -0.05


def test_other_words_fail_only_a_file_without_quantisation(folder: RunFolder) -> None:
    def reword(answer: Answer, n: int) -> Answer:
        return answer.model_copy(update={"text": "Well: " + answer.text}) if n % 5 == 0 else answer

    assert hop(folder, "Q4_K_M", reword).held
    assert not hop(folder, "F16", reword).held


def test_an_answer_that_did_not_come_is_unscored_and_fails_the_hop(folder: RunFolder) -> None:
    def drop(answer: Answer, n: int) -> Answer:
        return answer.model_copy(update={"finish": "error", "text": "", "error": "gone"}) if n == 0 else answer

    found = hop(folder, "Q4_K_M", drop)
    assert found.unscored == 1 and not found.held


def test_an_exported_file_answers_as_transformers_does(tmp_path: Path) -> None:
    """The embedded model through a file written here, in llama.cpp: the same tokens, prompt included."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install 'kurabe[gguf]'")
    own = backends.load(RunSettings(threads=1, device="cpu"))
    folder = Path(own.info.path)
    questions = [*general_questions("en", 6), *general_questions("ja", 4)]
    requests = [
        Request(
            key=AnswerKey(model="m", trial=0, arm="base", hop="live", probe="general", question=question.id),
            messages=messages(NEUTRAL["en"], question), max_new_tokens=24,
        )
        for question in questions
    ]  # fmt: skip
    (record,) = publish(make_plan(folder, None, ["F32"], "tiny"), tmp_path)
    expected = list(own.answer(requests))
    assert all(answer.new_tokens > 1 for answer in expected)
    with GGUFBackend(tmp_path / record.file, chat=chat.load(folder)) as other:
        for answer, wanted in zip(other.answer(requests), expected, strict=True):
            assert (answer.token_ids, answer.text, answer.prompt_tokens) == (
                wanted.token_ids, wanted.text, wanted.prompt_tokens,
            )  # fmt: skip
