"""How often the search finds a question's own row, by what stands in the index. Printed, not asserted.

Held-out wordings of the example files are looked for, first and among the first three. No model runs.

    python benchmarks/retrieval.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kurabe import intake
from kurabe.retrieval import Index
from kurabe.schema import Example
from kurabe.settings import RunSettings

EXAMPLES = Path(__file__).parents[1] / "examples"
# What a row is found by: one or more texts, of which the best counts.
LAYOUTS: dict[str, Callable[[Example], list[str]]] = {
    "answer": lambda row: [row.answer],
    "own question and answer": lambda row: [f"{row.question}\n{row.answer}"],
    "all trained wordings and answer, together": lambda row: ["\n".join((*row.texts("trained"), row.answer))],
    "each trained wording with the answer": lambda row: [f"{text}\n{row.answer}" for text in row.texts("trained")],
}


def found(rows: tuple[Example, ...], layout: str) -> tuple[int, int, int]:
    """(questions, own row found first, own row among the first three)."""
    texts = [(owner, text) for owner, row in enumerate(rows) for text in LAYOUTS[layout](row)]
    index = Index([text for _, text in texts])
    asked = first = three = 0
    for number, row in enumerate(rows):
        for question in row.texts("held_out"):
            hits = [texts[place][0] for place in index.search(question, len(texts))]
            best = list(dict.fromkeys(hits))[:3]
            asked, first, three = asked + 1, first + (best[:1] == [number]), three + (number in best)
    return asked, first, three


def main() -> None:
    print("| file | indexed | questions | first | among three |\n|---|---|---|---|---|")
    for path in sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".jsonl", ".csv")):
        _, rows = intake.read(path, RunSettings())
        for layout in LAYOUTS:
            asked, first, three = found(rows, layout)
            print(f"| {path.name} | {layout} | {asked} | {first / asked:.0%} | {three / asked:.0%} |")


if __name__ == "__main__":
    main()
