"""`python -m studies.reversal`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import command, reversal
from studies.reversal import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.of(reversal, trials.plan, page.PAGE)))
