"""The search finds what shares words with a question, in an order that nothing but the texts decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe.retrieval import Index, tokenize

WORDS = st.lists(st.sampled_from(["tea", "tax", "dog", "送料", "返品"]), max_size=6).map(" ".join)
TEXTS = st.lists(WORDS, max_size=8)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Tea & TAX-free, 3-5 days!", ["tea", "tax", "free", "3", "5", "days"]),
        ("送料はいくら", ["送料", "料は", "はい", "いく", "くら"]),
        ("ＡＢＣ順で3日", ["abc", "順で", "3", "日"]),
        ("カード・データ", ["カー", "ード", "ド・", "・デ", "デー", "ータ"]),
        ("배송 비용", ["배송", "비용"]),
        ("naïve café_au", ["naïve", "café", "au"]),
        ("?! … _", []),
        ("", []),
    ],
)
def test_tokens_are_words_and_pairs_of_characters(text: str, tokens: list[str]) -> None:
    assert list(tokenize(text)) == tokens


@given(st.text())
def test_the_width_and_the_case_of_a_text_do_not_count(text: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    assert list(tokenize(wide)) == list(tokenize(text)), "full-width letters are letters"


@given(TEXTS, WORDS, st.integers(1, 9))
def test_what_is_found_shares_a_token_and_is_found_once(texts: list[str], question: str, most: int) -> None:
    found = Index(texts).search(question, most)
    asked = set(tokenize(question))
    sharing = [n for n, text in enumerate(texts) if asked & set(tokenize(text))]
    assert len(found) == len(set(found)) == min(most, len(sharing)) and set(found) <= set(sharing)


@given(TEXTS, WORDS)
def test_fewer_hits_are_the_first_of_more(texts: list[str], question: str) -> None:
    index = Index(texts)
    assert index.search(question, 2) == index.search(question, 8)[:2]


@given(TEXTS, WORDS)
def test_of_equal_texts_the_earlier_one_comes_first(texts: list[str], question: str) -> None:
    found = Index([*texts, *texts]).search(question, 99)
    for n in range(len(texts)):
        if n in found:
            assert found.index(n) < found.index(n + len(texts))


@given(st.permutations(["tea tax", "tea", "dog dog tea", "返品 tea", "dog"]), WORDS)
def test_the_order_of_the_texts_decides_ties_only(texts: list[str], question: str) -> None:
    """The same texts are found whatever their order; so are their ranks, but for those that are equally good."""
    usual = ["tea tax", "tea", "dog dog tea", "返品 tea", "dog"]
    here = [texts[n] for n in Index(texts).search(question, 9)]
    there = [usual[n] for n in Index(usual).search(question, 9)]
    assert set(here) == set(there)
    if question == "dog":
        assert here == there


def test_a_rarer_word_and_a_shorter_text_count_more() -> None:
    texts = ["tea with milk", "tea", "tea with dog and milk and sugar", "coffee with milk"]
    assert Index(texts).search("dog", 1) == [2]
    assert Index(texts).search("tea", 3) == [1, 0, 2]


@pytest.mark.parametrize("texts", [[], [""], ["?!", " "]])
def test_nothing_is_found_where_there_is_no_word(texts: list[str]) -> None:
    assert Index(texts).search("tea", 3) == []


def test_an_empty_question_finds_nothing() -> None:
    assert Index(["tea"]).search("?", 3) == []
