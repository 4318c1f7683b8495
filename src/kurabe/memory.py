"""What a model takes in memory: weights, adapters, optimiser, activations, keys and values; arithmetic, before loading.

Knows no torch and no device: shapes in, bytes out. benchmarks/memory.py holds it against what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kurabe.schema import Footprint, ModelInfo

FLOAT, HALF = 4, 2  # bytes of a number
OPTIMISER = 4  # numbers per trained parameter: two gradients (summed and new), AdamW's two moments
ACTIVATION_BYTES = 2 << 30  # what the activations of one forward and backward pass may take
CACHE_BYTES = 1 << 30  # what the rows of one batch may hold in keys and values
PREFILL_POSITIONS = 4096  # positions of one forward pass over prompts


class Load(NamedTuple):
    """What a run asks of a model, at most: numbers of all adapters and of one, a training step and a batch of answers.
    Positions and labels are those of the step's rows together."""

    adapters: int
    trained: int
    positions: int
    labelled: int
    dropout: bool
    rows: int
    columns: int  # of the longest prompt with its answer


class Plan(NamedTuple):
    """Bytes of a run by their use. `loading` are those that are given back when the model has been loaded."""

    libraries: int
    weights: int
    loading: int
    adapters: int
    optimiser: int
    activations: int
    prompts: int
    kv_cache: int

    @classmethod
    def of(cls, shape: Shape, held: Footprint, load: Load) -> Plan:
        """What these weights and this work come to."""
        activations = shape.trained_row(load.positions, load.labelled, dropout=load.dropout)
        return cls(
            libraries=held.libraries, weights=held.weights, loading=held.loading, adapters=FLOAT * load.adapters,
            optimiser=FLOAT * OPTIMISER * load.trained, activations=min(activations, ACTIVATION_BYTES),
            prompts=shape.passing(min(load.rows * load.columns, PREFILL_POSITIONS)),
            kv_cache=min(load.rows * load.columns * shape.column(), CACHE_BYTES),
        )  # fmt: skip

    @property
    def training(self) -> int:
        """At its peak: one trial in training."""
        return self.libraries + self.weights + self.adapters + self.optimiser + self.activations

    @property
    def answering(self) -> int:
        """At its peak: one batch of answers."""
        return self.libraries + self.weights + self.adapters + self.prompts + self.kv_cache

    @property
    def peak(self) -> int:
        """What the whole run has to have."""
        return max(self.libraries + self.weights + self.loading, self.training, self.answering)


class Shape(NamedTuple):
    """A decoder's sizes: widths of the hidden states, of the feed-forward layers, of all query and all key heads."""

    hidden: int
    feed_forward: int
    layers: int
    query: int
    key_value: int
    vocabulary: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        """As a model's config.json says."""
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        size = int(config.get("head_dim") or hidden // heads)
        groups = int(config.get("num_key_value_heads") or heads)
        return cls(
            hidden, int(config["intermediate_size"]), int(config["num_hidden_layers"]), heads * size, groups * size,
            int(config["vocab_size"]),
        )  # fmt: skip

    @classmethod
    def of_info(cls, info: ModelInfo) -> Shape | None:
        """Of a loaded model; None where nobody has said (a server, a scripted model)."""
        held = info.footprint
        if held is None:
            return None
        return cls(info.hidden, held.feed_forward, info.layers, held.query, held.key_value, info.vocabulary)

    @property
    def linears(self) -> int:
        """Numbers in the linear modules of all layers: queries, keys, values, output; gate, up, down."""
        return self.layers * self.hidden * (2 * self.query + 2 * self.key_value + 3 * self.feed_forward)

    def weights(self, numbers: int, dtype: str) -> int:
        """So many numbers: in bfloat16 those of the layers' linear modules, the rest in float32."""
        return FLOAT * numbers - ((FLOAT - HALF) * self.linears if dtype == "bfloat16" else 0)

    def trained_row(self, width: int, labelled: int, *, dropout: bool) -> int:
        """A row of so many positions from its forward to its backward pass. What autograd keeps per layer: the inputs
        of both norms and of the linear modules (queries to values share one, gate and up another), queries, keys,
        values and the attention's output, gate, its activation, up, and their product; with dropout the masks and what
        they leave of each module's input. Then the logits of labelled positions, their softmax and its gradient."""
        kept = 5 * self.hidden + 3 * self.query + 2 * self.key_value + 4 * self.feed_forward
        if dropout:
            kept += 2 * (5 * self.hidden + self.query + self.feed_forward)
        return FLOAT * (width * self.layers * kept + 3 * labelled * self.vocabulary)

    def column(self) -> int:
        """The keys and values of one position."""
        return FLOAT * 2 * self.layers * self.key_value

    def passing(self, positions: int) -> int:
        """What a pass over so many positions holds without gradients: one layer's tensors at a time."""
        return FLOAT * positions * (4 * self.hidden + 2 * self.query + 3 * self.feed_forward)
