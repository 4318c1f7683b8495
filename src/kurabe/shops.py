"""Invented shops and houses: rows of questions, wordings, answers and their values, made from a seed.

It knows nothing about models, files or scoring; the same seed always gives the same shop.
The corpus of the embedded model, the retention probes and the tests all draw from here; held-out wordings come
from patterns and frames that no training text uses.
"""

# ruff: noqa: E501 - lists of words read best as running text

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from kurabe import shop_frames as frames
from kurabe import (
    shop_topics_ja,
    shop_topics_orders,
    shop_topics_places,
    shop_topics_service,
    shop_topics_stays,
    shop_topics_visits,
)
from kurabe.shop_values import invented_word, makers
from kurabe.shop_wordings import articles, choose, dress, pattern

_SLOT = re.compile(r"\{([a-z]+)(\d)\}")


@dataclass(frozen=True)
class Topic:
    """One block of the topic files, parsed."""

    kind: str
    labels: tuple[str, ...]
    asks: tuple[str, ...]
    asks_held_out: tuple[str, ...]
    short: str
    mains: tuple[str, ...]
    lists: tuple[str, ...]
    extras: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.labels[0]


@dataclass(frozen=True)
class Row:
    """One thing a shop knows: how it is asked, what it answers, which values the answer holds."""

    topic: str
    kind: str
    language: str
    labels: tuple[str, ...]
    asks: tuple[str, ...]
    asks_held_out: tuple[str, ...]
    question: str
    answer: str
    values: tuple[str, ...]
    short: str
    short_values: tuple[str, ...]
    also: str = ""

    def ask(self, rng: Random, held_out: bool = False) -> str:
        """A wording of this row's question; the two sets of wordings never share a pattern."""
        return wording(self, rng, held_out)


@dataclass(frozen=True)
class Shop:
    """A named house with its rows, each on a subject of its own."""

    name: str
    language: str
    rows: tuple[Row, ...]


def _parse(text: str) -> tuple[Topic, ...]:
    topics = []
    for block in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        lines = block.strip().split("\n")
        kind, _, labels = lines[0].partition(": ")
        found: dict[str, list[str]] = {mark: [] for mark in ("?", "?!", "=", "!", "-", "+")}
        for line in lines[1:]:
            mark, _, rest = line.partition(" ")
            found[mark].append(rest)
        topics.append(
            Topic(
                kind=kind,
                labels=tuple(label.strip() for label in labels.split(" / ")),
                # One held-out wording per topic is enough; a second one teaches its words.
                asks=tuple(found["?"] + found["?!"][1:]),
                asks_held_out=tuple(found["?!"][:1]),
                short=found["="][0],
                mains=tuple(found["!"]),
                lists=tuple(found["-"]),
                extras=tuple(found["+"]),
            )
        )
    return tuple(topics)


@cache
def topics(language: str = "en") -> tuple[Topic, ...]:
    """All written topics of a language."""
    if language == "ja":
        return _parse(shop_topics_ja.TOPICS)
    places = (shop_topics_places.PLACES, shop_topics_stays.STAYS, shop_topics_visits.VISITS)
    return _support() + tuple(topic for text in places for topic in _parse(text))


@cache
def _support() -> tuple[Topic, ...]:
    return _parse(shop_topics_orders.ORDERS) + _parse(shop_topics_service.SERVICE)


Maker = Callable[[], str]


def fill_values(texts: list[str], make: dict[str, Maker]) -> dict[str, str]:
    """A value for each slot; numbers and shares of one row ascend, as real tables do, and never repeat."""
    slots = sorted({match.groups() for text in texts for match in _SLOT.finditer(text)})
    values: dict[str, str] = {}
    for kind in dict.fromkeys(kind for kind, _ in slots):
        numbers = [number for other, number in slots if other == kind]
        drawn: list[str] = []
        while len(drawn) < len(numbers):
            value = make[kind]()
            if value not in drawn or kind == "yn":
                drawn.append(value)
        if kind in ("n", "pct"):
            drawn.sort(key=lambda value: int(re.sub(r"\D", "", value)))
        values.update({kind + number: value for number, value in zip(numbers, drawn, strict=True)})
    return values


