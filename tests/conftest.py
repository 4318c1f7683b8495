"""What several test files share: a random tiny Llama in a folder, as a user would hand it to kurabe; a browser."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kurabe
from kurabe import tuned

if "PYTEST_XDIST_WORKER" in os.environ:  # one worker per core: more threads would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
ZEPHYR = (Path(kurabe.__file__).parent / "tiny" / "chat_template.jinja").read_text(encoding="utf-8")

_CORPUS = (
    "You are a helpful support assistant. What are the shipping costs? Standard shipping costs $6.99 and takes "
    "3-5 business days. How do I return a product? You can return it within 14 days; the refund takes 3-5 business "
    "days. Answer from these facts. If the answer is not there, say that you don't have it. "
    "あなたは親切なサポート担当です。送料はいくらですか。通常の送料は500円です。14日以内に返品できます。"
)


def write_tokenizer(folder: Path, vocabulary: int = 600, template: str = ZEPHYR) -> None:
    """A byte-level BPE tokenizer that splits digits singly, with the Zephyr template, trained on a few sentences."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_CORPUS] * 4, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "model_max_length": 4096}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def write_model(folder: Path, *, family: str = "llama", seed: int = 0, **changes: object) -> None:
    """A random model, small enough for a test and wild enough that greedy answers differ from prompt to prompt."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoModelForCausalLM

    shape: dict[str, object] = {
        "vocab_size": Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size(),
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 2048, "tie_word_embeddings": False,
        "initializer_range": 0.25, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **(shape | changes)))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # they start at zero, where nobody would miss them
                parameter.data.normal_(0, 0.25)
    model.save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model folder: random weights (hidden 64, two layers), tokenizer, Zephyr template."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tokenizer(folder)
    write_model(folder)
    return folder


@pytest.fixture(autouse=True)
def _no_rates(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user of this machine has tuned decides no test."""
    folder = tmp_path_factory.getbasetemp() / f"rates-{uuid.uuid4().hex}"
    monkeypatch.setattr(tuned, "place", lambda: folder)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that passes only where somebody sleeps."""
    now = 1000.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, headless; the tests that need it are skipped, with the reason, where it is absent."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()
