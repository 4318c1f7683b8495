"""Stored trials -> the figures of the page: recall by arm, and which order of the arms could be shown.

Knows no model and no sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kurabe.schema import Estimate
from studies import estimates
from studies.chart import Bar, chart
from studies.estimates import of, share, shown
from studies.pages import Page
from studies.results import Stored, Trial
from studies.retrieval.trials import ARMS, COMMAND, FACTS, HELD_OUT, KIND, RUNS, SEEDS, SETS, WAYS

# What the published order says, arm by arm: the first of each pair is ahead of the second, or not behind it.
PAIRS = (("lora", "base"), ("rag", "lora"), ("prompt", "lora"), ("lora+rag", "rag"), ("lora+prompt", "prompt"),
         ("ceiling", "rag"))  # fmt: skip


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    ways = [_way(trials, number, way) for number, way in enumerate(WAYS, start=1)]
    return {
        "ways": ways, "arms": ARMS, "sets": len(SETS), "facts": FACTS, "questions": HELD_OUT, "seeds_each": len(SEEDS),
        "chart": chart(
            ("way", "arm"),
            [Bar((str(way["number"]), arm), way["arms"][arm].estimate) for way in ways for arm in ARMS],
        ),
    }  # fmt: skip


def _way(trials: Sequence[Trial[Any]], number: int, way: Mapping[str, Any]) -> dict[str, Any]:
    """One way to train: every arm's recall over all sets, the differences, and what they say of the published order."""
    own = of(trials, **way)
    tallies = {arm: [trial.end[arm] for trial in own] for arm in ARMS}
    differences = {pair: estimates.difference(tallies[pair[0]], tallies[pair[1]]) for pair in PAIRS}
    return {
        "number": number, **way, "trial": own[0], "arms": {arm: share(tallies[arm]) for arm in ARMS},
        "lora_base": differences["lora", "base"], "rag_lora": differences["rag", "lora"],
        "prompt_lora": differences["prompt", "lora"], "both_rag": differences["lora+rag", "rag"],
        "both_prompt": differences["lora+prompt", "prompt"], "ceiling_rag": differences["ceiling", "rag"],
        "learns": shown(differences["lora", "base"]) > 0, "retrieval": _order(differences["rag", "lora"]),
        "both": _order(differences["lora+rag", "rag"]),
    }  # fmt: skip


def _order(difference: Estimate) -> str:
    """Of a difference: "ahead", "behind", or "open" where its interval holds 0."""
    return ("behind", "open", "ahead")[shown(difference) + 1]


PAGE = Page(Path(__file__).resolve().parent, COMMAND, KIND, figures)
