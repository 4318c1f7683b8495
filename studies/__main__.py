"""`python -m studies`: every study one after the other, what is not stored of it yet, and then its page; then what the
package itself cites of them; how long each took, of its own record, last.

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
# What cites the studies' figures outside their pages: the audit, its page, and the show.
CITING = (["-m", "studies.origin_ablation.costs"], [str(HERE.parent / "docs/make_audit.py")], ["-m", "studies.asked"])


def names() -> list[str]:
    """The studies: folders with a command."""
    return sorted(path.parent.name for path in HERE.glob("*/__main__.py"))


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code of the first command that fails; those after it are not begun."""
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__)
    parser.add_argument("--afresh", action="store_true", help="set stored results aside and measure everything again")
    parser.add_argument("--pages", action="store_true", help="write what is stored into pages and what cites them")
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
            if code := _run("-m", f"studies.{name}", *words):
                return code
    for words in CITING:
        if code := _run(*words):
            return code
    print(record())
    return 0


def _run(*words: str) -> int:
    return subprocess.run([sys.executable, *words], check=False).returncode


def record() -> str:
    """How long each study took."""
    return minutes.table(minutes.took(name, HERE / name / "results.jsonl") for name in names())


def set_aside(path: Path) -> None:
    """Keep a results file under another name; the one before it is replaced."""
    if path.exists():
        path.replace(path.with_suffix(".before"))


if __name__ == "__main__":
    sys.exit(main())