def fill(text: str, values: dict[str, str]) -> tuple[str, tuple[str, ...]]:
    """The text with its slots filled, and the values that stand in it, in order."""
    used = [kind + number for kind, number in _SLOT.findall(text)]
    filled = _SLOT.sub(lambda match: values[match.group(1) + match.group(2)], text)
    return filled, tuple(dict.fromkeys(values[slot] for slot in used))


def _compose(topic: Topic, rng: Random, tails: tuple[str, ...], joiner: str) -> str:
    """An answer of one to four sentences, or one sentence and bullets; slots are still open."""
    main = rng.choice(topic.mains)
    extras = [
        text for text in topic.extras if not set(_SLOT.findall(text)) <= set(_SLOT.findall(main)) or "{" not in text
    ]
    chosen = rng.sample(extras, min(len(extras), rng.choices([0, 1, 2, 3], [38, 36, 20, 6])[0]))
    if topic.lists and rng.random() < 0.5:
        items = rng.choice(topic.lists).split(" / ")
        return "\n".join(
            [f"{topic.name[0].upper()}{topic.name[1:]}:"] + [f"- {item}" for item in items[: rng.randint(2, 4)]]
        )
    if chosen and rng.random() < 0.12:
        return "\n".join([main] + [f"- {text}" for text in chosen])
    if rng.random() < 0.1:
        chosen.append(rng.choice(tails))
    elif rng.random() < 0.12 and joiner:
        chosen.append(_loose_sentence(rng))
    return _sentences([main, *chosen], joiner)


def _sentences(texts: list[str], joiner: str) -> str:
    """Japanese sentences stand side by side, so that each but the last needs its full stop."""
    ended = [text if joiner or text.endswith("。") else f"{text}。" for text in texts[:-1]]
    return joiner.join([*ended, texts[-1]])


def _loose_sentence(rng: Random) -> str:
    """Words in an order that no other answer has, so that copying is reading and not remembering."""
    pattern = rng.choice(frames.LOOSE_EN)
    for mark, words in (("{adj}", frames.ADJECTIVES), ("{noun}", frames.NOUNS), ("{verb}", frames.VERBS)):
        while mark in pattern:
            pattern = pattern.replace(mark, rng.choice(words).partition("|")[0], 1)
    while "{new}" in pattern:
        pattern = pattern.replace("{new}", invented_word(rng).capitalize(), 1)
    return articles(pattern)


def _merged(first: Row, second: Row) -> Row:
    """One row that answers two subjects, as real files have ("shipping" with both speeds)."""
    joiner = "" if first.language == "ja" else " "
    return Row(
        topic=first.topic, kind="any", language=first.language, labels=first.labels + second.labels,
        asks=first.asks + second.asks, asks_held_out=first.asks_held_out + second.asks_held_out,
        question=first.question, answer=_sentences([first.answer, second.answer], joiner),
        values=tuple(dict.fromkeys(first.values + second.values)), short=f"{first.short}; {second.short}",
        short_values=tuple(dict.fromkeys(first.short_values + second.short_values)), also=second.topic,
    )  # fmt: skip


def _merge_related(rows: list[Row], rng: Random) -> list[Row]:
    for group in frames.RELATED:
        related = [row for row in rows if row.topic in group and "\n" not in row.answer]
        if len(related) > 1 and rng.random() < 0.3:
            first, second = rng.sample(related, 2)
            return [row for row in rows if row not in (first, second)] + [_merged(first, second)]
    return rows


def _topic_row(topic: Topic, language: str, make: dict[str, Maker], rng: Random) -> Row:
    japanese = language == "ja"
    tails = frames.TAIL_JA if japanese else frames.TAIL_EN
    answer = _compose(topic, rng, tails, "" if japanese else " ")
    values = fill_values([answer, topic.short], make)
    text, found = fill(articles(answer), values)
    text = text.replace("m..", "m.")
    short, short_found = fill(topic.short, values)
    row = Row(
        topic.name,
        topic.kind,
        language,
        topic.labels,
        topic.asks,
        topic.asks_held_out,
        "",
        text,
        found,
        short,
        short_found,
    )
    return _with_question(row, rng)


def _with_question(row: Row, rng: Random) -> Row:
    question = wording(row, rng, plain=True)
    return Row(**{**row.__dict__, "question": question})


