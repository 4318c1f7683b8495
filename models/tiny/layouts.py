"""How facts stand in a system prompt, and what an assistant then answers.

It knows nothing about tokens, packing or training. Most prompts are written as kurabe itself writes them.
"""

from __future__ import annotations

from random import Random

from kurabe import prompts
from kurabe.prompts import LABELS, NEUTRAL
from kurabe.shops import Row, Shop

DECLINE = {"en": "I don't have that information.", "ja": "その情報はありません。"}
_OTHER_INSTRUCTIONS = {
    "en": [
        "Use only the facts below.",
        "Here is what you know. Do not invent anything.",
        "Answer the customer from the list.",
        "These are our rules. If something is missing, say so.",
        "Reply with the facts given here.",
        "Be short and correct. Use the information below.",
        "Only these things are known:",
        "Know these answers by heart.",
        "",
    ],
    "ja": [
        "下の情報だけで答えてください。",
        "知っていることは次のとおりです。作り話はしないでください。",
        "一覧から答えてください。",
        "次の決まりに従ってください。",
        "短く正しく答えてください。",
        "",
    ],
}
_ROLES = {
    "en": (
        "You are the assistant of {name}.",
        "You answer questions for {name}.",
        "You work at {name}.",
        "Support of {name}.",
    ),
    "ja": ("あなたは{name}の担当です。", "{name}の質問に答えます。", "{name}のサポートです。"),
}


def _opening(shop: Shop, rng: Random) -> str:
    role = NEUTRAL[shop.language] if rng.random() < 0.4 else rng.choice(_ROLES[shop.language]).format(name=shop.name)
    return f"{role}\n{rng.choice(_OTHER_INSTRUCTIONS[shop.language])}".strip()


def _title(row: Row, rng: Random) -> str:
    label = rng.choice(row.labels)
    label = label[4:] if label.startswith("the ") else label
    return label[0].upper() + label[1:]


def lay_out(shop: Shop, rng: Random) -> tuple[str, list[str]]:
    """A system prompt and, row by row, the answer that is right under it."""
    kind = rng.choices(["prompt", "loose", "list", "headings", "paragraph"], [62, 11, 13, 7, 7])[0]
    if kind == "prompt":
        pairs = [(row.question, row.answer) for row in shop.rows]
        return prompts.write(NEUTRAL[shop.language], pairs, shop.language), [row.answer for row in shop.rows]
    if kind == "loose":
        ask, reply = rng.choice([LABELS[shop.language], ("Question: ", "Answer: "), ("- ", "  "), ("", "-> ")])
        gap = rng.choice(["\n", "\n\n"])
        body = gap.join(f"{ask}{row.question}\n{reply}{row.answer}" for row in shop.rows)
        return f"{_opening(shop, rng)}\n\n{body}", [row.answer for row in shop.rows]
    if kind == "list":
        return _listed(shop, rng)
    if kind == "headings":
        mark = rng.choice(["## {}\n", "# {}\n", "{}:\n", "**{}**\n", "[{}] "])
        body = "\n\n".join(mark.format(_title(row, rng)) + row.answer for row in shop.rows)
        return f"{_opening(shop, rng)}\n\n{body}", [row.answer for row in shop.rows]
    plain = [row.answer.replace("\n", " ") for row in shop.rows]
    titled = [f"{_title(row, rng)}: {text}" for row, text in zip(shop.rows, plain, strict=True)]
    return f"{_opening(shop, rng)}\n\n{rng.choice([chr(10), ' ']).join(titled)}", plain


def _listed(shop: Shop, rng: Random) -> tuple[str, list[str]]:
    titles = [_title(row, rng) for row in shop.rows]
    form = rng.choice(["- {}: {}", "{}: {}", "{} = {}", "* {}: {}", "{} - {}", "| {} | {} |"])
    lines = [form.format(title, row.short) for title, row in zip(titles, shop.rows, strict=True)]
    if shop.language == "ja":
        answers = [f"{title}は{row.short}です。" for title, row in zip(titles, shop.rows, strict=True)]
    else:
        answers = [f"{title}: {row.short}." for title, row in zip(titles, shop.rows, strict=True)]
    return f"{_opening(shop, rng)}\n\n" + "\n".join(lines), answers
