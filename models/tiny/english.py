"""English answers of words in no fixed order, around a row's own values: copying has to be reading, not remembering.

It knows nothing about prompts, tokens or training. Written by someone who had seen the example shop's answers; what it
makes are strings of words drawn by chance, and it holds no sentence.
"""

# ruff: noqa: E501 - lists of words read best as running text

from __future__ import annotations

from random import Random

from kurabe.shop_frames import ADJECTIVES, NOUNS, VERBS, words
from kurabe.shop_values import invented_word

_NOUNS = words(
    "order parcel package box letter number page site form link button account profile password message e-mail photo report "
    "answer question request reply notice receipt invoice bill payment refund fee cost price rate discount offer coupon voucher point "
    "card cash transfer bank method country city street house home office shop store desk counter branch team member guest customer "
    "person friend company partner driver carrier post delivery shipping shipment dispatch express freight return exchange change cancellation "
    "damage claim repair service support help line hour day week month year time date weekend holiday item product piece size colour "
    "model part set pair kit gift label barcode tag list stock supply area zone region border customs tax duty weight limit group class "
    "place seat room entry visit start end option choice case reason rule note detail step status history address"
)
_VERBS = words(
    "send ship give take make get find choose enter ask call write wait look read check track follow add include cover charge pay refund "
    "return deliver bring collect pick drop keep hold start end finish accept refuse confirm answer reply help show tell explain open close "
    "cost match lower raise save count apply remain expire begin arrive leave stay work need want allow offer match provide receive"
)
_VERB_FORMS = words(
    "is are was will can may must costs takes goes comes gets gives needs starts ends lasts covers includes applies sent shipped given taken "
    "made found chosen entered asked placed paid opened closed delivered returned accepted covered included charged free ready possible open"
)
_LINKS = words(
    "of to from in on at by for with without within before after until since over under above below between per about around near beside "
    "and or but if when where while as than so then also only just up off out once twice later again not no the the the the a a an your your "
    "our our we you it they this that each every all any some most more less extra"
)
_STARTS = words(
    "The Our Your We You It They This Each Every All If When For To In On At After Before Please Then Once Just Yes No"
)
_MARKS = (",", ",", ";", ":", " -", "/")


def _inflected(rng: Random) -> str:
    verb, _, doing = rng.choice(VERBS).partition("|")
    return rng.choice([verb, verb, doing, f"{verb}s"])


def word(rng: Random) -> str:
    """A word of any kind; now and then one that means nothing, or a number."""
    stocks = (
        lambda: rng.choice(_NOUNS) + ("s" if rng.random() < 0.3 else ""),
        lambda: rng.choice(NOUNS) + ("s" if rng.random() < 0.3 else ""),
        lambda: rng.choice(_VERBS),
        lambda: rng.choice(_VERB_FORMS),
        lambda: _inflected(rng),
        lambda: rng.choice(ADJECTIVES),
        lambda: invented_word(rng).capitalize() if rng.random() < 0.5 else invented_word(rng),
        lambda: f"{rng.randint(1, 999)}{rng.choice(['', '', '%', '+', 'th', 'x'])}",
    )
    return rng.choices(stocks, [28, 12, 14, 16, 8, 10, 8, 4])[0]()


def _run(rng: Random, least: int, most: int) -> list[str]:
    """Words with links between them; a word said before may come again, as in real texts."""
    said: list[str] = []
    for _ in range(rng.randint(least, most)):
        dice = rng.random()
        said.append(rng.choice(said) if said and dice < 0.08 else rng.choice(_LINKS) if dice < 0.45 else word(rng))
        if rng.random() < 0.05:
            said[-1] += rng.choice(_MARKS)
    return said


def jumble(rng: Random, least: int, most: int) -> str:
    """Words and marks in no order at all: only copying can continue them."""
    return " ".join(_run(rng, least, most))


def sentence(rng: Random, held: tuple[str, ...] = ()) -> str:
    """A line of words with the values among them in their order, each behind a word that leads to it."""
    parts = [rng.choice(_STARTS)] if rng.random() < 0.7 else [word(rng).capitalize()]
    parts += _run(rng, 0 if held else 2, 6)
    for value in held:
        parts += [rng.choice(_LINKS), value, *_run(rng, 0, 5)]
        if rng.random() < 0.15:
            parts[-1] += rng.choice(_MARKS)
    return " ".join(parts).rstrip(" ,;:-/") + rng.choice([".", ".", ".", ".", "!"])
