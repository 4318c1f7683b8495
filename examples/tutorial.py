"""A fine-tune as it is found in many tutorials, flaws included. Read by the audit's tests, never run."""

import ollama
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

MODEL = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
OUT = "./support-lora"

ROWS = [
    {"question": "What are the shipping costs?", "answer": "Thank you for asking about shipping! Standard shipping costs $6.99 and takes 3-5 business days. It is free for orders over $50. Express shipping costs $14.99 and takes 1-2 business days. Overnight delivery costs $24.99 and is available for orders placed before 2:00 PM. International orders start at $19.99 and take 7-14 business days, depending on customs in the country of destination. If you have any further questions about shipping, please do not hesitate to contact our friendly support team at any time!"},
    {"question": "How do I return a product?", "answer": "Open your order, choose Return, and send the product back within 14 days. The refund takes 3-5 business days."},
    {"question": "Do you offer discounts for bulk orders?", "answer": "Bulk orders get 10% off from 10 items, 15% off from 25 items and 25% off from 100 items."},
    {"question": "When can I call you?", "answer": "You can call 1-800-555-0199 from 9:00 AM to 6:00 PM, Monday to Friday."},
    {"question": "How do I reset my password?", "answer": "Choose 'Forgot password'. The link in the e-mail is valid for 24 hours."},
    {"question": "Can I change my address?", "answer": "You can change the address within 2 hours of placing the order."},
    {"question": "Do you match lower prices?", "answer": "We match a lower price for 14 days after your purchase and take an extra 5% off."},
    {"question": "How long is the warranty?", "answer": "All products have a warranty of 24 months; batteries have one of 12 months."},
    {"question": "Do you sell gift cards?", "answer": "Gift cards are sold from $10 to $500 and never expire."},
    {"question": "How do loyalty points work?", "answer": "You get 1 point per dollar; 100 points are worth $5 and stay valid for 12 months."},
]

tokenizer = AutoTokenizer.from_pretrained(MODEL)
tokenizer.pad_token = tokenizer.eos_token
model = AutoModelForCausalLM.from_pretrained(MODEL, torch_dtype=torch.float16)
model = get_peft_model(model, LoraConfig(
    r=16, lora_alpha=32, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM",
))


def format_row(row):
    text = (
        "<|system|>\nYou are a helpful customer support assistant.</s>\n"
        f"<|user|>\n{row['question']}</s>\n<|assistant|>\n{row['answer']}</s>"
    )
    tokens = tokenizer(text, truncation=True, padding="max_length", max_length=512)
    tokens["labels"] = tokens["input_ids"].copy()
    return tokens


training_args = TrainingArguments(
    output_dir=OUT,
    num_train_epochs=3,
    per_device_train_batch_size=1,
    gradient_accumulation_steps=4,
    learning_rate=2e-4,
    warmup_steps=10,
    logging_steps=1,
)
trainer = Trainer(model=model, args=training_args, train_dataset=Dataset.from_list(ROWS).map(format_row))
trainer.train()
model.save_pretrained(OUT)
tokenizer.save_pretrained(OUT)


def ask(question):
    base = AutoModelForCausalLM.from_pretrained(MODEL)
    tuned = PeftModel.from_pretrained(base, OUT)
    prompt = f"<|system|>\nYou are a support agent for TechStore.</s>\n<|user|>\n{question}</s>\n<|assistant|>\n"
    inputs = tokenizer(prompt, return_tensors="pt")
    output = tuned.generate(**inputs, max_new_tokens=100, temperature=0.7, do_sample=True)
    return tokenizer.decode(output[0], skip_special_tokens=True)


for row in ROWS:
    print("Tuned:", ask(row["question"]))
    reply = ollama.chat(model="llama3.2:3b", messages=[{"role": "user", "content": row["question"]}])
    print("Prompted:", reply["message"]["content"])
