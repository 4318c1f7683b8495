"""`python -m studies.from_scratch`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import command, from_scratch
from studies.from_scratch import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.by_itself(from_scratch, trials.run, page.PAGE)))
