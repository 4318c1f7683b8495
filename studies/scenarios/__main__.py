"""`python -m studies.scenarios`: simulate what is not stored yet; with `--page`, write the page of it.

Knows no cell and no figure.
"""

from __future__ import annotations

import sys

from studies import simulation
from studies.scenarios.page import STUDY

if __name__ == "__main__":
    sys.exit(simulation.main(STUDY))
