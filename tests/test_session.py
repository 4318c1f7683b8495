"""Where the talk is: navigation stays within its ends, clocks count only what was spent, every change is told."""

from __future__ import annotations

import pytest

from kurabe.errors import SettingsError
from kurabe.workshop.script import load
from kurabe.workshop.session import TEMPOS, Session

SCRIPTS = {language: load(language) for language in ("en", "ja")}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def session(steps: tuple[str, ...] = (), clock: Clock | None = None) -> Session:
    return Session(SCRIPTS, "en", steps, clock or Clock())


def test_next_goes_through_parts_then_steps_and_stops_at_the_end() -> None:
    talk = session(("compare", "verdict"))
    talk.parts = 3
    seen = []
    for _ in range(6):
        seen.append((talk.current, talk.part))
        talk.next()
    assert seen == [("compare", 0), ("compare", 1), ("compare", 2), ("verdict", 0), ("verdict", 0), ("verdict", 0)]


def test_back_goes_to_the_beginning_and_no_further() -> None:
    talk = session(("compare", "verdict"))
    talk.go_to("verdict")
    talk.back()
    talk.back()
    assert (talk.current, talk.part) == ("compare", 0)


def test_steps_may_be_left_out_and_keep_the_scripts_order() -> None:
    talk = session(("verdict", "train"))
    assert talk.steps == ["train", "verdict"] and talk.minutes == 3
    assert talk.step() and talk.step(1) and talk.step(2) is None and talk.step(-1) is None


@pytest.mark.parametrize("name", ["finale", ""])
def test_a_step_that_the_talk_lacks_is_refused(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        session().go_to(name)
    assert refused.value.fix
    if name:
        with pytest.raises(SettingsError):
            session((name,))


def test_each_step_has_its_own_clock() -> None:
    clock = Clock()
    talk = session(("train", "verdict"), clock)
    clock.now = 5
    assert talk.seconds() == (0, 0), "nothing counts before the clock is started"
    talk.toggle("clock")
    clock.now = 15
    talk.next()
    clock.now = 18
    assert talk.seconds() == (3, 13)
    talk.toggle("clock")
    clock.now = 100
    assert talk.seconds() == (3, 13) and not talk.running


def test_every_change_counts_the_version_up() -> None:
    talk = session()
    for change in (
        talk.next,
        talk.back,
        *(lambda n=n: talk.toggle(n) for n in ("blank", "dark", "language", "tempo", "clock")),
    ):
        before = talk.version
        change()
        assert talk.version > before


def test_switches_come_round() -> None:
    talk = session()
    before = (talk.language, talk.dark, talk.blank, talk.tempo)
    for name, times in (("language", 2), ("dark", 2), ("blank", 2), ("tempo", len(TEMPOS))):
        for _ in range(times):
            talk.toggle(name)  # type: ignore[arg-type]
    assert (talk.language, talk.dark, talk.blank, talk.tempo) == before


def test_the_language_changes_the_words_and_not_the_place() -> None:
    talk = session()
    talk.go_to("audit")
    english = talk.step()
    talk.toggle("language")
    japanese = talk.step()
    assert english and japanese and english.id == japanese.id and english.title != japanese.title
