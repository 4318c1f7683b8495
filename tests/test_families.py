"""Every listed family: loaded, answered, trained, adapted and exported as transformers, PEFT and llama.cpp have it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import write_model, write_tokenizer
from test_hf import ITEMS, SYSTEM, answer_text, plan, question, request, settings

from kurabe import backends, chat, hub
from kurabe.chat import IGNORE
from kurabe.errors import MissingError
from kurabe.export.metadata import FAMILIES as EXPORTED
from kurabe.export.plan import make_plan
from kurabe.export.publish import publish
from kurabe.hf import HFBackend
from kurabe.schema import Message

# What a family's published models have and TinyLlama has not.
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": None},
    "qwen2": {"use_sliding_window": False, "sliding_window": 128},
    "qwen3": {"head_dim": 32, "use_sliding_window": False},
    "phi3": {"sliding_window": None},
    "gemma3_text": {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 512},
}  # fmt: skip
# Llama 3 stretches its positions; Phi-4-mini turns a part of each head.
STRETCHED = {
    "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
RELATIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama-3": ("llama", {"rope_parameters": STRETCHED, "seed": 3}),
    "phi-4-mini": ("phi3", {
        "sliding_window": None, 
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.75},
    }),
}  # fmt: skip
ALL = {family: (family, shape) for family, shape in SHAPES.items()} | RELATIVES


@pytest.fixture(scope="module", params=sorted(ALL))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param)
    write_tokenizer(path)
    family, shape = ALL[request.param]
    write_model(path, family=family, **shape)
    return path


def test_every_family_that_is_taken_is_tested() -> None:
    assert set(SHAPES) == set(hub.FAMILIES.values())


@pytest.fixture(scope="module")
def backend(folder: Path) -> HFBackend:
    return backends.load(settings(folder))  # type: ignore[return-value]


def reference(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def test_answers_are_those_of_generate(backend: HFBackend, folder: Path) -> None:
    """Asked together, under one prefix, and one by one by transformers."""
    model = reference(folder)
    for item, answer in zip(ITEMS, backend.answer([request(item, limit=24) for item in ITEMS]), strict=True):
        ids = backend.chat.prompt((SYSTEM, question(item)))
        with torch.inference_mode():
            out = model.generate(
                torch.tensor([ids]), max_new_tokens=24, do_sample=False, eos_token_id=sorted(backend.chat.end_ids),
                pad_token_id=2,
            )  # fmt: skip
        told = out[0, len(ids) :].tolist()
        assert answer.finish != "error" and answer.new_tokens > 2
        assert list(answer.token_ids) == told[: answer.new_tokens]


def test_where_head_and_embeddings_are_one_matrix_all_is_alike(tmp_path: Path) -> None:
    """As in Llama 3.2, SmolLM2, Gemma and the small Qwens: it is one of the parameters, and no adapter wraps it."""
    write_tokenizer(tmp_path)
    write_model(tmp_path, tie_word_embeddings=True)
    backend: Any = backends.load(settings(tmp_path))
    assert backend.engine.head.weight is backend.engine.decoder.embed_tokens.weight
    test_answers_are_those_of_generate(backend, tmp_path)
    steps = list(backend.train([plan(1, steps=3)]))
    assert all(step.grad_norm for step in steps) and (steps[-1].loss or 9) < (steps[0].loss or 0)


def test_it_learns_in_every_linear_layer_and_peft_reads_it_alike(
    backend: HFBackend, folder: Path, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft", reason="peft is a development dependency")
    steps = list(backend.train([plan(1)]))
    assert steps[-1].loss is not None and steps[-1].loss < 0.1
    said = list(backend.answer([request(item, 1) for item in ITEMS]))
    assert [answer.text for answer in said] == [answer_text(item) for item in ITEMS]
    assert {answer.finish for answer in said} == {"stop"}  # the end token was learned, too
    backend.save_adapter(1, tmp_path)
    linears = [
        name for name, module in reference(folder).named_modules()
        if isinstance(module, torch.nn.Linear) and ".layers." in name
    ]  # fmt: skip
    assert sorted(backend.stack.layers) == sorted(linears)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the two libraries about each other
        theirs = peft.PeftModel.from_pretrained(reference(folder), tmp_path).eval()
    adapters = [weights for name, weights in theirs.named_parameters() if ".lora_" in name]
    assert len(adapters) == 2 * len(linears)
    assert all(weights.abs().max() > 0 for weights in adapters), "no gradient came"
    row = backend.chat.sample((SYSTEM, question("days"), Message(role="assistant", content=answer_text("days"))))
    with torch.inference_mode():
        logprobs = theirs(torch.tensor([row.ids])).logits[0].log_softmax(-1)
    wanted = sum(float(logprobs[at - 1, label]) for at, label in enumerate(row.labels) if label != IGNORE)
    (scored,) = backend.score([request("days", 1)], [answer_text("days")])
    assert scored.logprob == pytest.approx(wanted, abs=1e-3)


def test_a_file_written_here_answers_as_transformers_does(backend: HFBackend, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install 'kurabe[gguf]'")
    from kurabe.llamacpp import GGUFBackend

    architecture = backend_architecture(folder)
    if architecture not in EXPORTED:
        with pytest.raises(MissingError, match="GGUF"):
            make_plan(folder, None, ["F32"], "x")
        return
    (record,) = publish(make_plan(folder, None, ["F32"], "x"), tmp_path)
    requests = [request(item, limit=24) for item in ITEMS]
    expected = list(backend.answer(requests))
    with GGUFBackend(tmp_path / record.file, chat=chat.load(folder)) as other:
        for answer, wanted in zip(other.answer(requests), expected, strict=True):
            assert (answer.token_ids, answer.prompt_tokens) == (wanted.token_ids, wanted.prompt_tokens)


def backend_architecture(folder: Path) -> str:
    return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"][0])


# --- one rendering, in training and in answering -------------------------------------------------------------------

# How the families speak, in our own words: who writes BOS, where the system message goes, what ends an answer.
_TURNS = "{{% for m in messages %}}{{{{ '{start}' + m.role + '{header}' + m.content + '{end}' }}}}{{% endfor %}}"
_NEXT = "{{% if add_generation_prompt %}}{{{{ '{start}assistant{header}{thought}' }}}}{{% endif %}}"


def turns(start: str, header: str, end: str, before: str = "", thought: str = "") -> str:
    parts = {"start": start, "header": header, "end": end, "thought": thought}
    return before + _TURNS.format(**parts) + _NEXT.format(**parts)


FOLDED = (  # the system message stands at the head of the first question
    "{{ bos_token }}{% set system = messages[0].content + '\n\n' if messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}"
    "{% if m.role == 'user' %}OPEN{{ (system if loop.first else '') + m.content | trim }}CLOSE"
    "{% else %}{{ m.content | trim }}END{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}NEXT{% endif %}"
)
SPOKEN: dict[str, tuple[str, str]] = {  # template, what ends an answer
    "TinyLlama": (turns("<|", "|>\n", "</s>\n"), "</s>"),
    "SmolLM2, Qwen2.5": (turns("<|im_start|>", "\n", "<|im_end|>\n"), "<|im_end|>"),
    "Qwen3": (turns("<|im_start|>", "\n", "<|im_end|>\n", thought=(
        "' + ('' if enable_thinking is not defined or enable_thinking else '<think>\n\n</think>\n\n') + '"
    )), "<|im_end|>"),
    "Llama 3": (turns("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", "{{ bos_token }}"), "<|eot_id|>"),
    "Phi": (turns("<|", "|>\n", "<|end|>\n"), "<|end|>"),
    "Mistral": (
        FOLDED.replace("OPEN", "[INST] ").replace("CLOSE", " [/INST]").replace("NEXT", "").replace("END", "</s>"),
        "</s>",
    ),
    "Gemma 3": (
        FOLDED.replace("OPEN", "<start_of_turn>user\n").replace("CLOSE", "<end_of_turn>\n<start_of_turn>model\n")
        .replace("NEXT", "").replace("END", "<end_of_turn>\n"), "<end_of_turn>",
    ),
}  # fmt: skip


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("name", SPOKEN)
def test_the_template_is_rendered_alike_in_training_and_answering(tmp_path: Path, name: str, adds_bos: bool) -> None:
    """Token by token: a training row is its prompt, the answer's own tokens and what ends it, with one BOS or none."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    template, end = SPOKEN[name]
    write_tokenizer(tmp_path, template=template)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.add_special_tokens([end])
    if adds_bos:
        tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    own = chat.load(tmp_path)
    asked, answer = (SYSTEM, question("days")), Message(role="assistant", content=answer_text("days"))
    prompt, row = own.prompt(asked), own.sample((*asked, answer))
    assert row.ids[: len(prompt)] == prompt and row.labels[: len(prompt)] == [IGNORE] * len(prompt)
    assert row.ids[-1] == row.labels[-1] == tokenizer.token_to_id(end) and row.ids[-1] in own.end_ids
    assert own.text(row.ids[len(prompt) :]) == answer.content
    assert prompt.count(1) == (1 if adds_bos or "bos_token" in template else 0) and row.ids.count(1) == prompt.count(1)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    rows = [message.model_dump() for message in asked]
    ids = theirs.apply_chat_template(rows, add_generation_prompt=True, return_dict=False, enable_thinking=False)
    assert ids == (prompt if "bos_token" in template else [i for i in prompt if i != 1])
    assert ("<think>" in own.tokenizer.decode(prompt)) == (name == "Qwen3"), "an empty thought: thinking is off"


