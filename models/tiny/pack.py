"""Trees -> token rows: several trees fill one row, each branch sees its own prefix and itself only.

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
SHORT, LONG = 1024, 2048


@dataclass
class Packed:
    """One row being filled. `tree` 0 is padding; `branch` 0 is the shared prefix; `weight` is the label's weight."""

    size: int
    ids: list[int] = field(default_factory=list)
    tree: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    trees: int = 0


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


def _add(row: Packed, prefix: list[int], branches: list[tuple[list[int], list[float]]]) -> None:
    row.trees += 1
    row.ids += prefix
    row.branch += [0] * len(prefix)
    row.position += range(len(prefix))
    row.weight += [0.0] * len(prefix)
    for number, (ids, weights) in enumerate(branches, 1):
        row.ids += ids
        row.branch += [number] * len(ids)
        row.position += range(len(prefix), len(prefix) + len(ids))
        row.weight += weights
    row.tree += [row.trees] * (len(row.ids) - len(row.tree))


def pack(encoder: Encoder, trees: Iterable[Tree]) -> Iterator[Packed]:
    """First fit into a few open rows of each size; a tree that is too long loses its last branches."""
    waiting: dict[int, list[Packed]] = {SHORT: [], LONG: []}
    for tree in trees:
        prefix, branches = encoder.tree(tree)
        while len(prefix) + sum(len(ids) for ids, _ in branches) > LONG:
            branches.pop()
        if not branches:
            continue
        length = len(prefix) + sum(len(ids) for ids, _ in branches)
        size = SHORT if length <= SHORT else LONG
        # A short tree fills a long row's gap first, for a long row is rarely full.
        room = [row for row in waiting[LONG] + waiting[size] if row.size - len(row.ids) >= length]
        if room:
            row = room[0]
        else:
            row = Packed(size)
            waiting[size].append(row)
        _add(row, prefix, branches)
        for group in waiting.values():
            if len(group) > 6:
                group.sort(key=lambda row: len(row.ids))
                yield group.pop()
    for group in waiting.values():
        yield from group


def arrays(rows: list[Packed]) -> dict[str, np.ndarray]:
    """Rows of one size as padded arrays."""
    size = rows[0].size

    def column(name: str, kind: type[np.generic]) -> np.ndarray:
        out = np.zeros((len(rows), size), dtype=kind)
        for index, row in enumerate(rows):
            values = getattr(row, name)
            out[index, : len(values)] = values
        return out

    return {
        "ids": column("ids", np.uint16),
        "tree": column("tree", np.uint8),
        "branch": column("branch", np.uint8),
        "position": column("position", np.uint16),
        "weight": column("weight", np.float32),
    }
