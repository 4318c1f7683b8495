"""What is said about fine-tuning ("10 samples teach nothing", "100+ are needed") as measured sentences."""