def _invented_row(language: str, make: dict[str, Maker], rng: Random, heads: list[str]) -> Row:
    """A label that no other text holds ("the Zorvin fee"), so that only the prompt can answer."""
    japanese = language == "ja"
    nouns = frames.KIND_NOUNS_JA if japanese else frames.KIND_NOUNS
    kind = rng.choice(["money", "money", "money", "dur", "dur", "range", "pct", "n", *nouns])
    kind = kind if kind in nouns else "money"
    head = rng.choice(heads) if heads and rng.random() < 0.35 else _head(japanese, rng)
    heads.append(head)
    label = f"{head}{rng.choice(nouns[kind])}" if japanese else f"the {head} {rng.choice(nouns[kind])}"
    second = rng.choice(["money", "dur", "day", "place", "name", "code", "n"])
    if japanese:
        mains = [f"{label}は{{{kind}1}}です。", f"{label}：{{{kind}1}}", f"{label}は{{{kind}1}}となります。"]
        extras = [
            f"詳しくは{{{second}2}}です。",
            f"会員は{{{second}2}}です。",
            "{day2}は変わります。",
            "{url2}に書いてあります。",
        ]
    else:
        bare = label[4:]
        mains = [f"The {bare} is {{{kind}1}}.", f"Our {bare} is {{{kind}1}}.", f"The {bare}: {{{kind}1}}.",
                 f"We set the {bare} at {{{kind}1}}.", f"It is {{{kind}1}}.", f"{{{kind}1}}."]  # fmt: skip
        extras = [f"For members it is {{{second}2}}.", f"Otherwise {{{second}2}}.", "It changes every {day2}.",
                  "Ask {name2} about it.", "See {url2}.", f"The {bare} is reviewed in {{dur2}}."]  # fmt: skip
    topic = Topic(_ASK_KIND[kind], (label,), (), (), f"{{{kind}1}}", tuple(mains), (), tuple(extras))
    return _topic_row(topic, language, make, rng)


_ASK_KIND = {
    "range": "dur",
    "mins": "dur",
    "long": "dur",
    "email": "contact",
    "url": "contact",
    "name": "person",
    "day": "date",
}
_ASK_KIND.update(
    {kind: kind for kind in ("money", "dur", "pct", "n", "code", "phone", "date", "time", "hours", "place")}
)


def _head(japanese: bool, rng: Random) -> str:
    shape = rng.random()
    if japanese:
        word = rng.choice(frames.NOUNS_JA)
        return word + rng.choice(frames.NOUNS_JA) if shape < 0.5 else invented_word(rng).capitalize() + word
    if shape < 0.4:
        return invented_word(rng).capitalize()
    if shape < 0.7:
        return f"{rng.choice(frames.ADJECTIVES)} {rng.choice(frames.NOUNS)}"
    return f"{rng.choice(frames.NOUNS)} {rng.choice(frames.NOUNS)}" if shape < 0.85 else rng.choice(frames.NOUNS)


def _verb_row(make: dict[str, Maker], rng: Random) -> Row:
    """ "Can I rent a bicycle?": asked again with the verb or the thing in another place of the sentence."""
    verb, _, doing = rng.choice(frames.VERBS).partition("|")
    thing = (
        rng.choice(frames.NOUNS)
        if rng.random() < 0.6
        else f"{rng.choice(frames.ADJECTIVES)} {rng.choice(frames.NOUNS)}"
    )
    asks = (f"[Can|May|Could] I {verb} [a|the|my] {thing}?", f"Is it possible to {verb} [a|the] {thing}?",
            f"How [do|can] I {verb} [a|the|my] {thing}?", f"I [want|need|would like] to {verb} [a|the] {thing}.",
            f"What are the rules for {doing} [a|the] {thing}?", f"What does it cost to {verb} [a|the] {thing}?",
            f"When can I {verb} [a|the] {thing}?", f"{doing.capitalize()} [a|the] {thing}: how does it work?",
            f"Where [do|can] I {verb} [a|the|my] {thing}?")  # fmt: skip
    held_out = (f"Would you let me {verb} [a|my] {thing}?", f"We were thinking of {doing} [a|the] {thing}.",
                f"Is {doing} [a|the] {thing} all right?")  # fmt: skip
    mains = (f"You can {verb} the {thing} for {{money1}}.", f"Yes, you can {verb} a {thing} within {{dur1}}.",
             f"No, you cannot {verb} a {thing} before {{date1}}.", f"{doing.capitalize()} a {thing} costs {{money1}}.",
             f"To {verb} a {thing}, call {{phone1}}.", f"Please {verb} the {thing} at {{place1}}.",
             f"{doing.capitalize()} a {thing} takes {{range1}} and costs {{money1}}.", f"Write to {{email1}} to {verb} a {thing}.")  # fmt: skip
    extras = (
        "Bring {thing2}.",
        "It takes {mins2}.",
        "Ask for {name2}.",
        "It is possible from {hours2}.",
        "The limit is {n2}.",
    )
    topic = Topic("any", (f"{doing} a {thing}",), asks, held_out, "", (rng.choice(mains),), (), extras)
    slots = _SLOT.findall(topic.mains[0])
    short = ", ".join("{" + kind + number + "}" for kind, number in slots)
    return _topic_row(Topic(**{**topic.__dict__, "short": short}), "en", make, rng)


