"""Questions about fine-tuning answered by measurement, one folder and one command each."""
