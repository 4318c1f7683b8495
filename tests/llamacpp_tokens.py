"""Token ids of texts by llama.cpp itself, from a GGUF file that holds given metadata and weights of no meaning.

Run as a program it is the child process: a failed assertion in llama.cpp ends the process, and that must not be pytest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kurabe.export.fields import Field

SHAPE = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1,
         "num_key_value_heads": 1, "max_position_embeddings": 512, "rms_norm_eps": 1e-5}  # fmt: skip


def write_gguf(path: Path, fields: Sequence[Field], vocabulary: int) -> None:
    """A Llama of one block of SHAPE, all weights 0, with the fields `tokenizer.*`."""
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    hidden, between = SHAPE["hidden_size"], SHAPE["intermediate_size"]
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(between)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    add = {"u32": writer.add_uint32, "bool": writer.add_bool, "str": writer.add_string}
    for field in fields:
        add.get(field.kind, writer.add_array)(field.key, field.value)
    shapes = {"token_embd": (vocabulary, hidden), "output_norm": (hidden,), "blk.0.attn_norm": (hidden,),
              "blk.0.ffn_norm": (hidden,), "blk.0.ffn_up": (between, hidden), "blk.0.ffn_gate": (between, hidden),
              "blk.0.ffn_down": (hidden, between)}  # fmt: skip
    shapes |= {f"blk.0.attn_{part}": (hidden, hidden) for part in ("q", "k", "v", "output")}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.zeros(shape, dtype=np.float32 if len(shape) == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def token_ids(path: Path, texts: Sequence[str], *, add_special: bool = False) -> list[list[int]]:
    """Ids of each text; special tokens written in a text are recognised. `add_special` puts BOS and EOS as told."""
    request = {"model": str(path), "texts": list(texts), "add_special": add_special}
    command = [sys.executable, __file__]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [[int(id_) for id_ in ids] for ids in json.loads(done.stdout.splitlines()[-1])]


def _serve(request: dict[str, Any]) -> list[list[int]]:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = request["model"]
    parameters.n_ctx, parameters.n_parallel, parameters.port, parameters.warmup = 512, 1, 0, False
    parameters.cpuparams.n_threads = 1
    server = xllamacpp.Server(parameters)
    ids = []
    for text in request["texts"]:
        body = json.dumps({"content": text, "add_special": request["add_special"], "parse_special": True}).encode()
        call = urllib.request.Request(
            f"{server.listening_address}/tokenize", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(call, timeout=30) as answer:
            ids.append(json.load(answer)["tokens"])
    return ids


if __name__ == "__main__":
    print(json.dumps(_serve(json.load(sys.stdin))))
