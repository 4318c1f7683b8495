"""`python -m studies`: every study one after the other, what is not stored of it yet, and then its page; how long each
took, of its own record, last.

Knows no study: each is a folder with a command of its own, which takes `--page`. With `--afresh` stored results are set
aside first, so that everything is measured again; killed, it goes on without that flag. `--minutes` prints the record.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from studies import minutes

HERE = Path(__file__).resolve().parent


def names() -> list[str]:
    """The studies: folders with a command."""
    return sorted(path.parent.name for path in HERE.glob("*/__main__.py"))


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code of the first study that fails; those after it are not begun."""
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__)
    parser.add_argument("--afresh", action="store_true", help="set stored results aside and measure everything again")
    parser.add_argument("--pages", action="store_true", help="write the pages of what is stored, measure nothing")
    parser.add_argument("--minutes", action="store_true", help="print how long each study took, do nothing else")
    options = parser.parse_args(arguments)
    if options.minutes:
        print(record())
        return 0
    if options.afresh and not options.pages:
        for name in names():
            set_aside(HERE / name / "results.jsonl")
    for name in names():
        print(f"{name}:", flush=True)
        for words in [["--page"]] if options.pages else [[], ["--page"]]:
            code = subprocess.run([sys.executable, "-m", f"studies.{name}", *words], check=False).returncode
            if code:
                return code
    print(record())
    return 0


def record() -> str:
    """How long each study took."""
    return minutes.table(minutes.took(name, HERE / name / "results.jsonl") for name in names())


def set_aside(path: Path) -> None:
    """Keep a results file under another name; the one before it is replaced."""
    if path.exists():
        path.replace(path.with_suffix(".before"))


if __name__ == "__main__":
    sys.exit(main())
