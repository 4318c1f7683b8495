"""What a proof says of each hop: whether the answers survived, why not, and which larger format held.

Knows no model and no file: numbers in, words' keys out.
"""

from __future__ import annotations

from kurabe.schema import Hop, Parity

MARGIN = 0.05  # recall that rounding may cost before an export counts as failed
SAME = 0.99  # share of answers that a file without quantisation must give token by token
MERGED, OLLAMA = "merged", "Ollama"
EXACT = {"F32": 1.0, "F16": SAME, "BF16": SAME}


def held(hop: str, same: int, answers: int, scored: int, lost: float | None, prompts: int | None = None) -> bool:
    """Every answer came, every prompt has the run's token ids, recall lost stays within the margin, and without
    quantisation nearly all tokens are equal."""
    if scored < answers or lost is None or (prompts is not None and prompts < answers):
        return False
    return lost >= -MARGIN and same >= EXACT.get(hop.partition("+")[0], 0.0) * answers


def cause(hop: Hop) -> str:
    """Why a hop failed: "unscored", "prompts", "lost" or "differs"."""
    if hop.unscored:
        return "unscored"
    if hop.prompts is not None and hop.prompts < hop.answers:
        return "prompts"
    lost = hop.lost.value if hop.lost else None
    return "lost" if lost is None or lost < -MARGIN else "differs"


def next_larger(parity: Parity) -> str:
    """The smallest format that held and is larger than all that failed; "" where none failed or none holds."""
    failed = [hop.size for hop in parity.hops if not hop.held]
    larger = [hop for hop in parity.hops if failed and hop.held and hop.hop != OLLAMA and hop.size > max(failed)]
    return min(larger, key=lambda hop: hop.size).hop if larger else ""
