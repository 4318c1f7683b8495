"""Where the talk is: step, part, language, tempo, clocks. One object on the server: every window shows the same.

Knows no page, no process and no run. Time comes from the clock that it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from kurabe.errors import SettingsError
from kurabe.workshop.script import Script, Step

Tempo: TypeAlias = Literal["live", "recorded", "skip"]
TEMPOS: tuple[Tempo, ...] = ("live", "recorded", "skip")


class Session:
    """The state of one talk. `version` grows with every change that a page must show."""

    def __init__(
        self, scripts: Mapping[str, Script], language: str, steps: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.scripts, self.language, self._clock = scripts, language, clock
        every = [step.id for step in scripts[language].steps]
        unknown = [name for name in steps if name not in every]
        if unknown:
            raise SettingsError(f"The talk has no step {unknown[0]!r}.", fix=f"Steps: {','.join(every)}")
        self.steps = [name for name in every if not steps or name in steps]
        self.at = self.part = 0
        self.parts = 1  # of the step that is shown; whoever draws it says how many there are
        self.dark = self.blank = False
        self.tempo: Tempo = "live"
        self.version = 1
        self.spent = dict.fromkeys(self.steps, 0.0)
        self._since: float | None = None  # when the step on screen began to count

    # --- where we are ------------------------------------------------------------------------------------------

    def step(self, offset: int = 0) -> Step | None:
        """The step on screen, or one before or after it; None beyond the ends."""
        at = self.at + offset
        if not 0 <= at < len(self.steps):
            return None
        return next(step for step in self.scripts[self.language].steps if step.id == self.steps[at])

    @property
    def current(self) -> str:
        """The id of the step on screen."""
        return self.steps[self.at]

    @property
    def minutes(self) -> float:
        """What the steps of this talk take by the script."""
        return sum(s.minutes for s in self.scripts[self.language].steps if s.id in self.spent)

    def next(self) -> None:
        """One part on, or one step."""
        if self.part + 1 < self.parts:
            self.part += 1
            self.changed()
        elif self.at + 1 < len(self.steps):
            self.go_to(self.steps[self.at + 1])

    def back(self) -> None:
        """One part back, or to the beginning of the step before."""
        if self.part:
            self.part -= 1
            self.changed()
        elif self.at:
            self.go_to(self.steps[self.at - 1])

    def go_to(self, step: str) -> None:
        """To the beginning of a step. Raises SettingsError where the talk has none of that name."""
        if step not in self.spent:
            raise SettingsError(f"The talk has no step {step!r}.", fix=f"Steps: {', '.join(self.steps)}")
        self._count()
        self.at, self.part, self.parts = self.steps.index(step), 0, 1
        self.changed()

    # --- what it looks like ------------------------------------------------------------------------------------

    def toggle(self, name: Literal["blank", "dark", "language", "tempo", "clock"]) -> None:
        """Switch one thing over to its next value."""
        if name == "language":
            names = list(self.scripts)
            self.language = names[(names.index(self.language) + 1) % len(names)]
        elif name == "tempo":
            self.tempo = TEMPOS[(TEMPOS.index(self.tempo) + 1) % len(TEMPOS)]
        elif name == "clock":
            self._count()
            self._since = None if self.running else self._clock()
        else:
            setattr(self, name, not getattr(self, name))
        self.changed()

    def changed(self) -> None:
        """Something that a page shows is another than before."""
        self.version += 1

    # --- the clocks --------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the clocks count: from the moment the presenter starts them."""
        return self._since is not None

    def seconds(self) -> tuple[float, float]:
        """Seconds spent on the step on screen, and on all of them."""
        self._count()
        return self.spent[self.current], sum(self.spent.values())

    def _count(self) -> None:
        now = self._clock()
        if self._since is not None:
            self.spent[self.current] += now - self._since
            self._since = now
