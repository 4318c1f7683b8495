"""Names, order and kinds of tensors; the reference's own answers for whole files stand in test_stream.py."""

import pytest

from kurabe.errors import MissingError
from kurabe.export.layout import FORMATS, ROPE, Shape, gguf_name, kinds, order, permuted_heads


def test_names_of_a_dense_llama_and_of_what_is_none() -> None:
    assert gguf_name("model.layers.12.self_attn.q_proj.weight") == "blk.12.attn_q.weight"
    assert gguf_name("model.layers.0.self_attn.k_proj.bias") == "blk.0.attn_k.bias"
    assert gguf_name("lm_head.weight") == "output.weight"
    for strange in ("model.layers.0.mlp.experts.3.up_proj.weight", "score.weight", "model.layers.0.mlp.up_proj.scale"):
        with pytest.raises(MissingError, match="does not know"):
            gguf_name(strange)


def test_the_quantiser_sorts_layers_by_number_and_the_converter_by_name() -> None:
    names = {f"model.layers.{i}.mlp.up_proj.weight": f"blk.{i}.ffn_up.weight" for i in (10, 2)}
    names |= {ROPE: ROPE, "model.norm.weight": "output_norm.weight"}
    assert [names[name] for name in order(names, "Q4_K_M")] == [
        "output_norm.weight", ROPE, "blk.2.ffn_up.weight", "blk.10.ffn_up.weight",
    ]  # fmt: skip
    assert [names[name] for name in order(names, "F16")] == [
        ROPE, "blk.10.ffn_up.weight", "blk.2.ffn_up.weight", "output_norm.weight",
    ]  # fmt: skip


def test_a_tied_embedding_is_stored_as_the_output() -> None:
    sizes = {"token_embd.weight": (1000, 256), "blk.0.ffn_up.weight": (256, 256)}
    assert kinds(sizes, "Q4_K_M", Shape(4, 4, 4, tied=True))["token_embd.weight"] == "Q6_K"
    assert kinds(sizes, "Q4_K_M", Shape(4, 4, 4, tied=False))["token_embd.weight"] == "Q4_K"


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("columns", [256, 320, 48, 7])
def test_every_row_fits_the_blocks_it_is_stored_in(format_name: str, columns: int) -> None:
    from kurabe.export.quants import BLOCKS

    names = [f"blk.{i}.{part}.weight" for i in range(9) for part in ("attn_v", "ffn_down", "attn_output", "attn_q")]
    sizes = dict.fromkeys([*names, "output.weight", "token_embd.weight"], (64, columns))
    for name, kind in kinds(sizes, format_name, Shape(9, 4, 2, tied=False)).items():
        assert columns % BLOCKS[kind][0] == 0, (name, kind)


def test_80_layers_with_grouped_keys_are_the_70b() -> None:
    v = {f"blk.{i}.attn_v.weight": (64, 256) for i in range(80)}
    assert set(kinds(v, "Q4_K_S", Shape(80, 64, 8, tied=False)).values()) == {"Q5_K"}
    assert "Q4_K" in kinds(v, "Q4_K_S", Shape(80, 64, 64, tied=False)).values()


def test_only_llama_permutes_and_only_queries_and_keys() -> None:
    shape = Shape(2, 8, 2, tied=False)
    assert permuted_heads("blk.0.attn_q.weight", shape, "llama") == 8
    assert permuted_heads("blk.0.attn_k.weight", shape, "llama") == 2
    assert permuted_heads("blk.0.attn_v.weight", shape, "llama") == 0
    assert permuted_heads("blk.0.attn_q.weight", shape, "qwen2") == 0
