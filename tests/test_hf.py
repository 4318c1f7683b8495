"""The whole chain on a random tiny folder: load, train, save, load, answer; and every way in which it may fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import write_model, write_tokenizer

from kurabe import backends, hf, provenance, recipes
from kurabe import engine as engine_module
from kurabe.attention import ATTENTION
from kurabe.chat import IGNORE
from kurabe.engine import Engine, Row
from kurabe.errors import DataError, MissingError
from kurabe.hf import HFBackend
from kurabe.model import TrialPlan
from kurabe.recipes import Recipe
from kurabe.schema import AnswerKey, Message, Request, Sample
from kurabe.settings import RunSettings

SYSTEM = Message(role="system", content="You are a helpful support assistant.")
ITEMS = ("shipping", "returns", "refund", "days")


def settings(folder: Path, **changes: Any) -> RunSettings:
    return RunSettings(model=str(folder), threads=1, device="cpu", **changes)


@pytest.fixture(scope="module")
def backend(tiny_folder: Path) -> HFBackend:
    return backends.load(settings(tiny_folder))  # type: ignore[return-value]


def question(item: str) -> Message:
    return Message(role="user", content=f"What are the {item} costs?")


def answer_text(item: str) -> str:
    return f"The {item} costs ${ITEMS.index(item) + 3}.99."


def samples() -> tuple[Sample, ...]:
    return tuple(
        Sample(example=item, messages=(SYSTEM, question(item), Message(role="assistant", content=answer_text(item))))
        for item in ITEMS
    )


def plan(trial: int, steps: int = 60, seed: int = 1, **changes: Any) -> TrialPlan:
    recipe = Recipe(name="test", rank=8, alpha=16, rate=0.01, rate_width=64, batch=4, min_steps=steps, **changes)
    return TrialPlan(trial, recipes.plan(recipe, len(ITEMS), len(ITEMS), 64), samples(), seed)


def request(item: str, trial: int = 0, limit: int = 30, sample: int = 0, **changes: Any) -> Request:
    key = AnswerKey(model="m", trial=trial, arm="a", hop="live", probe="trained", question=item, sample=sample)
    return Request(key=key, messages=(SYSTEM, question(item)), max_new_tokens=limit, **changes)


def test_it_learns_saves_loads_and_answers(backend: HFBackend, tmp_path: Path) -> None:
    before = [a.text for a in backend.answer([request(item) for item in ITEMS])]
    steps = list(backend.train([plan(1)]))
    assert steps[0].loss is not None
    assert steps[-1].loss is not None
    assert steps[-1].loss < 0.1 < steps[0].loss
    answers = list(backend.answer([request(item, trial) for item in ITEMS for trial in (0, 1)]))
    assert [a.text for a in answers[1::2]] == [answer_text(item) for item in ITEMS]  # learned, its end token, too
    assert {a.finish for a in answers[1::2]} == {"stop"}
    assert [a.text for a in answers[::2]] == before  # the base is as it was
    backend.save_adapter(1, tmp_path)
    backend.load_adapter(5, tmp_path)
    assert [a.text for a in backend.answer([request(item, 5) for item in ITEMS])] == [answer_text(i) for i in ITEMS]


def test_answers_are_counted(backend: HFBackend) -> None:
    answers = list(backend.answer([request(item, limit=4) for item in ITEMS]))
    for item, answer in zip(ITEMS, answers, strict=True):
        assert answer.key == request(item).key
        assert answer.prompt_tokens == backend.count((SYSTEM, question(item)))
        assert answer.new_tokens == len(answer.token_ids) <= 4
        assert answer.seconds > 0
    assert sorted(answer.cached_tokens for answer in answers)[0] == 0
    assert max(answer.cached_tokens for answer in answers) > 10


def test_info_and_trainable(backend: HFBackend, tiny_folder: Path) -> None:
    from kurabe import hub

    info = backend.info
    assert (info.hidden, info.layers, info.context, info.dtype, info.device) == (64, 2, 2048, "float32", "cpu")
    assert info.sha256 == hub.verify(tiny_folder).sha256
    assert not info.stand_in
    linears = 2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128)  # q o, k v, gate up down: inputs + outputs
    assert backend.trainable(16) == 16 * 2 * linears
    from safetensors.torch import load_file

    assert info.parameters == sum(tensor.numel() for tensor in load_file(tiny_folder / "model.safetensors").values())


def test_threads_are_the_settings(tiny_folder: Path) -> None:
    before = torch.get_num_threads()
    try:
        assert backends.load(settings(tiny_folder)).info.threads == 1 == torch.get_num_threads()
        loaded = backends.load(RunSettings(model=str(tiny_folder), device="cpu"))
        assert loaded.info.threads == provenance.cores() == torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def test_a_device_that_is_not_there(tiny_folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(MissingError, match="cuda"):
        backends.load(RunSettings(model=str(tiny_folder), device="cuda"))


def test_the_same_weights_as_bf16_answer_in_float32(tiny_folder: Path, tmp_path: Path) -> None:
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    folder = Path(shutil.copytree(tiny_folder, tmp_path / "half"))
    LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert backends.load(settings(folder)).info.dtype == "float32"


# --- scoring ---------------------------------------------------------------------------------------------------------


def scored_by_transformers(backend: HFBackend, trial: int, item: str, target: str) -> float:
    """The log-softmax of transformers' own logits on the whole text."""
    row = backend.chat.sample((SYSTEM, question(item), Message(role="assistant", content=target)))
    backend.stack.route([trial])
    decoder, head = backend.engine.decoder, backend.engine.head
    decoder.set_attn_implementation("sdpa")
    with torch.inference_mode():
        logprobs = head(decoder(input_ids=torch.tensor([row.ids])).last_hidden_state)[0].log_softmax(-1)
    decoder.set_attn_implementation(ATTENTION)
    at = [i for i, label in enumerate(row.labels) if label != IGNORE]
    return float(sum(logprobs[i - 1, row.ids[i]] for i in at))


