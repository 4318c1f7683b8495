"""`python -m studies.first_recall`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import command, first_recall
from studies.first_recall import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.of(first_recall, trials.plan, page.PAGE)))
