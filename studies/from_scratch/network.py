"""A small Llama from nothing: trained on rows of words, asked for the word at a place.

Knows no people and no study. Shapes in names: B rows, T places, V vocabulary.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from studies.from_scratch.people import Text

SHAPE = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4}
BATCH = 40
BEGIN, PAD = 0, 1  # ids that no word has
IGNORE = -100


class Network:
    """The model with its vocabulary of whole words."""

    def __init__(self, words: Sequence[str], seed: int, **shape: int) -> None:
        from transformers import LlamaConfig
        from transformers.models.llama.modeling_llama import LlamaForCausalLM

        self._ids = {word: 2 + n for n, word in enumerate(sorted(set(words)))}
        config = LlamaConfig(
            vocab_size=2 + len(self._ids), max_position_embeddings=128, tie_word_embeddings=True, pad_token_id=PAD,
            bos_token_id=BEGIN, eos_token_id=PAD, **(SHAPE | shape),
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model: Any = LlamaForCausalLM(config)

    @property
    def parameters(self) -> int:
        """How many there are."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def train(self, texts: Sequence[Text], steps: int, rate: float, seed: int, answers_only: bool = False) -> float:
        """So many steps of AdamW over the texts in random order, epoch after epoch; the last loss. The rate rises over
        5 % of the steps and falls along a cosine. With `answers_only` only values are learned, else every word."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=0.1, betas=(0.9, 0.98))
        rng, order, value = random.Random(seed), list[int](), 0.0
        self.model.train()
        for step in range(steps):
            if len(order) < BATCH:
                order += rng.sample(range(len(texts)), len(texts))
            batch, order = [texts[i] for i in order[:BATCH]], order[BATCH:]
            for group in optimizer.param_groups:
                group["lr"] = rate * _factor(step, steps)
            ids_BT = self._rows(batch)
            labels_BT = self._labels(batch, ids_BT, answers_only)
            logits_BTV = self.model(input_ids=ids_BT).logits
            loss = F.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=IGNORE)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            value = loss.item()
        return value

    @torch.inference_mode()
    def right(self, texts: Sequence[Text]) -> list[tuple[int, int]]:
        """Of each text: how many of its values are the likeliest word at their place, and how many it has."""
        self.model.eval()
        found: list[tuple[int, int]] = []
        for start in range(0, len(texts), 5 * BATCH):
            batch = texts[start : start + 5 * BATCH]
            ids_BT = self._rows(batch)
            said_BT = self.model(input_ids=ids_BT).logits.argmax(-1)
            for line, text in enumerate(batch):
                # The word at place k stands behind the beginning, at k + 1; it is said one place before.
                hits = sum(int(said_BT[line, place]) == int(ids_BT[line, place + 1]) for place, _ in text.values)
                found.append((hits, len(text.values)))
        return found

    def _rows(self, texts: Sequence[Text]) -> Tensor:
        width = 1 + max(len(text.words) for text in texts)
        rows = [[BEGIN, *(self._ids[word] for word in text.words)] for text in texts]
        return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])

    def _labels(self, texts: Sequence[Text], ids_BT: Tensor, answers_only: bool) -> Tensor:
        if not answers_only:
            return ids_BT.masked_fill(ids_BT == PAD, IGNORE)
        labels_BT = torch.full_like(ids_BT, IGNORE)
        for line, text in enumerate(texts):
            for place, _ in text.values:
                labels_BT[line, place + 1] = ids_BT[line, place + 1]
        return labels_BT


def _factor(step: int, steps: int) -> float:
    warmup = max(1, round(0.05 * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
