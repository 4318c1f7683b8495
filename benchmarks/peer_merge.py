"""The usual first step on the way to a GGUF: load the base in bf16, PEFT's `merge_and_unload`, save.

Called by `ship.py` with three folders: base, adapter, where the merged model goes.
"""

from __future__ import annotations

import sys


def main(base: str, adapter: str, out: str) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(out)


if __name__ == "__main__":
    main(*sys.argv[1:4])
