"""`python -m studies.distil`: measure what is not stored yet; with `--page`, write the page of it.

Knows no trial and no figure.
"""

from __future__ import annotations

import sys
from pathlib import Path

from studies import command, distil
from studies.distil import measure, page, results


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    return command.main(
        command.Command(results.COMMAND, distil.__doc__ or "", results.FILE, page.DOCS, measure.run, _write), arguments
    )


def _write(file: Path, folder: Path) -> list[Path]:
    return page.write(results.read(file), folder)


if __name__ == "__main__":
    sys.exit(main())
