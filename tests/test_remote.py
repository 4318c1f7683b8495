"""A server as a backend: what is sent, what is tried again, and that no answer is lost, swapped or mis-scored."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from scripted_chat import DRIPS, Scripted, serving

from kurabe import connection
from kurabe.connection import Limits
from kurabe.errors import MissingError
from kurabe.remote import RemoteBackend
from kurabe.schema import Answer, AnswerKey, Message, Request
from kurabe.servers import Server, server

QUICK = Limits(connect=5, answer=20, total=60, tries=3, pause=0.001, longest_pause=0.01, size=100_000)
KINDS = ["openai", "ollama"]
Start = Callable[..., RemoteBackend]


def request(text: str = "Hello?", trial: int = 0, temperature: float = 0.0) -> Request:
    key = AnswerKey(model="m", trial=trial, arm="prompt", hop="live", probe="ask", question=text)
    messages = (Message(role="system", content="Be kind."), Message(role="user", content=text))
    return Request(key=key, messages=messages, max_new_tokens=32, temperature=temperature, seed=5)


@pytest.fixture
def start() -> Iterator[Start]:
    """A backend on a scripted server."""
    with ExitStack() as stack:

        def begin(
            state: Scripted, kind: str = "openai", *, model: str = "m", key: str = "", limits: Limits = QUICK
        ) -> RemoteBackend:
            stack.enter_context(serving(state))
            url = state.url + ("/v1" if kind == "openai" else "")
            return stack.enter_context(RemoteBackend(Server(kind, url, model), key, limits))  # type: ignore[arg-type]

        yield begin


def only(backend: RemoteBackend, asked: Request | None = None) -> Answer:
    (answer,) = backend.answer([asked or request()])
    return answer


# --- answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_has_its_text_and_the_server_s_count_of_tokens(kind: str, start: Start) -> None:
    state = Scripted()
    backend = start(state, kind)
    answer = only(backend)
    assert (answer.text, answer.finish, answer.prompt_tokens, answer.new_tokens) == ("<Hello?>", "stop", 11, 7)
    assert answer.cached_tokens == (4 if kind == "openai" else 0) and answer.key == request().key and not answer.error
    (body,) = state.bodies
    assert body["model"] == "m" and body["stream"] is False
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    told = body if kind == "openai" else body["options"]
    limit = "max_tokens" if kind == "openai" else "num_predict"
    assert (told[limit], told["temperature"], told["seed"]) == (32, 0.0, 5)
    assert only(backend, request("cut short")).finish == "length"


def test_ollama_gets_a_context_that_holds_any_prompt_and_may_not_cut_it(start: Start) -> None:
    state = Scripted()
    backend = start(state, "ollama")
    list(backend.answer([request(), request("長い" * 3000)]))
    contexts = {len(body["messages"][1]["content"]): body["options"]["num_ctx"] for body in state.bodies}
    assert contexts[6] == 4096 and contexts[6000] == 32768  # 18,000 bytes and more
    assert all(body["truncate"] is False and body["shift"] is False for body in state.bodies)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_come_in_the_order_of_the_requests_though_many_are_under_way(kind: str, start: Start) -> None:
    state = Scripted("500", "good", "cut", "good", "429")
    backend = start(state, kind)
    texts = [f"question {i}" for i in range(25)]
    answers = list(backend.answer([request(text) for text in texts]))
    assert [answer.text for answer in answers] == [f"<{text}>" for text in texts]
    assert [answer.key.question for answer in answers] == texts
    assert len(state.bodies) == 28


def test_as_many_requests_are_under_way_as_the_limit_says(start: Start) -> None:
    state = Scripted()
    state.gate = threading.Barrier(3)  # each of three waits for the others
    backend = start(state, limits=QUICK._replace(at_once=3))
    assert len(list(backend.answer([request(str(i)) for i in range(9)]))) == 9
    assert state.most_open == 3


def test_nobody_waits_for_answers_that_are_no_longer_wanted(start: Start) -> None:
    state = Scripted("good", *["silent"] * 20)
    backend = start(state, limits=QUICK._replace(at_once=1))  # with two, either could be the one that is answered
    coming = backend.answer([request(str(i)) for i in range(20)])
    assert next(coming).text == "<0>"
    before = time.monotonic()
    coming.close()  # type: ignore[attr-defined]
    assert time.monotonic() - before < 10 and len(state.bodies) <= 4


def test_a_slow_answer_holds_up_none_that_comes_after_it(start: Start) -> None:
    backend = start(Scripted("silent"), limits=QUICK._replace(at_once=2, answer=1.0, tries=2))
    answers = list(backend.as_they_come([request(str(i)) for i in range(6)]))
    assert sorted(answer.text for answer in answers) == [f"<{i}>" for i in range(6)]
    assert answers[-1].seconds > 0.9 > answers[0].seconds


@pytest.mark.parametrize("kind", KINDS)
def test_thoughts_before_an_answer_are_no_part_of_it_and_thinking_is_switched_off(kind: str, start: Start) -> None:
    state = Scripted("thoughts", "only thoughts", "nothing said")
    backend = start(state, kind)
    whole, cut, silent = (only(backend) for _ in range(3))
    assert (whole.text, whole.finish) == ("<Hello?>", "stop")
    assert cut.finish == silent.finish == "error" and "thinks" in cut.error
    told = [body["think"] if kind == "ollama" else body["chat_template_kwargs"] for body in state.bodies]
    assert told == [False if kind == "ollama" else {"enable_thinking": False}] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_was_broken_off_is_none(kind: str, start: Start) -> None:
    state = Scripted("aborted", "good", "aborted", "aborted", "aborted")
    backend = start(state, kind)
    assert (only(backend).text, only(backend).finish) == ("<Hello?>", "error") and len(state.bodies) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_tells_its_version_or_nothing(kind: str, start: Start) -> None:
    assert start(Scripted(version="1.2"), kind).version() == "1.2"
    assert start(Scripted(), kind).version() == ""


def test_no_request_no_answer(start: Start) -> None:
    assert list(start(Scripted()).answer([])) == []


# --- failures --------------------------------------------------------------------------------------------------

PASSING = ["429", "429 after 0", "500", "503", "529", "cut", "drop", "html", "half", "a list", "null", "no choice",
           "not utf-8", "deep", "error in 200", "error text in 200", "negative"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again(kind: str, fault: str, start: Start) -> None:
    state = Scripted(fault)
    answer = only(start(state, kind))
    assert (answer.text, answer.finish, len(state.bodies)) == ("<Hello?>", "stop", 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", PASSING)
def test_what_stays_is_an_answer_that_did_not_come(kind: str, fault: str, start: Start) -> None:
    state = Scripted(*[fault] * 3)
    answer = only(start(state, kind))
    assert (answer.text, answer.finish, len(state.bodies)) == ("", "error", 3)
    assert "3 tries" in answer.error and answer.key == request().key


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault", ["400 the prompt is too long", "401", "404 no such model", "413", "refused in 200", "huge"]
)
def test_what_cannot_pass_is_not_tried_again(kind: str, fault: str, start: Start) -> None:
    state = Scripted(*[fault] * 3)
    answer = only(start(state, kind))
    assert answer.finish == "error" and answer.error and len(state.bodies) == 1
    assert fault.partition(" ")[2].removeprefix("in 200") in answer.error


def test_a_filtered_answer_is_none(start: Start) -> None:
    state = Scripted("no text", "no text")
    answer = only(start(state))
    assert answer.finish == "error" and len(state.bodies) == 1


@pytest.mark.parametrize("fault", ["silent", *DRIPS])
def test_a_server_that_does_not_end_is_left(fault: str, start: Start) -> None:
    state = Scripted(fault, fault)
    backend = start(state, limits=QUICK._replace(answer=0.3, tries=2))
    before = time.monotonic()
    answer = only(backend)
    assert answer.finish == "error" and "0.3 seconds" in answer.error
    assert time.monotonic() - before < 20 and len(state.bodies) == 2


def test_no_try_begins_after_the_time_is_up(start: Start) -> None:
    state = Scripted(*["500"] * 99)
    answer = only(start(state, limits=QUICK._replace(tries=99, pause=0.2, longest_pause=0.2, total=0.5)))
    assert answer.finish == "error" and 1 <= len(state.bodies) <= 3


def test_the_server_s_own_pause_is_kept_and_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.random, "uniform", lambda low, high: low)
    for header, least, most in (("1", 1.0, 20.0), ("86400", 0.3, 20.0), ("soon", 0.0, 20.0)):
        bound = 2.0 if header == "1" else 0.3
        before = time.monotonic()
        answer = only(start(Scripted(f"429 after {header}"), limits=QUICK._replace(longest_pause=bound)))
        assert answer.text == "<Hello?>" and least <= time.monotonic() - before < most


def test_a_server_that_is_gone_is_given_up(start: Start) -> None:
    state = Scripted(*["503"] * 999)
    backend = start(state, limits=QUICK._replace(in_a_row=4, at_once=1))
    answers = list(backend.answer([request(str(i)) for i in range(30)]))
    assert all(answer.finish == "error" for answer in answers) and len(answers) == 30
    assert len(state.bodies) == 4 * 3 and "given up" in answers[-1].error
    state.script.clear()
    assert only(backend).text == "<Hello?>"  # asked anew


def test_prompts_that_are_too_long_give_nothing_up(start: Start) -> None:
    state = Scripted(*["400 too long"] * 9)
    backend = start(state, limits=QUICK._replace(in_a_row=2, at_once=1))
    answers = list(backend.answer([request(str(i)) for i in range(10)]))
    assert [answer.finish for answer in answers] == ["error"] * 9 + ["stop"]


def test_a_server_has_no_adapter(start: Start) -> None:
    state = Scripted()
    answer = only(start(state), request(trial=2))
    assert answer.finish == "error" and "Trial 2" in answer.error and not state.bodies


def test_another_address_gets_neither_question_nor_key(start: Start) -> None:
    with serving(Scripted()) as elsewhere:
        answer = only(start(Scripted(f"redirect {elsewhere.url}/v1/chat/completions"), key="sk-secret"))
        assert answer.finish == "error" and "307" in answer.error and not elsewhere.headers


# --- what servers want otherwise -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "instead"), [("max_tokens", "max_completion_tokens"), ("seed", None), ("chat_template_kwargs", None)]
)  # fmt: skip
def test_a_parameter_that_a_server_does_not_take_is_said_otherwise(
    name: str, instead: str | None, start: Start
) -> None:
    state = Scripted(*[f"400 Unsupported parameter: '{name}'"] * 3)
    backend = start(state, limits=QUICK._replace(at_once=3))
    state.gate = threading.Barrier(3)  # three requests are refused at the same time
    answers = list(backend.answer([request(str(i)) for i in range(3)]))
    assert [answer.text for answer in answers] == ["<0>", "<1>", "<2>"]
    assert all(name not in body for body in state.bodies[3:]) and len(state.bodies) == 6
    assert instead is None or all(body[instead] == 32 for body in state.bodies[3:])


def test_a_temperature_that_a_server_does_not_take_is_not_left_out(start: Start) -> None:
    """Answers at another temperature would be compared as if they were greedy."""
    answer = only(start(Scripted("400 Unsupported value: 'temperature'")))
    assert answer.finish == "error" and "temperature" in answer.error


# --- key and model ---------------------------------------------------------------------------------------------


def test_the_key_stands_in_the_header_and_nowhere_else(start: Start) -> None:
    state = Scripted(key="sk-secret")
    backend = start(state, key="sk-secret")
    assert only(backend).text == "<Hello?>"
    assert all(headers["Authorization"] == "Bearer sk-secret" for headers in state.headers)
    assert "sk-secret" not in json.dumps(state.bodies) + repr(backend.info) + repr(backend.server)


@pytest.mark.parametrize("key", ["", "sk-wrong"])
def test_a_key_that_is_missing_or_wrong_is_told_and_not_repeated(key: str, start: Start) -> None:
    with pytest.raises(MissingError) as caught:
        start(Scripted(key="sk-secret"), key=key)
    assert ("refuses" if key else "wants") in caught.value.what and "--key-env" in caught.value.fix
    assert "sk-" not in repr(caught.value)


def test_a_key_that_the_server_repeats_is_taken_out_of_the_error(start: Start) -> None:
    answer = only(start(Scripted("400 bad key sk-secret"), key="sk-secret"))
    assert "***" in answer.error and "sk-secret" not in answer.error


def test_a_key_that_the_server_gives_as_a_model_s_name_is_told_nowhere(start: Start) -> None:
    with pytest.raises(MissingError) as caught:
        start(Scripted(models=("sk-secret", "x" * 9000)), model="", key="sk-secret")
    assert "sk-secret" not in str(caught.value) and len(str(caught.value)) < 2000


def test_a_packed_answer_was_not_asked_for_and_is_not_unpacked(start: Start) -> None:
    answer = only(start(Scripted("packed", "packed", "packed")))
    assert answer.finish == "error"


def test_no_proxy_and_no_password_file_is_asked_on_the_way_to_this_machine(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert only(start(Scripted())).text == "<Hello?>"


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_not_there_is_told_with_those_that_are(kind: str, start: Start) -> None:
    with pytest.raises(MissingError) as caught:
        start(Scripted(models=("alpha", "beta")), kind, model="gamma")
    assert "gamma" in caught.value.what and "alpha, beta" in caught.value.why and "alpha" in caught.value.fix


def test_the_only_model_needs_no_name_and_several_do(start: Start) -> None:
    assert start(Scripted(models=("alone",)), model="").info.name == "alone"
    for models in ((), ("a", "b")):
        with pytest.raises(MissingError):
            start(Scripted(models=models), model="")


def test_ollama_s_latest_tag_may_be_left_out_and_its_digest_is_kept(start: Start) -> None:
    info = start(Scripted(models=("m:latest",)), "ollama").info
    assert (info.name, info.sha256, info.stand_in) == ("m:latest", "ab" * 32, False)


def test_a_server_without_a_list_is_believed_about_the_name(start: Start) -> None:
    assert only(start(Scripted(listing="404"))).text == "<Hello?>"
    with pytest.raises(MissingError):
        start(Scripted(listing="404"), model="")


@pytest.mark.parametrize("listing", ["html", "a list", "500", "cut", "drop", "huge", "error in 200"])
def test_a_list_that_cannot_be_read_is_an_error_and_no_traceback(listing: str, start: Start) -> None:
    with pytest.raises(MissingError) as caught:
        start(Scripted(listing=listing))
    assert caught.value.why and caught.value.fix


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_not_there_is_told(kind: str) -> None:
    with serving(Scripted()) as state:
        url = state.url
    with pytest.raises(MissingError) as caught:
        RemoteBackend(Server(kind, url, "m"), limits=QUICK)  # type: ignore[arg-type]
    assert caught.value.where == url and "Start it" in caught.value.fix


# --- a real one ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """llama.cpp's OpenAI-compatible server with random weights, behind the key sk-real."""
    pytest.importorskip("xllamacpp")
    import random_gguf

    file = tmp_path_factory.mktemp("served") / "random.gguf"
    random_gguf.write(file)
    command = [sys.executable, str(Path(__file__).with_name("llamacpp_server.py")), str(file), "sk-real"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True) as child:  # type: ignore[call-overload]
        found = server(child.stdout.readline().strip())
        assert found is not None
        yield found
        child.kill()


def test_llama_cpp_s_server_answers_counts_and_refuses_as_it_should(llama_server: Server) -> None:
    with pytest.raises(MissingError) as caught:
        RemoteBackend(llama_server, "sk-wrong", QUICK)
    assert "refuses the key" in caught.value.what
    with RemoteBackend(llama_server, "sk-real", QUICK) as backend:
        asked = [request("How much?"), request("How much?"), request("word " * 600), request("Where is it?")]
        first, again, long, other = backend.answer(asked)
        assert [answer.key for answer in (first, again, long, other)] == [one.key for one in asked]
        assert first.prompt_tokens == again.prompt_tokens > 0
        assert 0 < first.new_tokens <= 32 and (first.finish == "length") == (first.new_tokens == 32)
        assert long.finish == "error" and "context" in long.error and other.finish != "error"
