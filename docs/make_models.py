"""Writes docs/models.md and docs/models.ja.md: parameters and memory of models that people use, computed from their
shapes. `python docs/make_models.py`.

Knows no weights and no network: each model is built from its published shape on torch's `meta` device, which stores no
number, and is counted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

from kurabe import texts

RANK = 16
PAGES = {"en": Path(__file__).with_name("models.md"), "ja": Path(__file__).with_name("models.ja.md")}


class Shape(NamedTuple):
    """A model's name on the hub and the numbers of its config.json that decide its size."""

    name: str
    family: str
    hidden: int
    layers: int
    heads: int
    groups: int  # key and value heads
    inner: int
    vocabulary: int
    tied: bool
    more: tuple[tuple[str, Any], ...] = ()


SHAPES = (
    Shape("HuggingFaceTB/SmolLM2-135M-Instruct", "llama", 576, 30, 9, 3, 1536, 49152, True),
    Shape("HuggingFaceTB/SmolLM2-360M-Instruct", "llama", 960, 32, 15, 5, 2560, 49152, True),
    Shape("Qwen/Qwen2.5-0.5B-Instruct", "qwen2", 896, 24, 14, 2, 4864, 151936, True),
    Shape("Qwen/Qwen3-0.6B", "qwen3", 1024, 28, 16, 8, 3072, 151936, True, (("head_dim", 128),)),
    Shape("google/gemma-3-1b-it", "gemma3_text", 1152, 26, 4, 1, 6912, 262144, True, (("head_dim", 256),)),
    Shape("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "llama", 2048, 22, 32, 4, 5632, 32000, False),
    Shape("meta-llama/Llama-3.2-1B-Instruct", "llama", 2048, 16, 32, 8, 8192, 128256, True),
    Shape("Qwen/Qwen2.5-1.5B-Instruct", "qwen2", 1536, 28, 12, 2, 8960, 151936, True),
    Shape("HuggingFaceTB/SmolLM2-1.7B-Instruct", "llama", 2048, 24, 32, 32, 8192, 49152, True),
    Shape("Qwen/Qwen3-1.7B", "qwen3", 2048, 28, 16, 8, 6144, 151936, True, (("head_dim", 128),)),
    Shape("Qwen/Qwen2.5-3B-Instruct", "qwen2", 2048, 36, 16, 2, 11008, 151936, True),
    Shape("meta-llama/Llama-3.2-3B-Instruct", "llama", 3072, 28, 24, 8, 8192, 128256, True),
    Shape("microsoft/Phi-4-mini-instruct", "phi3", 3072, 32, 24, 8, 8192, 200064, True, (("pad_token_id", None),)),
    Shape("Qwen/Qwen3-4B", "qwen3", 2560, 36, 32, 8, 9728, 151936, True, (("head_dim", 128),)),
    Shape("mistralai/Mistral-7B-Instruct-v0.3", "mistral", 4096, 32, 32, 8, 14336, 32768, False),
    Shape("Qwen/Qwen2.5-7B-Instruct", "qwen2", 3584, 28, 28, 4, 18944, 152064, False),
)


class Counted(NamedTuple):
    """Numbers of one model: all of them, those in the layers' linear modules, and a LoRA's on all of these."""

    parameters: int
    linears: int
    adapter: int


def counted(shape: Shape) -> Counted:
    """The model of this shape, built without memory and counted; tied weights once."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        shape.family, hidden_size=shape.hidden, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.groups, intermediate_size=shape.inner, vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied, **dict(shape.more),
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    layers = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and ".layers." in n]
    return Counted(
        sum(parameter.numel() for parameter in model.parameters()),
        sum(layer.weight.numel() for layer in layers),
        sum(RANK * (layer.in_features + layer.out_features) for layer in layers),
    )


def page(language: str) -> str:
    """The page in one language."""
    rows = [
        f"| `{shape.name}` | {texts.count(c.parameters)} | {texts.size(4 * c.parameters)} | "
        f"{texts.size(4 * c.parameters - 2 * c.linears)} | {texts.size(2 * c.parameters)} | "
        f"{texts.size(4 * c.adapter)} |"
        for shape in SHAPES
        for c in [counted(shape)]
    ]
    return WORDS[language].format(rank=RANK, rows="\n".join(rows))


WORDS = {
    "en": """# Models

Written by `python docs/make_models.py`. Every figure on this page is **computed** from the published shape of the model;
none was measured. What a run of yours takes on your machine is measured by `kurabe run FILE --model NAME --dry-run`.

| model | parameters | weights, float32 | weights, layers in bfloat16 | download | LoRA of rank {rank} |
|---|---:|---:|---:|---:|---:|
{rows}

- **weights, float32**: memory for the frozen weights alone, as `kurabe models list` and the check before loading count
  them. Training and answering come on top.
- **weights, layers in bfloat16**: the same with the linear modules of the layers in two bytes per number.
- **download**: the weight files where they are published in bfloat16, as most are; `kurabe models pull NAME` says the
  true size before it asks.
- **LoRA**: the adapter as it is stored, in float32, on every linear module of the layers.

Llama 3.2, Gemma 3 and others are *gated*: their page on the hub has to be agreed to once, and `hf auth login` says who
asks. `kurabe models pull` says so where it is needed. Gemma 3 from 4B on is published as a model that sees pictures
(`Gemma3ForConditionalGeneration`); kurabe takes the text-only `Gemma3ForCausalLM` and refuses the others by name.
""",
    "ja": """# モデル

`python docs/make_models.py` が書き出したページです。数値はすべて、公開されているモデルの形からの**計算値**で、実測値はありません。
手元のマシンでの実行に要る分は、`kurabe run FILE --model NAME --dry-run` が測ります。

| モデル | パラメーター数 | 重み（float32） | 重み（層は bfloat16） | ダウンロード | ランク {rank} の LoRA |
|---|---:|---:|---:|---:|---:|
{rows}

- **重み（float32）**: 固定した重みだけに要るメモリ。`kurabe models list` と読み込み前の確認はこの値を使います。学習と回答の分が加わります。
- **重み（層は bfloat16）**: 層の線形モジュールを1個あたり2バイトにした場合です。
- **ダウンロード**: 多くのモデルのように bfloat16 で公開されている場合の、重みファイルの大きさです。正確な大きさは、
  `kurabe models pull NAME` が確認の前に示します。
- **LoRA**: 層のすべての線形モジュールに付けたアダプターを、float32 で保存した大きさです。

Llama 3.2 や Gemma 3 などは*ゲート付き*です。ハブのページで一度同意し、`hf auth login` でログインする必要があります。必要なときは
`kurabe models pull` がそう伝えます。Gemma 3 の 4B 以上は画像も扱うモデル（`Gemma3ForConditionalGeneration`）として公開されています。
kurabe が使うのはテキストだけの `Gemma3ForCausalLM` で、ほかは名前を挙げて断ります。
""",
}


if __name__ == "__main__":
    for language, path in PAGES.items():
        path.write_text(page(language), encoding="utf-8")
        sys.stdout.write(f"{path}\n")
