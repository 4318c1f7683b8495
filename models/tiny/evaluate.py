"""Measures a trained kurabe-tiny: greedy answers to the probes, counted, with Wilson intervals.

It knows nothing about training. Run `python -m models.tiny.evaluate FOLDER` for the table of the card.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from models.tiny.pack import ASSISTANT, EOS, SYSTEM, USER, Encoder
from models.tiny.probes import KINDS, Probe, probes

_DECLINES = ("I don't have", "その情報はありません")


@dataclass(frozen=True)
class Score:
    """`right` of `of` values (or questions), with a 95 % Wilson interval."""

    kind: str
    language: str
    right: int
    of: int
    low: float
    high: float
    exact: float

    @property
    def rate(self) -> float:
        return self.right / self.of if self.of else math.nan


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share; never of width zero."""
    if not of:
        return 0.0, 1.0
    z, share = 1.96, right / of
    centre = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, (centre - spread) / (1 + z * z / of)), min(1.0, (centre + spread) / (1 + z * z / of))


def holds(answer: str, value: str) -> bool:
    """The value stands in the answer and is not a part of a longer number or word."""
    start = r"(?<![0-9A-Za-z])(?<![0-9][.,])" if value[:1].isascii() and value[:1].isalnum() else ""
    end = r"(?![0-9A-Za-z])(?![.,][0-9])" if value[-1:].isascii() and value[-1:].isalnum() else ""
    return re.search(start + re.escape(value) + end, answer, re.IGNORECASE) is not None


def prompt_ids(encoder: Encoder, probe: Probe) -> list[int]:
    """The chat template's ids, up to the place where the answer begins."""
    system, question = encoder.texts([probe.system, probe.question])
    line = encoder.newline
    return [SYSTEM, *line, *system, EOS, *line, USER, *line, *question, EOS, *line, ASSISTANT, *line]


@torch.inference_mode()
def answer(
    model: LlamaForCausalLM, encoder: Encoder, asked: list[Probe], limit: int = 120, rows: int = 16
) -> list[str]:
    """Greedy answers, in batches of prompts of about one length."""
    prompts = [prompt_ids(encoder, probe) for probe in asked]
    order = sorted(range(len(asked)), key=lambda index: len(prompts[index]))
    texts = [""] * len(asked)
    for start in range(0, len(order), rows):
        group = order[start : start + rows]
        width = max(len(prompts[index]) for index in group)
        ids = torch.tensor([[0] * (width - len(prompts[index])) + prompts[index] for index in group])
        mask = torch.tensor([[0] * (width - len(prompts[index])) + [1] * len(prompts[index]) for index in group])
        out = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device), max_new_tokens=limit, do_sample=False
        )
        for index, row in zip(group, out[:, width:].tolist(), strict=True):
            row = row[: row.index(EOS)] if EOS in row else row
            texts[index] = encoder.tokenizer.decode(row, skip_special_tokens=True)
    return texts


def judge(probe: Probe, text: str) -> tuple[int, int]:
    """How many of how many are right."""
    if probe.declined:
        clean = text.startswith(_DECLINES) and not re.search(r"\d", text)
        return int(clean), 1
    if probe.any_value:
        return int(any(holds(text, value) for value in probe.values)), 1
    return sum(holds(text, value) for value in probe.values), len(probe.values)


def measure(
    model: LlamaForCausalLM, encoder: Encoder, kind: str, language: str, count: int
) -> tuple[Score, list[tuple[Probe, str]]]:
    """The score of one kind, and the answers that were not wholly right."""
    asked = probes(kind, language, count)
    texts = answer(model, encoder, asked) if asked else []
    judged = [judge(probe, text) for probe, text in zip(asked, texts, strict=True)]
    right, of = sum(r for r, _ in judged), sum(n for _, n in judged)
    exact = sum(text == probe.expected for probe, text in zip(asked, texts, strict=True)) / max(1, len(asked))
    faults = [(probe, text) for probe, text, (r, n) in zip(asked, texts, judged, strict=True) if r < n]
    return Score(kind, language, right, of, *wilson(right, of), exact), faults


def load(folder: Path) -> tuple[LlamaForCausalLM, Encoder]:
    """An exported folder, in float32 for exact greedy decoding."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, Encoder(Tokenizer.from_file(str(folder / "tokenizer.json")))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an exported kurabe-tiny.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("src/kurabe/tiny"))
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--languages", default="en,ja")
    parser.add_argument("--kinds", default="", help="only kinds that contain this")
    parser.add_argument("--faults", type=int, default=0, help="show this many wrong answers of each kind")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model, encoder = load(options.folder)
    scores = []
    for language in options.languages.split(","):
        for kind in (kind for kind in KINDS if options.kinds in kind):
            began = time.monotonic()
            score, faults = measure(model, encoder, kind, language, options.count)
            scores.append(asdict(score))
            print(
                f"{language}  {kind:32} {100 * score.rate:5.1f} %  [{100 * score.low:.1f}, {100 * score.high:.1f}]"
                f"  {score.right}/{score.of}  exact {100 * score.exact:.1f} %  {time.monotonic() - began:.0f} s",
                flush=True,
            )
            for probe, text in faults[: options.faults]:
                print(
                    f"    Q {probe.question!r}\n    E {probe.expected or probe.values!r}\n    G {text!r}",
                    file=sys.stderr,
                )
    if options.json:
        options.json.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
