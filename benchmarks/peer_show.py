"""The old show's own training loop: PEFT on a float32 model, rows padded to 512, one row at a time, four to a step.

Run in a process of its own: `python benchmarks/peer_show.py JOB OUT`. Loss on every position, padding included; AdamW,
linear schedule under a warm-up of ten steps, clip at 1; no kurabe in it. It knows the job file only.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def train(job: dict[str, Any], model: Any) -> list[dict[str, float]]:
    """Loss, gradient norm and seconds of each optimizer step."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=job["rate"], weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, job["warmup"], job["whole_steps"])
    model.train()
    done = []
    for rows in job["steps"]:
        began, total = time.monotonic(), 0.0
        for ids in rows:
            padding = job["pad_to"] - len(ids)
            batch = torch.tensor([ids + [job["pad_id"]] * padding])
            seen = torch.tensor([[1] * len(ids) + [0] * padding])
            loss = model(input_ids=batch, attention_mask=seen, labels=batch).loss / len(rows)
            loss.backward()
            total += loss.item()
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, 1.0))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        done.append({"loss": total, "grad_norm": norm, "seconds": time.monotonic() - began})
    return done


def main(job_path: str, out_path: str) -> None:
    from measuring import since_start

    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    seconds = {"import": since_start()}
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    lora = LoraConfig(
        r=job["rank"], lora_alpha=job["alpha"], lora_dropout=job["dropout"], target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip
    model = get_peft_model(model, lora)
    seconds["load"] = since_start() - seconds["import"]
    done = train(job, model)
    seconds["train"] = sum(step["seconds"] for step in done)
    Path(out_path).write_text(json.dumps({"seconds": seconds, "steps": done}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
