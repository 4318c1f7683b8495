"""A job of the benchmarks as its users write it with TRL's SFTTrainer, PEFT and `generate`.

Run in a process of its own: `python benchmarks/peer_trl.py JOB OUT`. It knows the job file only (which samples to train
on, which questions to ask, plain or tuned) and uses kurabe for nothing but scoring the finished texts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple


class Habits(NamedTuple):
    """How this user works. What all of them have to do alike is in the job."""

    trainer: dict[str, Any]
    float32: bool  # hand the trainer float32 weights; else it reads them as they are stored, in bf16
    answer_batch: int = 8
    by_length: bool = False
    merge: bool = False
    one_pass: bool = False


_EXPERT = {"gradient_checkpointing": False, "dataloader_pin_memory": False}
HABITS = {
    # TRL as it comes: gradient checkpointing, bf16; answers eight at a time, in the order of the questions.
    "plain": Habits({}, float32=False),
    # What one who knows it well would set for a small model on this machine:
    # - no gradient checkpointing: memory is plentiful, and recomputing costs a third more;
    # - float32: at 5M parameters bf16 does not pay ("tuned-bf16" measures it);
    # - one forward pass per optimizer step instead of accumulation: the loss is a mean over the same positions;
    # - the adapter merged before answering, and 64 questions of like length at a time.
    # Our rate, answers only and no padding beyond a batch's longest row are in the job already. TRL's packing and
    # padding-free batches need FlashAttention, which a CPU does not have.
    "tuned": Habits(_EXPERT | {"bf16": False}, True, answer_batch=64, by_length=True, merge=True, one_pass=True),
    "tuned-bf16": Habits(_EXPERT | {"bf16": True}, False, answer_batch=64, by_length=True, merge=True, one_pass=True),
}


def train(job: dict[str, Any], trial: dict[str, Any]) -> tuple[Any, list[float], list[float]]:
    """One LoRA by SFTTrainer: the model with its adapter, and loss and gradient norm of each step."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer, habits = AutoTokenizer.from_pretrained(job["model"]), HABITS[job["peer"]]
    rows = [{"prompt": s[:-1], "completion": s[-1:]} for s in trial["samples"]]
    size, passes = trial["batch"], trial["accumulation"]
    if habits.one_pass:
        size, passes = size * passes, 1
    model = job["model"]
    if habits.float32:
        model = AutoModelForCausalLM.from_pretrained(job["model"], dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder, use_cpu=True, seed=trial["seed"], report_to="none", save_strategy="no",
            disable_tqdm=True, logging_steps=1, max_length=None, per_device_train_batch_size=size,
            gradient_accumulation_steps=passes, max_steps=trial["steps"], learning_rate=trial["rate"],
            warmup_steps=trial["warmup"], weight_decay=0.0, max_grad_norm=1.0,
            completion_only_loss=trial["loss_on"] == "answer", pad_to_multiple_of=trial["pad_to"],
            **trial["schedule"], **habits.trainer,
        )  # fmt: skip
        lora = LoraConfig(
            r=trial["rank"], lora_alpha=trial["alpha"], lora_dropout=trial["dropout"], target_modules="all-linear",
            task_type="CAUSAL_LM",
        )  # fmt: skip
        trainer = SFTTrainer(
            model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
            peft_config=lora, data_collator=_padding_counts(tokenizer, trial["pad_to"]) if trial["pad_to"] else None,
        )  # fmt: skip
        trainer.train()
        log = [entry for entry in trainer.state.log_history if "loss" in entry]
    return trainer.model, [e["loss"] for e in log], [e["grad_norm"] for e in log]


def _padding_counts(tokenizer: Any, width: int) -> Any:
    """Rows padded to one width with loss on every position, padding included: the old show's way, and part of the
    job. TRL's own collator leaves padding out of the loss."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    class Everything(DataCollatorForLanguageModeling):  # type: ignore[misc]  # trl is read without types
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            batch: dict[str, Any] = super().torch_call(examples)
            return batch | {"labels": batch["input_ids"].clone()}

    return Everything(pad_token_id=tokenizer.pad_token_id, pad_to_multiple_of=width)


def answer(model: Any, tokenizer: Any, requests: list[dict[str, Any]], size: int, by_length: bool) -> list[Any]:
    """Greedy answers by `generate`, `size` rows at a time, padded on the left."""
    import torch

    model.eval()
    prompts = tokenizer.apply_chat_template([r["messages"] for r in requests], add_generation_prompt=True)["input_ids"]
    order = list(range(len(requests)))
    if by_length:
        order.sort(key=lambda i: len(prompts[i]))
    end = model.generation_config.eos_token_id
    ends = set(end if isinstance(end, list) else [end])
    answers = []
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        batch = tokenizer.pad({"input_ids": [prompts[i] for i in rows]}, padding_side="left", return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(**batch, max_new_tokens=requests[rows[0]]["max_new_tokens"], do_sample=False)
        new = out[:, batch["input_ids"].shape[1] :].tolist()
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        for i, ids, text in zip(rows, new, texts, strict=True):
            stop = next((n + 1 for n, token in enumerate(ids) if token in ends), len(ids))
            answers.append({"key": requests[i]["key"], "text": text, "token_ids": ids[:stop]})
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
    from measuring import since_start

    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    import datasets  # noqa: F401  (imported here so that its time is counted as import)
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(job["threads"])
    habits = HABITS[job["peer"]]
    seconds = {"import": since_start(), "load": 0.0, "train": 0.0, "answer": 0.0}

    def timed(part: str, began: float) -> None:
        seconds[part] += time.monotonic() - began

    def ask(model: Any, trial: int) -> list[dict[str, Any]]:
        mine = [request for request in job["requests"] if request["key"]["trial"] == trial]
        began = time.monotonic()
        answered = answer(model, tokenizer, mine, habits.answer_batch, habits.by_length) if mine else []
        timed("answer", began)
        return answered

    began = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    timed("load", began)
    answers = ask(base, 0)
    losses, norms = {}, {}
    for trial in job["trials"]:
        began = time.monotonic()
        tuned, losses[trial["trial"]], norms[trial["trial"]] = train(job, trial)
        timed("train", began)
        tuned = tuned.float()
        tuned = tuned.merge_and_unload() if habits.merge else tuned
        answers += ask(tuned, trial["trial"])
    recall = score(job, answers)
    seconds["total"] = since_start()
    result = {"seconds": seconds, "losses": losses, "grad_norms": norms, "recall": recall, "answers": answers}
    Path(out_path).write_text(json.dumps(result), encoding="utf-8")


def run(job: dict[str, Any], folder: Path, script: str | Path = __file__) -> dict[str, Any]:
    """Do a job in a new process; what it wrote."""
    job_path, out, log = folder / "job.json", folder / "out.json", folder / "peer.log"
    job_path.write_text(json.dumps(job), encoding="utf-8")
    with log.open("w", encoding="utf-8") as stream:
        command = [sys.executable, str(script), str(job_path), str(out)]
        done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.exit(log.read_text(encoding="utf-8")[-4000:])
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
