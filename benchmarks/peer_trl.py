"""The experiment of `time_to_verdict.py` as a plain user writes it: TRL's SFTTrainer, PEFT, and `generate`.

Run by `time_to_verdict.py` in a process of its own: `python benchmarks/peer_trl.py JOB OUT`. It knows the job file only
(which samples to train on, which questions to ask) and uses kurabe for nothing but scoring the finished texts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

START = time.monotonic()
ANSWER_BATCH = 8


def train(job: dict[str, Any], trial: dict[str, Any]) -> tuple[Any, list[float], list[float]]:
    """One LoRA by SFTTrainer: the model with its adapter, and loss and gradient norm of each step."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    rows = [{"prompt": s[:-1], "completion": s[-1:]} for s in trial["samples"]]
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder, use_cpu=True, seed=trial["seed"], report_to="none", save_strategy="no",
            disable_tqdm=True, logging_steps=1, max_length=None,
            per_device_train_batch_size=trial["batch"], gradient_accumulation_steps=trial["accumulation"],
            max_steps=trial["steps"], learning_rate=trial["rate"], lr_scheduler_type=trial["scheduler"],
            warmup_steps=trial["warmup"], weight_decay=0.0, max_grad_norm=1.0,
            completion_only_loss=trial["completion_only"], pad_to_multiple_of=trial["pad_to"], **job["trl"],
        )  # fmt: skip
        lora = LoraConfig(
            r=trial["rank"], lora_alpha=trial["alpha"], lora_dropout=trial["dropout"], target_modules="all-linear",
            task_type="CAUSAL_LM",
        )  # fmt: skip
        trainer = SFTTrainer(
            model=job["model"], args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
            peft_config=lora,
        )  # fmt: skip
        trainer.train()
        log = [entry for entry in trainer.state.log_history if "loss" in entry]
    return trainer.model, [e["loss"] for e in log], [e["grad_norm"] for e in log]


def answer(model: Any, tokenizer: Any, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Greedy answers by `generate`, padded on the left, eight rows at a time, in the order of the questions."""
    import torch

    model.eval().float()
    answers = []
    for start in range(0, len(requests), ANSWER_BATCH):
        rows = requests[start : start + ANSWER_BATCH]
        batch = tokenizer.apply_chat_template(
            [row["messages"] for row in rows], add_generation_prompt=True, padding=True, return_tensors="pt",
            return_dict=True,
        )  # fmt: skip
        with torch.inference_mode():
            out = model.generate(**batch, max_new_tokens=rows[0]["max_new_tokens"], do_sample=False)
        texts = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        answers += [{"key": row["key"], "text": text} for row, text in zip(rows, texts, strict=True)]
    return answers


def score(job: dict[str, Any], answers: list[dict[str, Any]]) -> dict[str, float]:
    """Share of expected values that came out right on held-out wordings, per arm and trial."""
    from kurabe.schema import Answer, Question
    from kurabe.scoring import score as score_answer

    questions = {q["id"]: Question.model_validate(q) for q in job["questions"]}
    right: dict[str, list[bool]] = {}
    for row in answers:
        if row["key"]["probe"] != "held_out":
            continue
        scored = score_answer(Answer.model_validate(row), questions[row["key"]["question"]])
        label = f"{row['key']['arm']}/{row['key']['trial']}"
        right.setdefault(label, []).extend(outcome.status == "right" for outcome in scored.outcomes)
    return {label: sum(values) / len(values) for label, values in right.items()}


def main(job_path: str, out_path: str) -> None:
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    import datasets  # noqa: F401  (imported here so that its time is counted as import)
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(job["threads"])
    seconds = {"import": time.monotonic() - START, "load": 0.0, "train": 0.0, "answer": 0.0}

    def timed(part: str, began: float) -> None:
        seconds[part] += time.monotonic() - began

    began = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(job["model"], padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    timed("load", began)
    began = time.monotonic()
    answers = answer(model, tokenizer, [r for r in job["requests"] if r["key"]["trial"] == 0])
    timed("answer", began)
    losses, norms = {}, {}
    for trial in job["trials"]:
        began = time.monotonic()
        tuned, losses[trial["recipe"]], norms[trial["recipe"]] = train(job, trial)
        timed("train", began)
        began = time.monotonic()
        answers += answer(tuned, tokenizer, [r for r in job["requests"] if r["key"]["trial"] == trial["trial"]])
        timed("answer", began)
    recall = score(job, answers)
    seconds["total"] = time.monotonic() - START
    result = {"seconds": seconds, "losses": losses, "grad_norms": norms, "recall": recall, "answers": answers}
    Path(out_path).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
