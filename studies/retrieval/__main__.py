"""`python -m studies.retrieval`: measure what is not stored yet; with `--page`, write the page of it."""

import sys

from studies import command, retrieval
from studies.retrieval import page, trials

if __name__ == "__main__":
    sys.exit(command.main(command.by_itself(retrieval, trials.run, page.PAGE)))
