"""The usual first step on the way to a GGUF: load the base in bf16, PEFT's `merge_and_unload`, save.

Called by `ship.py` with three folders: base, adapter, where the merged model goes.
"""

from __future__ import annotations

import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

base, adapter, out = sys.argv[1:4]
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(out)
