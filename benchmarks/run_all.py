"""All benchmarks one after another, then one table of what they came to. `make bench`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Outcome, hardware, table

HERE = Path(__file__).resolve().parent
SCRIPTS = ("time_to_verdict.py", "answers.py", "trials.py", "one_lora.py", "ship.py")


def main(options: list[str]) -> None:
    """`options` (--rounds, --threads) go to every script."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.jsonl"
        for script in SCRIPTS:
            print(f"\n== {script}", flush=True)
            command = [sys.executable, str(HERE / script), "--outcomes", str(path), *options]
            if subprocess.run(command, check=False).returncode:
                failed.append(script)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    print("\n" + hardware(os.cpu_count() or 1) + "\n")
    print(table(Outcome(**json.loads(line)) for line in lines))
    if failed:
        sys.exit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main(sys.argv[1:])