# --- as far as all see all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(hub.FAMILIES.values()))
def test_a_silent_config_has_the_window_that_transformers_takes(family: str) -> None:
    from transformers import AutoConfig

    config = AutoConfig.for_model(family, max_position_embeddings=100_000)
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    slides = bool(window) and "sliding_attention" in kinds
    silent = {"model_type": family, "max_position_embeddings": 100_000}
    assert hub.context(silent) == (window if slides else 100_000)


@pytest.mark.parametrize(
    ("changes", "context"),
    [
        ({"model_type": "mistral", "sliding_window": 300}, 300),
        ({"model_type": "mistral", "sliding_window": None}, 1000),
        ({"model_type": "qwen2", "sliding_window": 300, "use_sliding_window": True}, 300),
        ({"model_type": "qwen2", "sliding_window": 300, "use_sliding_window": False}, 1000),
        ({"model_type": "phi3", "rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 400}, 400),
        ({"model_type": "phi3", "rope_parameters": {
            "rope_type": "longrope", "original_max_position_embeddings": 500}}, 500),
    ],
)  # fmt: skip
def test_the_context_ends_where_rows_would_no_longer_be_alike(changes: dict[str, Any], context: int) -> None:
    assert hub.context({"max_position_embeddings": 1000} | changes) == context


def test_at_the_end_of_its_window_a_model_is_still_itself(tmp_path: Path) -> None:
    """A window of 40 tokens: answers within it are transformers', longer ones are not begun."""
    write_tokenizer(tmp_path)
    write_model(tmp_path, family="mistral", sliding_window=40)
    backend = backends.load(settings(tmp_path))
    model = reference(tmp_path)
    for item in ITEMS:
        ids = backend.chat.prompt((SYSTEM, question(item)))  # type: ignore[attr-defined]
        limit = 40 - len(ids)
        if limit < 1:
            (refused,) = backend.answer([request(item, limit=8)])
            assert refused.finish == "error" and "40" in refused.error
            continue
        (answer,) = backend.answer([request(item, limit=limit)])
        with torch.inference_mode():
            out = model.generate(
                torch.tensor([ids]), max_new_tokens=limit, do_sample=False, eos_token_id=2, pad_token_id=2
            )
        assert list(answer.token_ids) == [i for i in out[0, len(ids) :].tolist() if i != 2][: answer.new_tokens]
        (beyond,) = backend.answer([request(item, limit=limit + 1)])
        assert beyond.finish == "error"


@pytest.mark.parametrize("key", ["attn_logit_softcapping", "final_logit_softcapping"])
def test_what_the_engine_would_leave_out_is_refused(tmp_path: Path, key: str) -> None:
    write_tokenizer(tmp_path)
    write_model(tmp_path, family="gemma3_text", **SHAPES["gemma3_text"])
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {key: 30.0}), encoding="utf-8")
    with pytest.raises(MissingError, match=key):
        hub.verify(tmp_path)