@pytest.mark.parametrize("in_place", [1, 10**9])
def test_a_score_is_the_log_probability_of_the_whole_answer(
    backend: HFBackend, monkeypatch: pytest.MonkeyPatch, in_place: int
) -> None:
    """For the base and for a tuned trial, gold and distractors, in whatever company."""
    monkeypatch.setattr(engine_module, "IN_PLACE", in_place)
    monkeypatch.setattr(engine_module, "HEAD_BYTES", 2 * 4 * backend.info.vocabulary * 7)  # seven positions at once
    list(backend.train([plan(6, steps=8)]))
    asked = [(item, trial, answer_text(other)) for item in ITEMS for trial in (0, 6) for other in ITEMS[:2]]
    asked += [("days", 6, ""), ("days", 0, "$")]
    scores = list(backend.score([request(item, trial) for item, trial, _ in asked], [text for *_, text in asked]))
    for (item, trial, text), score in zip(asked, scores, strict=True):
        assert score.logprob == pytest.approx(scored_by_transformers(backend, trial, item, text), abs=1e-4, rel=1e-5)
    (alone,) = backend.score([request("days", 6)], [answer_text("days")])
    tokens = backend.chat.sample((question("days"), Message(role="assistant", content=answer_text("days")))).labels
    assert alone.tokens == sum(label != IGNORE for label in tokens)
    assert len({round(score.logprob or 0, 2) for score in scores}) == len(scores), "each text has its own probability"


