"""The way to Ollama, step 1: the adapter merged into its base. W + B A, summed in float32, rounded once."""

from kurabe import ship
from kurabe.workshop import told

if __name__ == "__main__":
    with told():
        (weights,) = ship("finetuned_tinyllama_demo", "model", ["safetensors"], arm="lora")
        print(f"{weights}: {weights.stat().st_size / 1e6:,.1f} MB, for transformers, vLLM and the next step")
