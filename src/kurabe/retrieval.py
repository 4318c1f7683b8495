"""An index of short texts and its search: BM25 over Latin words and pairs of Japanese characters.

Knows no example, no arm and no file: it is given texts and answers with their positions. The same texts and the same
question give the same order on every machine.

BM25 is Lucene's form with k1 = 1.5 and b = 0.75, as `bm25s` computes it (Lù 2024, arXiv:2407.03618).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

# Scripts that write no spaces: kana (with the long-vowel mark), iteration marks, Han. Hangul does, and counts as words.
_UNSPACED = "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff"
_RUN = re.compile(rf"([{_UNSPACED}]+)|([^\W_{_UNSPACED}]+)")
DIGITS = 4  # scores that are equal so far are ties: what comes behind may differ between machines


class Index:
    """Texts that can be searched."""

    def __init__(self, texts: Sequence[str]) -> None:
        tokens = [list(tokenize(text)) for text in texts]
        self._ranking: Any = None
        if any(tokens):  # else no text has a word in it, and nothing can be found
            import bm25s

            self._ranking = bm25s.BM25()
            self._ranking.index(tokens, show_progress=False)

    def search(self, question: str, most: int) -> list[int]:
        """Positions of the `most` best texts, best first; of equally good ones, the earlier first. Only what shares a
        token with the question is found."""
        tokens = list(tokenize(question))
        if not tokens or self._ranking is None:
            return []
        scores = [round(float(score), DIGITS) for score in self._ranking.get_scores(tokens)]
        found = [position for position, score in enumerate(scores) if score > 0]
        return sorted(found, key=lambda position: -scores[position])[:most]


def tokenize(text: str) -> Iterator[str]:
    """Lower-case words; a run of Japanese characters as its pairs, a single one as itself. Width does not count."""
    for unspaced, word in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        if word:
            yield word
        elif len(unspaced) == 1:
            yield unspaced
        else:
            yield from map("".join, pairwise(unspaced))
