"""`python -m studies.known_unknown`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import command, known_unknown
from studies.known_unknown import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.of(known_unknown, trials.plan, page.PAGE)))
