"""What an English question asks, read by a few patterns: an embedded clause, a topic, a thing to do.

It knows no frames and no facts. A question that it can't read surely is left alone: silence is better than bad grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Shape(NamedTuple):
    """One reading of a question: the name of a set of frames and what fills their places."""

    name: str
    slots: dict[str, str]


_DETERMINER = r"(?:the|an?|your|my|our|their|its|this|these|those|any|all|some|each|every)"
_PRONOUN = r"(?:I|we|you|they|he|she|it|one)"
# Verbs that end a noun phrase in "does <phrase> <verb>": none of them is common as a noun inside such a phrase.
_VERB = (
    r"(?:take|cost|open|close|start|begin|end|finish|last|work|include|cover|apply|need|have|offer|arrive|come|leave|"
    r"depart|accept|contain|expire|go|require|allow|happen|sell|provide|serve|deliver|become|look|mean|enter|pay|get|bring|"
    r"use|join|eat|receive|buy|attend|participate|borrow|apply|give|send|speak|teach|lend)"
)
# Predicates that end a noun phrase in "is <phrase> <predicate>".
_PREDICATE = (
    r"(?:open|closed|free|available|possible|included|allowed|permitted|(?:wheelchair )?accessible|located|valid|due|"
    r"ready|required|necessary|needed|safe|covered|delivered|shipped|refunded|refundable|returnable|transferable|"
    r"waterproof|accepted|offered|charged|calculated|paid|held|busy|mandatory|insured|suitable|welcome|reserved|over|done|"
    r"finished|full|empty|crowded|quiet|warm|staffed|situated|based|cheap|cheaper|cheapest|served|taught|shown|given|"
    r"provided|heated|supervised|guaranteed|tracked|sold|blocked|late)"
)
# What may stand behind such a predicate; a noun there would make it a part of the phrase ("the next free room").
_BEHIND = (
    r"(?: (?:to|for|on|in|at|during|from|until|till|after|before|by|with|without|within|of|if|when|today|tomorrow|now|"
    r"every|each|all|this|here|there|yet|again|over|between|under|as) ?.*)?"
)
_CAN = r"(?:can|could|may|should|must|will|would)"
_AUXILIARY = r"(?:is|are|am|do|does|did|can|could|may|should|must|will|would|has|have)"
_HOW = (
    r"(?:much|long|often|far|late|early|soon|quickly|fast|big|large|old|high|"
    r"many [\w'-]+(?: [\w'-]+){0,2}?|much [a-z'-]+(?: [a-z'-]+)?)"
)
_THING = rf"(?:(?!{_AUXILIARY}\b)[\w'-]+)(?: (?!{_AUXILIARY}\b)[\w'-]+){{0,3}}?"
_WH = (
    rf"(?:(?:at|by|from|until|since|in|on|for|to|with|up to) )?"
    rf"(?:when|where|why|who|whom|what|which|how|how {_HOW}|(?:what|which) {_THING})"
)
_AMOUNTS = (
    r"(?:fees?|prices?|costs?|charges?|rates?|discounts?|deposits?|tax|fares?|fine|penalty|surcharge|tip|refund|rent|"
    r"salary|limit|budget|balance)"
)
_LOOSE_END = r"(?:for|of|about|with|in|on|at|to|from|like|called|named|used|made|by|into|until)"
_NOT_A_TOPIC = re.compile(
    r"\b(?:if|when|while|because|unless|whether|where|how|why|allowed to|able to|supposed to|expected to|going to|"
    r"required to|permitted to|likely to|doing|having|being|happening)\b"
)
_SUBCLAUSE = re.compile(r"\b(?:if|when|while|because|unless|whether)\b")
_CONTRACTIONS = {
    "what's": "what is", "where's": "where is", "when's": "when is", "who's": "who is", "how's": "how is",
    "there's": "there is", "what're": "what are", "i'm": "I am",
}  # fmt: skip


def shapes(question: str) -> Iterator[Shape]:
    """Every reading of the question, the most special one first; none where no pattern fits."""
    text = _plain(question)
    if text is None:
        return
    yield from _special(text)
    clause = embedded(text)
    if clause:
        yield Shape("clause", {"c": clause})


def _plain(question: str) -> str | None:
    """One sentence without its mark, contractions and politeness taken out; None where there is more than that."""
    text = re.sub(r"\s+", " ", question.replace("’", "'")).strip()
    text = re.sub(r"^please[, ]+", "", text, flags=re.I)
    text = re.sub(r",? please(?=[?.!]*$)", "", text, flags=re.I).rstrip("?.! ")
    text = re.sub(r"^[A-Za-z]+'\w+", lambda m: _CONTRACTIONS.get(m[0].lower(), m[0]), text)
    if not text or re.search(r"[?!;:,()\"]|\.\s|n't\b", text) or len(text.split()) > 20:
        return None
    return text


def _special(text: str) -> Iterator[Shape]:
    """Readings that allow more than embedding the question in another sentence."""
    for pattern, read in _READERS:
        match = pattern.fullmatch(text)
        if match:
            shape = read(match)
            if shape:
                yield shape
                return


# --- noun phrases, verb phrases and clauses --------------------------------------------------------------------


def _is_topic(x: str) -> bool:
    """Whether `x` is surely one noun phrase, so that "about x" is good English."""
    words = x.split()
    if not words or re.fullmatch(rf"{_LOOSE_END}|\w+ed", words[-1], re.I) or _NOT_A_TOPIC.search(x) or len(words) > 12:
        return False
    # "the museum charging for" is a clause, "the cost of parking" and "the opening hours" are not.
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        clause_like = word.endswith("ing") and before and not re.fullmatch(_BEFORE_ING, before, re.I)
        if clause_like and (not after or re.fullmatch(rf"{_DETERMINER}|for|to|with|at|in|on", after)):
            return False
    return True


_BEFORE_ING = r"(?:of|for|on|about|in|by|with|to|from|the|an?|your|our|my|this|and|or|no|free)"
_SOME_WORDS = r"[\w'&-]+"
_NO_NOUN = rf"(?!{_DETERMINER}\b|{_PRONOUN}\b|me\b|us\b|them\b|him\b|her\b|not\b)"
_NOUNS = (
    rf"(?:{_DETERMINER} {_SOME_WORDS}(?: {_NO_NOUN}{_SOME_WORDS}){{0,6}}?"
    rf"|{_NO_NOUN}[a-z-]+(?: {_NO_NOUN}[a-z-]+){{0,3}}?)"
)


def _determined(x: str) -> bool:
    return re.match(rf"{_DETERMINER} \S", x) is not None


def _third(verb: str) -> str:
    """The form after he, she, it."""
    if verb == "have":
        return "has"
    if re.search(r"(?:s|x|z|ch|sh|o)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def _person(word: str) -> dict[str, str]:
    return {"p": "we" if word.lower() == "we" else "I", "am": "are" if word.lower() == "we" else "am"}


def _action(name: str, match: re.Match[str]) -> Shape | None:
    """A thing that somebody wants to do; not one with a condition, which would not survive "I want to ..."."""
    vp = match["vp"]
    if _SUBCLAUSE.search(vp) or vp.split()[0] in {"not", "be", "I", "you", "we", "it", "know"}:
        return None
    person = match.groupdict().get("p") or "I"
    return Shape(name, {"vp": vp, **_person(person)})


def _topic(match: re.Match[str]) -> Shape | None:
    x = match["x"]
    return Shape("topic", {"x": x}) if _determined(x) and _is_topic(x) else None


def _price(match: re.Match[str]) -> Shape | None:
    """A thing with a price; "how much is the fee" asks for the fee itself, which has none."""
    x = (match["x"] + (match["tail"] or "") if "tail" in match.re.groupindex else match["x"]).strip()
    if not _is_topic(x) or x.split()[0].lower() in {"it", "that", "this", "they", "you", "i", "we", "there", "to"}:
        return None
    head = re.split(r" (?:for|of|in|on|at|to|per|with) ", x)[0].split()[-1].lower()
    if re.fullmatch(_AMOUNTS, head):
        return Shape("topic", {"x": x}) if _determined(x) else None
    many = match["be"] in {"are", "do"} if "be" in match.re.groupindex else head.endswith("s") and head[-2:] != "ss"
    return Shape("price", {"x": x, "be": "are" if many else "is", "do": "do" if many else "does"})


_READERS = tuple(
    (re.compile(pattern, re.I), read)
    for pattern, read in (
        (r"how much does it cost (?:me |us )?to (?P<vp>.+)", lambda m: _action("cost_to", m)),
        (r"(?:what does it cost|how much is it) (?:me |us )?to (?P<vp>.+)", lambda m: _action("cost_to", m)),
        (r"(?:how much|what) (?P<be>does|do) (?P<x>.+?) cost(?P<tail> (?:per|for|on|with|in) .+)?", _price),
        (r"how much (?P<be>is|are) (?P<x>.+)", _price),
        (r"what (?:is|are) the (?:price|prices|cost|costs) (?:of|for) (?P<x>.+)", _price),
        (r"how much do (?:I|we|you) (?:have to )?(?:pay|charge) for (?P<x>.+)", _price),
        (r"how long does it take (?:me |us |you )?to (?P<vp>.+)", lambda m: _action("duration", m)),
        (r"how (?:do|can|could|should|would) (?P<p>I|we) (?P<vp>.+)", lambda m: _action("how_to", m)),
        (r"what (?:do|should|must) (?P<p>I|we) (?:need to |have to )?do to (?P<vp>.+)", lambda m: _action("how_to", m)),
        (r"how to (?P<vp>.+)", lambda m: _action("how_to", m)),
        (r"(?:can|could|may) (?P<p>I|we) (?P<vp>.+)", lambda m: _action("may", m)),
        (r"am (?P<p>I) (?:allowed|able) to (?P<vp>.+)", lambda m: _action("may", m)),
        (r"is it (?:possible|allowed|okay|ok) to (?P<vp>.+)", lambda m: _action("may", m)),
        (r"(?:do (?P<p>I|we) (?:need|have) to|is it necessary to) (?P<vp>.+)", lambda m: _action("must", m)),
        (r"(?:what (?:is|are)|what about|how about|tell me about|explain) (?P<x>.+?)(?: to me)?", _topic),
        (r"(?:could|can|would|will) you (?:tell me(?: about)?|explain|describe) (?P<x>.+?)(?: to me)?", _topic),
    )
)


def embedded(text: str) -> str:
    """The question as a clause inside another sentence: "where I can park", "whether you ship abroad"; "" if unsure."""
    for pattern, build in _CLAUSES:
        match = pattern.fullmatch(text)
        if match:
            clause = build(match)
            if clause:
                return re.sub(r"\bi\b", "I", clause)
    return ""


def _head(match: re.Match[str]) -> str:
    """The question word, or "whether" for a question without one."""
    word = match["wh"]
    return word[0].lower() + word[1:] if word else "whether"


_REQUESTED = r"(?:please|tell|explain|describe|list|help|show|send|give|let)\b"


def _with_pronoun(match: re.Match[str]) -> str:
    """can I park -> I can park; do you ship -> you ship; does it take -> it takes."""
    aux, subject, rest = match["aux"].lower(), match["subj"].lower(), match["rest"]
    if subject == "you" and re.match(_REQUESTED if aux != "do" else r"please\b", rest):
        return ""  # can you give me a brochure: a request, not a question; do you give discounts: a question
    if aux in {"do", "does"} and re.match(r"not\b", rest):
        return ""  # "whether you not ship" is no English
    if aux == "does":
        verb, _, tail = rest.partition(" ")
        return f"{_head(match)} {subject} {_third(verb)} {tail}".strip()
    return " ".join([_head(match), subject, *([] if aux == "do" else [aux]), rest])


def _with_there(match: re.Match[str]) -> str:
    """is there a cafe -> there is a cafe; how many rooms are there -> how many rooms there are."""
    return f"{_head(match)} there {match['aux'].lower()}{match['rest']}" if match["wh"] or match["rest"] else ""


def _with_verb(match: re.Match[str]) -> str:
    """does the tour start at ten -> the tour starts at ten; can an order be cancelled -> an order can be cancelled."""
    aux, verb = match["aux"].lower(), match["verb"].lower()
    if verb == "be" and aux in {"do", "does"}:
        return ""
    middle = {"does": _third(verb), "do": verb}.get(aux, f"{aux} {verb}")
    return f"{_head(match)} {match['np']} {middle}{match['rest'] or ''}"


def _with_predicate(match: re.Match[str]) -> str:
    """is the museum open on Mondays -> the museum is open on Mondays."""
    return f"{_head(match)} {match['np']} {match['be'].lower()} {match['rest']}"


def _with_phrase(match: re.Match[str]) -> str:
    """where is the entrance for groups -> where the entrance for groups is."""
    x, word = match["np"], match["wh"].lower()
    alone = (
        re.fullmatch(r"[\w-]+", x)
        and re.match("when|where|who|how |what time", word)
        and x.lower() not in {"it", "there", "this", "that"}
    )
    return f"{_head(match)} {x} {match['be'].lower()}" if alone or (_determined(x) and _is_topic(x)) else ""


def _unchanged(match: re.Match[str]) -> str:
    """A question about the subject has the order of a clause already: what happens if I cancel."""
    return match[0][0].lower() + match[0][1:]


_PLAIN_WH = (
    r"(?:when|where|what|who|what time|(?:what|which) day"
    r"|how (?:long|often|far|high|much|big|large|fast|hot|warm|cold|deep|heavy|wide|soon|late|old|safe)"
    rf"|(?:at|by|from|until|since|in|on|for|to) (?:what|which) {_THING})"
)
_DONE = r"(?:been|arrived|gone|changed)\b.*"
_CLAUSES = tuple(
    (re.compile(pattern, re.I), build)
    for pattern, build in (
        (
            rf"(?:(?P<wh>{_WH}) )?(?P<aux>do|does|{_CAN}|is|are|am|have|has) (?P<subj>{_PRONOUN}) (?P<rest>.+)",
            _with_pronoun,
        ),
        (rf"(?P<wh>how many {_THING})? ?(?P<aux>is|are) (?P<subj>there)(?P<rest>.*)", _with_there),
        (
            rf"(?:(?P<wh>{_WH}) )?(?P<aux>do|does|{_CAN}) (?P<np>{_NOUNS}) (?P<verb>be|{_VERB})(?P<rest> .+)?",
            _with_verb,
        ),
        (rf"(?:(?P<wh>{_WH}) )?(?P<be>is|are) (?P<np>{_NOUNS}) (?P<rest>{_PREDICATE}{_BEHIND})", _with_predicate),
        (rf"(?:(?P<wh>{_WH}) )?(?P<be>has|have) (?P<np>{_NOUNS}) (?P<rest>{_DONE})", _with_predicate),
        (rf"(?P<wh>{_PLAIN_WH}) (?P<be>is|are) (?P<np>.+)", _with_phrase),
        (rf"(?:what|who) (?:is|are) {_PREDICATE}\b.*", _unchanged),
        (r"what if (?P<if>.+)", lambda m: f"what happens if {m['if']}"),
        (r"(?:what|who) (?:happens|applies|pays|comes|counts|qualifies) .+", _unchanged),
        (
            rf"(?:who|how many (?:people|guests|visitors|children|adults|players)) {_CAN} (?!{_DETERMINER}\b).+",
            _unchanged,
        ),
        (rf"(?:which|what|how many) {_THING} (?:is|are) (?:{_PREDICATE}|\w+ed)\b.*", _unchanged),
    )
)
