"""The time left that a run told while it worked, beside the time that it then took.

Reads the events of a finished run and shows them to the follower that a terminal sees, so that any run can be looked
at, also one that took hours. A figure counts from the first minute of a stage on.

    python benchmarks/time_left.py RUN
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from kurabe.cli.follow import Follower
from kurabe.cli.screen import Screen
from kurabe.runs import RunFolder
from kurabe.schema import Event
from kurabe.texts import Texts

SETTLED = 60.0  # seconds of a stage after which its figure is held to something
NEAR = 15.0  # seconds before its end up to which it is: then a share says little
WITHIN = 0.25


class Told(Follower):
    """Keeps what it would have shown: (stage, when, seconds left)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Screen(Texts("en"), quiet=True), folder)
        self.stage, self.figures = "", list[tuple[str, float, float]]()

    def _stage(self, event: Event) -> None:
        self.stage = event.values["name"]
        super()._stage(event)

    def _advance(self, event: Event, total: float, words: str) -> None:
        left = self._pace.left(total)
        if left is not None:
            self.figures.append((self.stage, event.elapsed, left))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run", type=Path)
    folder = RunFolder.open(parser.parse_args().run)
    told, begins, ends = Told(folder.path), dict[str, float](), dict[str, float]()
    for event in folder.events():
        told(event)
        if event.kind == "stage":
            (begins if event.values["state"] == "start" else ends)[event.values["name"]] = event.elapsed
    print(f"{'stage':<8}{'took':>9}{'figures':>9}{'median error':>14}{'largest':>9}{f'within {WITHIN:.0%}':>13}")
    for stage, end in ends.items():
        errors = [
            left / (end - when) - 1
            for name, when, left in told.figures
            if name == stage and when - begins[stage] >= SETTLED and end - when >= NEAR
        ]
        if errors:
            largest = max(errors, key=abs)
            within = sum(abs(error) <= WITHIN for error in errors) / len(errors)
            middle = statistics.median(errors)
            took = f"{end - begins[stage]:.0f} s"
            print(f"{stage:<8}{took:>9}{len(errors):>9}{middle:>+14.0%}{largest:>+9.0%}{within:>13.0%}")


if __name__ == "__main__":
    main()
