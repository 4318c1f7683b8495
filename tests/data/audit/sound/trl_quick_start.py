"""Settings of https://huggingface.co/docs/trl/sft_trainer, "Quick start" (read at 0033c92)."""

from datasets import load_dataset
from trl import SFTTrainer

trainer = SFTTrainer(model="Qwen/Qwen3-0.6B", train_dataset=load_dataset("trl-lib/Capybara", split="train"))
trainer.train()
