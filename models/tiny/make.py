"""One command for the embedded model: tokenizer, training, evaluation, weights, card. Resumable at any moment.

It knows the order of the steps and nothing of their insides.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import torch  # noqa: E402

from models.tiny import tokenizer  # noqa: E402
from models.tiny.card import card  # noqa: E402
from models.tiny.evaluate import load, measure  # noqa: E402
from models.tiny.export import export  # noqa: E402
from models.tiny.plan import PLAN  # noqa: E402
from models.tiny.probes import KINDS  # noqa: E402
from models.tiny.train import append, train  # noqa: E402

CURVE = ("reading", "reading, trained wordings", "several values", "declines beside other facts", "general questions")


def measured(folder: Path, kinds: tuple[str, ...], languages: list[str], count: int) -> list[dict[str, Any]]:
    """Scores of an exported folder, printed as they come."""
    model, encoder = load(folder)
    scores = []
    for language in languages:
        for kind in kinds:
            score, _ = measure(model, encoder, kind, language, count)
            share = f"{100 * score.rate:5.1f} %  [{100 * score.low:.1f}, {100 * score.high:.1f}]"
            print(f"{language}  {kind:32} {share}  n {score.of}")
            sys.stdout.flush()
            scores.append(asdict(score))
    return scores


def point(work: Path, step: int, tokens: int) -> None:
    """One point of the curve: a few questions of each kind."""
    folder = work / "point"
    export(work, folder)
    scores = measured(folder, CURVE, ["en"], 48)
    shares = {score["kind"]: 100 * score["right"] / score["of"] for score in scores}
    append(work / "curve.jsonl", {"step": step, "tokens": tokens, "scores": shares})


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train kurabe-tiny again from its seed, measure it, write weights and card."
    )
    parser.add_argument("--work", type=Path, default=ROOT / "build/tiny", help="checkpoints, tokenizer and curve")
    parser.add_argument("--folder", type=Path, default=None, help="where the model goes (default: the work folder)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's choice")
    parser.add_argument("--measure-every", type=int, default=400, help="steps between points of the curve; 0 for none")
    parser.add_argument("--count", type=int, default=300, help="questions of each kind in the card")
    parser.add_argument("--languages", default="en,ja", help="languages in the card, by commas")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    work, folder = options.work, options.folder or options.work / "model"
    if not (work / "tokenizer.json").exists():
        tokenizer.save(tokenizer.build(str(PLAN.seed)), work)
    for record in train(PLAN, work, options.device):
        append(work / "log.jsonl", record)
        print(record, flush=True)
        if options.measure_every and record["step"] % options.measure_every == 0:
            point(work, record["step"], record["tokens"])
    export(work, folder, PLAN.shares)
    scores = measured(folder, tuple(KINDS), options.languages.split(","), options.count)
    model, encoder = load(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    notes = Path(__file__).with_name("notes.md").read_text(encoding="utf-8")
    text = card(PLAN, work, scores, parameters, encoder.tokenizer.get_vocab_size(), notes)
    (folder / "README.md").write_text(text, encoding="utf-8")
    if folder.resolve() == (ROOT / "src/kurabe/tiny").resolve():
        Path(__file__).with_name("README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
