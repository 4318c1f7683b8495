"""`python -m studies.wordings`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import command, wordings
from studies.wordings import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.of(wordings, trials.plan, page.PAGE)))