def wording(row: Row, rng: Random, held_out: bool = False, plain: bool = False) -> str:
    """One way to ask a row; `plain` leaves out greetings and carelessness, as the questions in a file do."""
    chosen = pattern(row.kind, row.language, row.asks, row.asks_held_out, rng, held_out, plain)
    text = articles(choose(chosen.replace("{L}", rng.choice(row.labels)), rng))
    text = text[0].upper() + text[1:]
    return text if plain or (held_out and rng.random() < 0.6) else dress(text, row.language == "ja", rng)


def shop_name(rng: Random, language: str) -> tuple[str, str]:
    """A name and its web host."""
    word = invented_word(rng)
    if language == "ja":
        return word.capitalize() + rng.choice(
            ["商店", "堂", "館", "医院", "図書館", "ホテル", "教室"]
        ), f"{word}.example"
    kind = rng.choice(
        [
            "Store",
            "Shop",
            "Market",
            "Clinic",
            "Museum",
            "Library",
            "Hotel",
            "Gym",
            "School",
            "Studio",
            "Books",
            "Outfitters",
            "Gardens",
        ]
    )
    return f"{word.capitalize()} {kind}", f"{word}.{rng.choice(['example', 'example', 'com', 'org', 'example.com'])}"


def invent_shop(seed: int | str, rows: int = 12, language: str = "en", mix: str | None = None) -> Shop:
    """A shop with `rows` rows. `mix` is "support", "written" (all topics), "invented" or "all"; drawn when left out."""
    rng = Random(f"shop/{language}/{seed}")
    name, host = shop_name(rng, language)
    make = makers(rng, language, host)
    mix = mix or rng.choices(["support", "written", "invented", "all"], [30, 15, 20, 35])[0]
    written = topics(language)
    if mix == "support":
        written = written[: len(_support())] if language == "en" else written[:25]
    share = {"support": 1.0, "written": 1.0, "invented": 0.0, "all": 0.6}[mix]
    count = min(len(written), sum(rng.random() < share for _ in range(rows)))
    heads: list[str] = []
    made = [_topic_row(topic, language, make, rng) for topic in rng.sample(written, count)]
    if count > 3:
        made = _merge_related(made, rng)
    taken = {label for row in made for label in row.labels}
    while len(made) < rows:
        verb = language == "en" and rng.random() < 0.3
        row = _verb_row(make, rng) if verb else _invented_row(language, make, rng, heads)
        if row.topic not in taken:
            taken.add(row.topic)
            made.append(row)
    rng.shuffle(made)
    return Shop(name, language, tuple(made))


def missing_row(shop: Shop, rng: Random) -> Row:
    """A row whose answer the shop does not hold, not even in part: its questions must be declined."""
    make = makers(rng, shop.language, "nowhere.example")
    names = {name for row in shop.rows for name in (row.topic, row.also)}
    blocked = set(names)
    for group in frames.RELATED:
        if names & set(group):
            blocked |= set(group)
    open_topics = [topic for topic in topics(shop.language) if topic.name not in blocked]
    if open_topics and rng.random() < 0.5:
        return _topic_row(rng.choice(open_topics), shop.language, make, rng)
    while True:
        verb = shop.language == "en" and rng.random() < 0.3
        row = _verb_row(make, rng) if verb else _invented_row(shop.language, make, rng, [])
        if row.topic not in names:
            return row
