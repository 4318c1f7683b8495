"""One way to ask for a row: a pattern of its own or a frame around its label, then how people really type.

It knows nothing about shops, values or models; held-out patterns and frames are never mixed with the trained ones.
"""

from __future__ import annotations

import re
from random import Random

from kurabe import shop_frames as frames

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_LIGHT = frozenset(
    frames.words("a an the is are do does can could i you your my me to of it what how please will would there be")
)


def choose(text: str, rng: Random) -> str:
    """Settle every `[a|b]`."""
    while "[" in text:
        text = _CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), text)
    return text


def articles(text: str) -> str:
    """ "a archive" -> "an archive"."""
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def pattern(
    kind: str,
    language: str,
    asks: tuple[str, ...],
    held_out_asks: tuple[str, ...],
    rng: Random,
    held_out: bool,
    plain: bool,
) -> str:
    """A pattern of the row's own or a frame that fits its kind, with `{L}` where the label goes."""
    japanese = language == "ja"
    ask = frames.ASK_JA if japanese else frames.ASK_EN
    if held_out:
        ask = frames.ASK_JA_HELD_OUT if japanese else frames.ASK_EN_HELD_OUT
    own = held_out_asks if held_out else asks
    framed = ask.get(kind, ask["any"]) if rng.random() < 0.7 and kind != "any" else ask["any"]
    use_own = own and rng.random() < (0.6 if kind != "any" else 0.9)
    chosen = rng.choice(own) if use_own else rng.choice(framed)
    if not (use_own or held_out or plain) and rng.random() < 0.45:
        chosen = _free_frame(japanese, rng)
    return chosen


def _free_frame(japanese: bool, rng: Random) -> str:
    if japanese:
        return (rng.choice(frames.BEFORE_JA) if rng.random() < 0.3 else "") + "{L}" + rng.choice(frames.AFTER_JA)
    end = rng.choice("?..")
    return f"{rng.choice(frames.BEFORE_EN)} {{L}} {rng.choice(frames.AFTER_EN)}".strip() + end


def _smudge(text: str, rng: Random) -> str:
    """A word more, a word less, two words swapped: what is asked stays clear."""
    words = text.split(" ")
    place = rng.randrange(len(words))
    dice = rng.random()
    if dice < 0.5:
        words.insert(place, rng.choice(frames.FILLERS_EN))
    elif len(words) > 4 and words[place].lower() in _LIGHT:
        del words[place]
    elif len(words) > 4 and 0 < place < len(words) - 1:
        words[place - 1], words[place] = words[place], words[place - 1]
    return " ".join(words)


def dress(text: str, japanese: bool, rng: Random) -> str:
    """How people type: a greeting, thanks, no capitals, no question mark."""
    if not japanese and rng.random() < 0.15:
        text = _smudge(text, rng)
    dice = rng.random()
    if dice < 0.14:
        text = rng.choice(frames.OPEN_JA if japanese else frames.OPEN_EN) + text
    elif dice < 0.2:
        text = text + rng.choice(frames.CLOSE_JA if japanese else frames.CLOSE_EN)
    elif dice < 0.27:
        text = text.rstrip("?？。.")
    elif dice < 0.32 and not japanese:
        text = text.lower()
    return text
