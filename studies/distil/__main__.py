"""`python -m studies.distil`: measure what is not stored yet; with `--page`, write the page of it.

Knows no trial and no figure.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kurabe import backends
from kurabe.errors import EXIT_INTERRUPTED, UserError
from kurabe.settings import RunSettings
from studies import distil
from studies.distil import measure, page, results


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code; users' errors are printed here, once."""
    parser = argparse.ArgumentParser(prog=results.COMMAND, description=distil.__doc__)
    parser.add_argument("--page", action="store_true", help="write the page in both languages from the stored runs")
    parser.add_argument("--results", type=Path, default=results.FILE, help="the file that the runs are stored in")
    parser.add_argument("--docs", type=Path, default=page.DOCS, help="the folder that the pages are written to")
    parser.add_argument("--model", default="tiny", help=RunSettings.model_fields["model"].description)
    parser.add_argument("--threads", type=int, help=RunSettings.model_fields["threads"].description)
    options = parser.parse_args(arguments)
    try:
        if options.page:
            for path in page.write(results.read(options.results), options.docs):
                print(path)
        else:
            settings = RunSettings(model=options.model, threads=options.threads)
            measure.run(options.results, settings, backends.load(settings), lambda line: print(line, flush=True))
    except UserError as error:
        print("\n".join(sentence for _, sentence in error.lines()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Stopped; the runs stored before are kept. The same command goes on.", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
