"""Writes docs/audit.md and docs/audit.ja.md: findings, costs, the libraries' defaults. `python docs/make_audit.py`.

Knows no finding and no default: it asks the catalogues and the program. A test compares the pages with what this makes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from kurabe.auditing.costs import costs
from kurabe.auditing.libraries import LIBRARIES, SAMPLING
from kurabe.report import sentences
from kurabe.schema import Finding
from kurabe.texts import LANGUAGES, Texts, catalogue

FOLDER = Path(__file__).parent
NAMES = {"en": "audit.md", "ja": "audit.ja.md"}
HEAD = {
    "en": """# What `kurabe audit` finds

Made by `python docs/make_audit.py` from the program itself. 日本語: [audit.ja.md](audit.ja.md). How to use it:
[guide.md](guide.md), section 8.

A finding has a stable `id`, a level, its numbers, the place (file and line, or the library whose default it is) and, where there is
one, the value that mends it. `warn` (and `refuse`) is for what can explain a fine-tune that learned nothing, or a test that cannot
show what it learned; what is only worth knowing is `info`. What is unknown is not judged.

## Findings

""",
    "ja": """# `kurabe audit` が見つけるもの

`python docs/make_audit.py` がプログラム自身から作ります。English: [audit.md](audit.md)。使い方:
[guide.ja.md](guide.ja.md) の8。

発見には、変わらない `id`、レベル、数値、場所（ファイルと行、または既定値を持つライブラリ）があり、あれば直すための値も付きます。`warn`（と `refuse`）は、
何も覚えなかった理由になり得るもの、または覚えたことを示せないテストです。知っておくとよいだけのものは `info` です。不明な点は判定しません。

## 発見の一覧

""",
}
COLUMNS = {"en": "| id | why it matters | what mends it |", "ja": "| id | なぜ問題か | 直し方 |"}
COSTS = {
    "en": """
## What they cost

Written by `python -m studies.origin_ablation.costs` into the package, from the trials of the
[study of a tutorial's recipe](origin-ablation.md). All of it was measured on kurabe's stand-in model; a finding that is not
listed has no measured cost, which does not mean that it is harmless.

| id | cost |
|---|---|
""",
    "ja": """
## 代償

`python -m studies.origin_ablation.costs` が、[チュートリアルのレシピの調査](origin-ablation.ja.md)の試行からパッケージに書き込みます。
すべてkurabeの代役モデルでの測定です。一覧にない発見は代償を測っていないだけで、無害という意味ではありません。

| id | 代償 |
|---|---|
""",
}
DEFAULTS = {
    "en": """
## What is taken for set where nothing is set

The defaults of each library, and what they were read from. A default that depends on the model or on the rows stays unknown. Other
versions can differ: what is written in a configuration always counts.

""",
    "ja": """
## 何も書かれていないときに使う値

各ライブラリの既定値と、その出典です。モデルや行によって変わる既定値は不明のままにします。版が違えば異なることもあります。設定に書かれた値が常に優先します。

""",
}


def page(language: str) -> str:
    """One page as text."""
    t = Texts(language)
    ids = [key.split(".")[1] for key in catalogue("en") if key.startswith("audit.") and key.endswith(".why")]
    rows = [f"| `{key}` | {_cell(t(f'audit.{key}.why'))} | {_cell(t(f'audit.{key}.fix'))} |" for key in ids]
    told = [f"| `{key}` | {_cell(_cost(key, t))} |" for key in costs()]
    parts = [
        HEAD[language] + COLUMNS[language],
        "|---|---|---|",
        *rows,
        COSTS[language] + "\n".join(told),
        DEFAULTS[language] + defaults(),
    ]
    return "\n".join(parts) + "\n"


def defaults() -> str:
    """One row per library."""
    lines = ["| library | defaults | read from |", "|---|---|---|"]
    for library in LIBRARIES.values():
        shown = library.defaults | (SAMPLING if library.name == "llama-factory" else {})
        values = ", ".join(f"{name} {_value(value)}" for name, value in shown.items())
        lines.append(f"| [{library.version}]({library.source}) | {values} | {library.read} |")
    return "\n".join(lines)


def _cost(key: str, t: Texts) -> str:
    return sentences.fault_cost(Finding(id=key, level="warn", recipe="", values={}, cost=costs()[key]), t)


def _value(value: Any) -> str:
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


if __name__ == "__main__":
    for language in LANGUAGES:
        path = FOLDER / NAMES[language]
        path.write_text(page(language), encoding="utf-8")
        sys.stdout.write(f"{path}\n")
