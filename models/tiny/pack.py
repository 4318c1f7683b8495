"""Trees -> batches of tokens in one line: prefix, branches, next tree. Nothing is padded.

It knows nothing about shops or the model. Positions restart at the end of a tree's prefix, so that a packed branch
gets exactly the logits it would get alone (tests/test_tiny.py holds this).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from models.tiny.corpus import Tree

EOS = 2
SYSTEM, USER, ASSISTANT = 3, 4, 5
LONGEST = 2048  # tokens of one tree


@dataclass
class Packed:
    """A batch: whole trees, one after another. `weight` is the label's weight, `trees` the lengths of each tree's
    prefix and branches."""

    ids: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    trees: list[tuple[int, ...]] = field(default_factory=list)

    def add(self, prefix: list[int], branches: list[tuple[list[int], list[float]]]) -> None:
        """One more tree at the end."""
        self.trees.append((len(prefix), *(len(ids) for ids, _ in branches)))
        self.ids += prefix
        self.position += range(len(prefix))
        self.weight += [0.0] * len(prefix)
        for ids, weights in branches:
            self.ids += ids
            self.position += range(len(prefix), len(prefix) + len(ids))
            self.weight += weights

    def arrays(self) -> dict[str, np.ndarray]:
        """[tokens] each."""
        return {
            "ids": np.array(self.ids, dtype=np.uint16),
            "position": np.array(self.position, dtype=np.uint16),
            "weight": np.array(self.weight, dtype=np.float32),
        }


class Encoder:
    """Text pieces to ids; special tokens split the text, so pieces may be encoded one by one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.newline = tokenizer.encode("\n", add_special_tokens=False).ids

    def texts(self, texts: list[str]) -> list[list[int]]:
        encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def tree(self, tree: Tree) -> tuple[list[int], list[tuple[list[int], list[float]]]]:
        """The prefix's ids, then per branch its ids and the weight of each id as a label."""
        pieces = [tree.system] + [text for branch in tree.branches for turn in branch for text in turn]
        encoded = iter(self.texts(pieces))
        line = self.newline
        prefix = [SYSTEM, *line, *next(encoded), EOS, *line]
        branches = []
        for branch in tree.branches:
            ids: list[int] = []
            weights: list[float] = []
            for _ in branch:
                ask = [USER, *line, *next(encoded), EOS, *line, ASSISTANT, *line]
                answer = [*next(encoded), EOS]
                ids += ask + answer + line
                # Long answers weigh more than short ones, but by their root: copying is learnt on both.
                weights += [0.0] * len(ask) + [len(answer) ** -0.5] * len(answer) + [0.0] * len(line)
            branches.append((ids, weights))
        return prefix, branches


def pack(encoder: Encoder, trees: Iterable[Tree], tokens: int) -> Iterator[Packed]:
    """Batches of at most `tokens` tokens, in the order of the stream; too long a tree loses its last branches."""
    batch = Packed()
    for tree in trees:
        prefix, branches = encoder.tree(tree)
        length = len(prefix) + sum(len(ids) for ids, _ in branches)
        while branches and length > LONGEST:
            length -= len(branches.pop()[0])
        if not branches:
            continue
        if batch.trees and len(batch.ids) + length > tokens:
            yield batch
            batch = Packed()
        batch.add(prefix, branches)
    if batch.trees:
        yield batch
