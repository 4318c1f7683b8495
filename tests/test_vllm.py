"""A vLLM that answers for the run's own model: the same answers, the same weights or a refusal, adapters by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import write_model
from killed_run import write_data
from scripted_vllm import Scripted, serving
from test_hf import ITEMS, plan, request

from kurabe import backends, experiment, planning, session
from kurabe.connection import Limits
from kurabe.errors import MissingError, SettingsError, StoppedError
from kurabe.fake import FakeBackend
from kurabe.hf import HFBackend
from kurabe.runs import RunFolder
from kurabe.servers import Server
from kurabe.settings import RunSettings
from kurabe.vllm import VLLMBackend

QUICK = Limits(connect=5, answer=20, total=60, tries=3, pause=0.001, longest_pause=0.01, in_a_row=3)
Begin = Callable[..., tuple[VLLMBackend, Scripted]]


def loaded(folder: Path) -> HFBackend:
    return backends.load(RunSettings(model=str(folder), threads=1, device="cpu"))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def own(tiny_folder: Path) -> HFBackend:
    return loaded(tiny_folder)


@pytest.fixture(scope="module")
def far(tiny_folder: Path) -> HFBackend:
    """The same weights, loaded once more: the server's."""
    return loaded(tiny_folder)


@pytest.fixture(scope="module")
def adapter(own: HFBackend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained adapter, as a run stores it."""
    folder = tmp_path_factory.mktemp("adapter")
    list(own.train([plan(1, steps=20)]))
    own.save_adapter(1, folder)
    return folder


@pytest.fixture
def begin(own: HFBackend, far: HFBackend) -> Iterator[Begin]:
    with ExitStack() as stack:

        def start(model: HFBackend = far, limits: Limits = QUICK, **how: Any) -> tuple[VLLMBackend, Scripted]:
            state = stack.enter_context(serving(Scripted(model, **how)))
            return stack.enter_context(VLLMBackend(own, Server("openai", f"{state.url}/v1", ""), limits)), state

        yield start


# --- answers ---------------------------------------------------------------------------------------------------


def test_the_answers_are_those_of_the_loaded_model_with_and_without_adapter(
    begin: Begin, own: HFBackend, adapter: Path
) -> None:
    backend, state = begin()
    backend.load_adapter(3, adapter)
    asked = [request(item, trial) for item in ITEMS for trial in (0, 3)]
    here, there = list(own.answer(asked)), list(backend.answer(asked))
    for mine, served in zip(here, there, strict=True):
        same = ("key", "text", "token_ids", "finish", "prompt_tokens", "new_tokens")
        assert [getattr(mine, name) for name in same] == [getattr(served, name) for name in same]
    assert len({answer.text for answer in there}) > 1
    sent = [body["prompt"] for body in state.bodies if "prompt_logprobs" not in body]
    assert sorted(sent) == sorted(own.chat.prompt(one.messages) for one in asked)


def test_a_server_that_returns_no_ids_gives_the_same_text(begin: Begin, own: HFBackend) -> None:
    backend, _ = begin(fault="old")
    asked = [request(item) for item in ITEMS]
    assert [a.text for a in backend.answer(asked)] == [a.text for a in own.answer(asked)]
    assert all(answer.new_tokens for answer in backend.answer(asked))


def test_what_may_pass_is_tried_again_and_a_broken_off_answer_is_none(begin: Begin, own: HFBackend) -> None:
    backend, state = begin()
    (mine,) = own.answer([request(ITEMS[0])])
    for script in (["500"], ["abort"], ["503", "abort"]):
        state.script[:] = script
        (answer,) = backend.answer([request(ITEMS[0])])
        assert (answer.text, answer.finish) == (mine.text, mine.finish)


def test_what_stays_is_unscored(begin: Begin) -> None:
    backend, state = begin()
    state.script[:] = ["abort"] * 3
    first, second = list(backend.answer([request(ITEMS[0])])), list(backend.answer([request(ITEMS[1])]))
    assert (first[0].finish, first[0].text) == ("error", "") and "abort" in first[0].error
    assert second[0].finish != "error"


def test_a_server_that_is_gone_ends_the_batch_and_not_the_model(begin: Begin) -> None:
    backend, state = begin(limits=QUICK._replace(at_once=1))
    state.script[:] = ["503"] * 99
    with pytest.raises(StoppedError) as caught:
        list(backend.answer([request(item) for item in ITEMS * 2]))
    assert "resume" in caught.value.fix and len(state.script) == 99 - 3 * 3


def test_a_prompt_that_the_server_or_the_model_cannot_hold_is_not_sent(begin: Begin, own: HFBackend) -> None:
    backend, state = begin(longest=600)
    before = len(state.bodies)
    (answer,) = backend.answer([request(ITEMS[0], limit=590)])
    assert answer.finish == "error" and "context of 600" in answer.error and len(state.bodies) == before
    assert begin(longest=10**6)[0].info.context == own.info.context


def test_an_adapter_that_still_trains_is_asked_here_among_those_that_are_there(
    begin: Begin, own: HFBackend, adapter: Path
) -> None:
    backend, state = begin()
    backend.load_adapter(3, adapter)
    list(backend.train([plan(8, steps=20)]))
    asked, before = [request(ITEMS[0], trial) for trial in (3, 8, 0, 9)], len(state.bodies)
    answers = list(backend.answer(asked))
    assert [a.key for a in answers] == [one.key for one in asked] and len(state.bodies) == before + 2
    assert [a.text for a in answers] == [a.text for a in own.answer(asked)] and answers[1].finish != "error"
    assert answers[3].finish == "error" and "Trial 9" in answers[3].error


# --- the same weights ------------------------------------------------------------------------------------------


def test_files_of_the_same_hash_prove_it(begin: Begin, tiny_folder: Path) -> None:
    backend, _ = begin(root=str(tiny_folder))
    assert backend.proof.by == "hash" and backend.note.key == "audit.note.served-hash"
    assert backend.note.values["version"] == "0.99.0"


def test_the_same_likelihood_speaks_for_it(begin: Begin) -> None:
    proof = begin()[0].proof
    assert proof.by == "likelihood" and proof.difference is not None and proof.difference < 1e-3


@pytest.mark.parametrize("fault", ["old", "silent"])
def test_else_it_is_the_server_s_word(begin: Begin, fault: str) -> None:
    proof = begin(fault=fault)[0].proof
    assert proof.by == "word" and proof.difference is None


@pytest.fixture(scope="module")
def stranger(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> HFBackend:
    """The same shape and tokenizer, other weights."""
    folder = tmp_path_factory.mktemp("stranger") / "model"
    shutil.copytree(tiny_folder, folder)
    write_model(folder, seed=1)
    return loaded(folder)


@pytest.mark.parametrize("told", [True, False])
def test_other_weights_are_refused(begin: Begin, stranger: HFBackend, told: bool) -> None:
    root = stranger.info.path if told else "org/model"
    with pytest.raises(MissingError) as caught:
        begin(stranger, root=root)
    assert "other weights" in caught.value.what and ("hash" if told else "log-likelihood") in caught.value.why
    assert caught.value.fix


def test_a_server_that_changes_the_prompt_is_not_believed(begin: Begin) -> None:
    backend, state = begin(fault="silent")
    state.fault = "adds a token"
    (answer,) = backend.answer([request(ITEMS[0])])
    assert answer.finish == "error" and "other tokens" in answer.error


def test_a_model_without_a_tokenizer_cannot_be_served(begin: Begin) -> None:
    with pytest.raises(SettingsError):
        VLLMBackend(FakeBackend(), Server("openai", "http://127.0.0.1:9/v1", ""), QUICK)


def test_a_server_without_the_model_or_behind_a_key_is_told(own: HFBackend, far: HFBackend, monkeypatch: Any) -> None:
    with serving(Scripted(far)) as state:
        with pytest.raises(MissingError) as caught:
            VLLMBackend(own, Server("openai", f"{state.url}/v1", "other"), QUICK)
        assert "base" in caught.value.why
        state.key = "sk-vllm"
        with pytest.raises(MissingError) as caught:
            VLLMBackend(own, Server("openai", f"{state.url}/v1", "base"), QUICK)
        assert "key" in caught.value.what and "VLLM_API_KEY" in caught.value.fix
        monkeypatch.setenv("VLLM_API_KEY", "sk-vllm")
        VLLMBackend(own, Server("openai", f"{state.url}/v1", "base"), QUICK).close()


# --- adapters --------------------------------------------------------------------------------------------------


def test_an_adapter_is_named_by_its_content_and_unloaded_at_the_end(begin: Begin, adapter: Path) -> None:
    backend, state = begin()
    backend.load_adapter(1, adapter)
    backend.load_adapter(2, adapter)  # as another session would: it is there already
    assert len(state.adapters) == 1 and list(state.adapters.values()) == [str(adapter)]
    assert len({load["lora_name"] for load in state.loads}) == 1
    (one,), (two,) = (backend.answer([request(ITEMS[0], trial)]) for trial in (1, 2))
    assert one.text == two.text
    backend.forget([2])
    assert next(iter(backend.answer([request(ITEMS[0], 2)]))).finish == "error"
    backend.close()
    assert not state.adapters


@pytest.mark.parametrize("fault", ["no adapters", "ignores adapters"])
def test_an_adapter_that_the_server_does_not_take_or_ignores_is_told(begin: Begin, adapter: Path, fault: str) -> None:
    backend, state = begin()
    state.fault = fault
    with pytest.raises(MissingError) as caught:
        backend.load_adapter(1, adapter)
    assert "adapter of trial 1" in caught.value.what and caught.value.fix
    assert fault != "no adapters" or "--enable-lora" in caught.value.fix


# --- a whole run -----------------------------------------------------------------------------------------------


def test_a_run_s_answers_are_the_loaded_model_s_though_the_server_gave_them(
    own: HFBackend, far: HFBackend, tmp_path: Path, tiny_folder: Path
) -> None:
    with serving(Scripted(far)) as state:
        chosen = RunSettings(
            model=str(tiny_folder), runs=str(tmp_path), name="run", arms=("base", "lora"), retention=1,
            recipes=("origin",), max_new_tokens=4, threads=1, device="cpu", answers_from=f"{state.url}/v1#base",
        )  # fmt: skip
        results = experiment.run(write_data(tmp_path), chosen, backend=own)
        assert len(state.bodies) > 30 and state.loads and not state.adapters
    folder = RunFolder.open(tmp_path / "run")
    make = planning.request_maker(session.material(folder), folder.questions(), 4)
    own.load_adapter(1, folder.adapter(1) or tmp_path)
    mine = own.answer([make(answer.key) for answer in folder.answers()])
    assert [(a.key, a.text, a.token_ids) for a in mine] == [(a.key, a.text, a.token_ids) for a in folder.answers()]
    assert "audit.note.served-likelihood" in [note.key for note in results.notes]
