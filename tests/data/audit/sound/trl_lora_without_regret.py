"""Settings of https://huggingface.co/docs/trl/lora_without_regret, "Supervised Fine-Tuning" (read at 01892a2)."""

from datasets import load_dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

dataset = load_dataset("open-thoughts/OpenThoughts-114k", split="train")
peft_config = LoraConfig(r=256, lora_alpha=16, target_modules="all-linear")
training_args = SFTConfig(
    learning_rate=2e-4,
    per_device_train_batch_size=1,
    gradient_accumulation_steps=4,
    num_train_epochs=1,
    report_to=["trackio"],
)
trainer = SFTTrainer(
    model="Qwen/Qwen2.5-3B-Instruct", train_dataset=dataset, peft_config=peft_config, args=training_args
)
trainer.train()
