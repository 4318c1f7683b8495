"""Line breaks: nothing is lost, nothing is too wide, Japanese is broken between its characters."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kurabe.cli.lines import Words, broken

MIXED = st.text(st.sampled_from("ab1 あア漢字、。（）ー〜「」.-%$\nㄱé"), max_size=120)


@given(MIXED, st.integers(4, 60))
def test_no_character_is_lost_and_no_line_is_too_wide(text: str, width: int) -> None:
    lines = [line.plain for line in broken(Text(text), width)]
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= width for line in lines)


@given(MIXED, st.integers(12, 60))
def test_no_line_begins_with_a_closing_mark(text: str, width: int) -> None:
    marks = "、。）」ー"
    for previous, line in zip(broken(Text(text), width), broken(Text(text), width)[1:], strict=False):
        if line.plain and line.plain[0] in marks:  # only where the text itself puts it there, or a run fills a line
            joined = previous.plain + line.plain
            assert f"\n{line.plain[0]}" in text or f" {line.plain[0]}" in text or cell_len(joined.split()[-1]) > width


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("one  two", 3, ["one", "two"]),
        ("of them 16 % (9–36 %) kept", 12, ["of them 16 %", "(9–36 %)", "kept"]),
        ("of them 16 % kept", 11, ["of them", "16 % kept"]),
        ("送料は無料です。", 10, ["送料は無料", "です。"]),
        ("送料は無料。", 10, ["送料は無", "料。"]),
        ("価格は$6.99です", 8, ["価格は", "$6.99で", "す"]),
        ("https://example.org/a", 8, ["https://", "example.", "org/a"]),
        ("a\n\nb", 9, ["a", "", "b"]),
        ("", 9, [""]),
    ],
)
def test_where_lines_end(text: str, width: int, lines: list[str]) -> None:
    assert [line.plain for line in broken(Text(text), width)] == lines


def test_styles_stay_on_their_words() -> None:
    text = Text.assemble("価格は", ("$6.99", "bold"), "です。送料は無料です。")
    styled = [line.plain[s.start : s.end] for line in broken(text, 12) for s in line.spans if s.style == "bold"]
    assert "".join(styled) == "$6.99"


@pytest.mark.parametrize("width", [20, 40])
def test_words_keep_to_a_cell_of_a_table(width: int) -> None:
    grid, stream = Table.grid(padding=(0, 1)), io.StringIO()
    grid.add_row("ラベル", Words("学習率は幅2000のモデル向けの値です。a long English sentence beside it."))
    Console(file=stream, width=width).print(grid)
    lines = stream.getvalue().splitlines()
    assert len(lines) > 2 and max(map(cell_len, lines)) <= width