def test_what_cannot_be_scored_is_said_and_not_guessed(backend: HFBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [request("days"), request("days", trial=99), request("refund")]
    good, absent, long = backend.score(asked, ["$5.", "$5.", "cost " * 3000])
    assert good.logprob is not None and not good.error
    assert (absent.logprob, long.logprob) == (None, None) and "99" in absent.error and "context" in long.error
    monkeypatch.setattr(Engine, "score", lambda *_: 1 / 0)
    (broken,) = backend.score(asked[:1], ["$5."])
    assert broken.logprob is None and "ZeroDivisionError" in broken.error


# --- failures --------------------------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, broken: Callable[[Sequence[Row]], BaseException | None]) -> list[int]:
    true, calls = Engine.answer, []

    def answer(self: Engine, rows: Sequence[Row]) -> None:
        calls.append(len(rows))
        error = broken(rows)
        if error:
            raise error
        true(self, rows)

    monkeypatch.setattr(Engine, "answer", answer)
    return calls


def test_a_failed_batch_is_an_error_and_not_a_wrong_answer(backend: HFBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda rows: RuntimeError("boom"))
    for answer in backend.answer([request("days"), request("refund")]):
        assert (answer.finish, answer.text) == ("error", "")
        assert "boom" in answer.error


def test_memory_that_ends_halves_the_batch_then_asks_one_by_one(
    backend: HFBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [a.text for a in backend.answer([request(item) for item in ITEMS])]
    for fits, sizes in ((2, [4, 2, 2]), (1, [4, 2, 2, 1, 1, 1, 1])):
        with monkeypatch.context() as patched:
            ended = torch.OutOfMemoryError("CUDA out of memory.")
            calls = failing(patched, lambda rows, fits=fits, ended=ended: ended if len(rows) > fits else None)
            assert [a.text for a in backend.answer([request(item) for item in ITEMS])] == expected
            assert calls == sizes


def test_memory_that_a_single_row_ends_costs_only_that_row(backend: HFBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {ITEMS.index(item): 5 + ITEMS.index(item) for item in ITEMS}
    calls = failing(monkeypatch, lambda rows: MemoryError() if any(row.limit >= 8 for row in rows) else None)
    answers = list(backend.answer([request(item, limit=limits[ITEMS.index(item)]) for item in ITEMS]))
    assert [a.finish == "error" for a in answers] == [False, False, False, True]
    assert calls == [4, 2, 2, 1, 1]


def test_interrupts_are_not_swallowed(backend: HFBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda rows: KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        list(backend.answer([request("days")]))


def test_a_prompt_that_does_not_fit_is_never_cut(backend: HFBackend) -> None:
    long = request("days").model_copy(update={"messages": (Message(role="user", content="cost " * 3000),)})
    answers = list(backend.answer([request("refund"), long, request("days")]))
    assert [a.finish == "error" for a in answers] == [False, True, False]
    assert "context" in answers[1].error


def test_a_trial_without_adapter_is_an_error(backend: HFBackend) -> None:
    (answer,) = backend.answer([request("days", trial=99)])
    assert answer.finish == "error"


def test_a_sample_that_does_not_fit_is_refused(backend: HFBackend) -> None:
    long = Sample(example="row 7", messages=(question("days"), Message(role="assistant", content="cost " * 3000)))
    with pytest.raises(DataError, match="row 7"):
        list(backend.train([plan(2)._replace(samples=(long,))]))


def test_an_adapter_of_another_base_is_refused(backend: HFBackend, tiny_folder: Path, tmp_path: Path) -> None:
    """Same shapes, other weights: only the hash in the adapter tells them apart."""
    from conftest import write_model

    other = Path(shutil.copytree(tiny_folder, tmp_path / "other"))
    write_model(other, seed=1)
    list(backend.train([plan(3, steps=1)]))
    (tmp_path / "adapter").mkdir()
    backend.save_adapter(3, tmp_path / "adapter")
    with pytest.raises(MissingError, match="other weights"):
        backends.load(settings(other)).load_adapter(1, tmp_path / "adapter")


def drop(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["model.layers.1.mlp.up_proj.weight"]


def add(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.2.mlp.up_proj.weight"] = torch.zeros(128, 64)


def narrow(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.1.mlp.up_proj.weight"] = torch.zeros(100, 64)


@pytest.mark.parametrize("change", [drop, add, narrow])
def test_weights_that_do_not_fill_the_model_are_refused(
    tiny_folder: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None]
) -> None:
    """transformers would draw random numbers for a missing tensor, and answers would be compared on those."""
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MissingError) as caught:
        backends.load(settings(folder))
    assert caught.value.fix


def test_a_model_that_does_not_fit_into_memory_is_refused_before_it_is_loaded(
    backend: HFBackend, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 4 * backend.info.parameters
    monkeypatch.setattr(hf, "free_memory", lambda _: needed)
    backends.load(settings(tiny_folder))
    monkeypatch.setattr(hf, "free_memory", lambda _: needed - 1)
    monkeypatch.setattr(hf, "_load", lambda _: 1 / 0)
    with pytest.raises(MissingError, match="memory") as caught:
        backends.load(settings(tiny_folder))
    assert f"{needed:,}" in caught.value.why and caught.value.fix


def test_trials_in_one_call_share_batches_and_one_can_be_stopped(backend: HFBackend) -> None:
    backend.together = 3
    taken: list[tuple[int, int]] = []
    for step in backend.train([plan(t, steps=40, seed=t) for t in (1, 2, 3)], lambda t: t == 2 and len(taken) >= 6):
        taken.append((step.trial, step.step))
    backend.together = None
    assert taken[:7] == [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (1, 3)]
    assert [max(step for trial, step in taken if trial == t) for t in (1, 2, 3)] == [40, 2, 40]
    answers = list(backend.answer([request(item, trial) for trial in (1, 3) for item in ITEMS]))
    assert [answer.text for answer in answers] == [answer_text(item) for item in ITEMS] * 2


def test_answering_on_the_way_changes_no_step(backend: HFBackend) -> None:
    undisturbed = [step.loss for step in backend.train([plan(20, steps=8, dropout=0.1), plan(21, steps=8)])]
    losses, texts = [], set()
    for step in backend.train([plan(20, steps=8, dropout=0.1), plan(21, steps=8)]):
        losses.append(step.loss)
        answers = backend.answer([request("tea", trial) for trial in (20, 21, 0)])
        texts.add(tuple(answer.token_ids for answer in answers))
    assert losses == undisturbed and len(texts) > 1, "it answers as the adapter is at that moment"


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    write_model(tmp_path, vocab_size=300)
    with pytest.raises(MissingError, match="does not belong"):
        backends.load(settings(tmp_path))


def test_the_embedded_model_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backends.resources, "files", lambda _: tmp_path)
    with pytest.raises(MissingError, match="embedded"):
        backends.load(RunSettings())


# --- a process of its own --------------------------------------------------------------------------------------------


def test_loading_is_silent_offline_and_refusals_do_not_import_torch(tiny_folder: Path, tmp_path: Path) -> None:
    program = """
import json, socket, sys
from kurabe import backends
from kurabe.errors import MissingError
from kurabe.settings import RunSettings
def cut(*a, **k): raise AssertionError("the network was asked for")
socket.socket.connect = cut
try:
    backends.load(RunSettings(model="no/such-model"))
except MissingError:
    pass
early = sorted(m for m in ("torch", "transformers") if m in sys.modules)
backends.load(RunSettings(model=sys.argv[1], device="cpu"))
print(json.dumps({"early": early, "late": [m for m in ("peft", "trl", "datasets") if m in sys.modules]}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_folder)], capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"early": [], "late": []}


# --- a teacher -------------------------------------------------------------------------------------------------------


def taught(item: str) -> Sample:
    """The row with a teacher that sees the answer in its prompt; its value is learned as it stands."""
    text = answer_text(item)
    system = Message(role="system", content=f"Answer from this: {text}")
    start = text.index("$")
    (plain,) = [sample for sample in samples() if sample.example == item]
    return plain.model_copy(update={"teacher": (system, question(item)), "values": ((start, len(text) - 1),)})


def alone(backend: HFBackend, ids: list[int]) -> torch.Tensor:
    """The logits of one row without adapter, through transformers' own attention."""
    backend.stack.route([0])
    backend.engine.decoder.set_attn_implementation("sdpa")
    try:
        with torch.inference_mode():
            scores: torch.Tensor = backend.engine.head(backend.engine.decoder(torch.tensor([ids])).last_hidden_state)[0]
            return scores
    finally:
        backend.engine.decoder.set_attn_implementation(ATTENTION)


def test_a_taught_row_holds_the_teachers_shares_wherever_no_value_stands(backend: HFBackend) -> None:
    """Against transformers itself: one row at a time, no adapter, no packing."""
    list(backend.train([plan(1, steps=5)]))  # an adapter that must not teach
    rows = [backend.chat.sample(taught(item).messages) for item in ITEMS]
    plain = list(rows)
    work = backend._teach([taught(item) for item in ITEMS], rows)
    assert work is not None and work.seconds > 0
    for item, row, before in zip(ITEMS, rows, plain, strict=True):
        assert (row.ids, row.labels) == (before.ids, before.labels)
        sample = taught(item)
        whole = backend.chat.sample([*sample.teacher, sample.messages[-1]])
        scores = alone(backend, whole.ids)
        moved = len(whole.ids) - len(row.ids)
        for at, soft in row.soft.items():
            top = scores[at + moved - 1].float().topk(hf.LIKELY)
            assert list(soft.ids) == top.indices.tolist()
            assert list(soft.shares) == pytest.approx(top.values.softmax(-1).tolist(), abs=1e-4)
            assert sum(soft.shares) == pytest.approx(1, abs=1e-5)
        hard = [at for at, label in enumerate(row.labels) if label != IGNORE and at not in row.soft]
        assert backend.chat.text([row.ids[at] for at in hard]).strip(" .") == f"${ITEMS.index(item) + 3}.99"
        assert hard[-1] == len(row.ids) - 1  # the end token


def test_the_first_step_pays_for_the_teacher(backend: HFBackend) -> None:
    trial = plan(1, steps=3)
    plain = list(backend.train([trial]))
    steps = list(backend.train([trial._replace(samples=tuple(taught(item) for item in ITEMS))]))
    asked = sum(backend.count([*taught(i).teacher, taught(i).messages[-1]]) - 1 for i in ITEMS)
    assert [s.positions for s in steps] == [plain[0].positions + asked, *(s.positions for s in plain[1:])]
    assert [step.supervised for step in steps] == [step.supervised for step in plain]
    assert steps[0].loss != pytest.approx(plain[0].loss or 0, rel=1e-3)
