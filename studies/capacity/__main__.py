"""`python -m studies.capacity`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import capacity, command
from studies.capacity import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.of(capacity, trials.plan, page.PAGE)))
