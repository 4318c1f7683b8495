"""`python -m studies.sayings`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import command, sayings
from studies.sayings import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.of(sayings, trials.plan, page.PAGE)))
