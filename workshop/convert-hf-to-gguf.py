"""The way to Ollama, step 2: a model folder as one GGUF file.

python convert-hf-to-gguf.py model --outfile model.gguf
"""

import argparse
from pathlib import Path

from kurabe import ship
from kurabe.workshop import told

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder with config.json, weights and tokenizer")
    parser.add_argument("--outfile", type=Path, required=True, help="the GGUF file to write")
    parser.add_argument("--outtype", choices=["f32", "f16", "bf16", "q8_0"], default="f16")
    options = parser.parse_args()
    with told():
        (file,) = ship(options.model, options.outfile, [options.outtype.upper()])
        print(f"{file}: {file.stat().st_size / 1e6:,.1f} MB, {options.outtype}")
