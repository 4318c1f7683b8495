"""Scripted stand-ins for the programs that the show types and a test machine lacks: `ollama`, `llama-quantize`.

    python tests/show_programs.py ollama list|create|run|rm ...
    python tests/show_programs.py llama-quantize IN.gguf OUT.gguf TYPE

Each says that it is a stand-in. `ollama create` reads the Modelfile as Ollama's own reader would and refuses one that
names no GGUF file; `ollama run` answers from that Modelfile by llama.cpp. Models are remembered in $SHOW_MODELS.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from kurabe.cli import main
from kurabe.export.dialogue import from_modelfile

SAID = "(a scripted stand-in for {}, which is not installed here)"


def ollama(words: list[str]) -> None:
    store = Path(os.environ["SHOW_MODELS"])
    models = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    match words:
        case ["list"]:
            print("NAME", *models, sep="\n")
            return
        case ["create", name, "-f", file]:
            from_modelfile(Path(file))  # raises what Ollama would refuse
            models[name] = str(Path(file).resolve())
            print("success")
        case ["run", name, question]:
            main(["chat", "-f", models[name], question])
        case ["rm", name]:
            del models[name]
            print(f"deleted '{name}'")
        case _:
            raise SystemExit(f"the stand-in does not know: ollama {words}")
    store.write_text(json.dumps(models), encoding="utf-8")


def quantize(words: list[str]) -> None:
    source, target, kind = words
    main(["ship", "--from-gguf", source, "--formats", kind, "--out", target])


PROGRAMS = {"ollama": ollama, "llama-quantize": quantize}


def install(folder: Path) -> list[str]:
    """Put a stand-in on the path for each program that is absent; their names."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    for name in absent:
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    return absent


if __name__ == "__main__":
    print(SAID.format(sys.argv[1]))
    PROGRAMS[sys.argv[1]](sys.argv[2:])
