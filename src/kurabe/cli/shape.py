"""How many parameters a Llama of a shape has, and how many a LoRA on its seven linears adds.

Knows no weights: it is arithmetic, for the model that nobody has to load here.
"""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """A Llama's sizes. `key_value` is the width of keys and values: their heads times the head's width."""

    hidden: int
    feed_forward: int
    layers: int
    key_value: int
    vocabulary: int

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of the seven linear modules of one layer: q, k, v, o, gate, up, down."""
        h, f, kv = self.hidden, self.feed_forward, self.key_value
        return ((h, h), (h, kv), (h, kv), (h, h), (h, f), (h, f), (f, h))

    @property
    def parameters(self) -> int:
        """All weights, with an output matrix of its own."""
        layer = sum(i * o for i, o in self.linears) + 2 * self.hidden
        return self.layers * layer + self.hidden + 2 * self.vocabulary * self.hidden

    def adapter(self, rank: int) -> int:
        """Trainable parameters of a LoRA: A is rank x inputs, B is outputs x rank, for each linear module."""
        return self.layers * rank * sum(i + o for i, o in self.linears)


TINYLLAMA = Shape(hidden=2048, feed_forward=5632, layers=22, key_value=256, vocabulary=32000)
