"""`python -m studies.rates`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import command, rates
from studies.rates import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.of(rates, trials.plan, page.PAGE)))
