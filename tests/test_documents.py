"""Documents become passages that lose no word, keep their headings and stay short."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe.documents import MOST_BYTES, MOST_CHARACTERS, cut, read_passages
from kurabe.errors import DataError, MissingError, UserError

PAGE = """\
Welcome to the shop.

# Shipping

Standard costs $6.99.

## Abroad

From $19.99.
It takes 7-14 days.

```
# no heading
```

# Returns #
Within 14 days.
"""


def test_a_passage_stands_under_its_headings() -> None:
    assert list(cut(PAGE)) == [
        "Welcome to the shop.",
        "Shipping\nStandard costs $6.99.",
        "Shipping\nAbroad\nFrom $19.99.\nIt takes 7-14 days.\n```\n# no heading\n```",
        "Returns\nWithin 14 days.",
    ]


def test_plain_text_has_no_headings() -> None:
    assert list(cut("# 1 is our motto\n\nCall us.", markdown=False)) == ["# 1 is our motto\nCall us."]


@pytest.mark.parametrize("text", ["", " \n\t\n", "# Only\n## headings\n"])
def test_where_nothing_is_said_there_is_no_passage(text: str) -> None:
    assert list(cut(text)) == []


@given(st.lists(st.sampled_from(["One two. ", "三四。", "x" * 250, "\n", "\n\n", "five! "]), max_size=40).map("".join))
def test_no_character_is_lost_and_no_passage_is_long(text: str) -> None:
    passages = list(cut(text, markdown=False))
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert all(passage.strip() and len(passage) <= MOST_CHARACTERS + passage.count("\n") for passage in passages)


def test_a_long_paragraph_is_cut_at_the_end_of_a_sentence() -> None:
    text = "This sentence has some words in it. " * 40 + "これは日本語の文です。" * 60
    passages = list(cut(text))
    assert len(passages) > 2 and all(passage.endswith((".", "。")) for passage in passages)


@pytest.mark.parametrize("line", ["# " + "word " * 4000 + "x", "# a" + "# " * 50_000 + "x", "## " + " " * 50_000 + "x"])
def test_a_line_longer_than_a_passage_is_no_heading(line: str) -> None:
    passages = list(cut(f"# Prices\n\n{line}\n\n" + "A kilo costs $3.\n\n" * 100))
    assert all(len(passage) < 2 * MOST_CHARACTERS for passage in passages)
    assert {passage.splitlines()[0] for passage in passages} == {"Prices"}


def test_a_folder_gives_its_texts_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    for name, text in (("b/z.md", "Z"), ("c.TXT", "C"), ("a.md", "A"), ("x.html", "no"), (".git/y.md", "no")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "d.md").write_bytes("\ufeff営業時間".encode())
    assert [(p.source, p.text) for p in read_passages([tmp_path])] == [
        ("a.md", "A"), ("z.md", "Z"), ("c.TXT", "C"), ("d.md", "営業時間")
    ]  # fmt: skip
    named = read_passages([tmp_path / "x.html", tmp_path / "a.md", tmp_path / "a.md"])
    assert [p.text for p in named] == ["no", "A"], "a file that is named is read, once"


def test_what_cannot_be_used_says_what_mends_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.md").write_text(" \n", encoding="utf-8")
    (tmp_path / "cp932.txt").write_bytes("営業時間は九時からです。".encode("cp932"))
    (tmp_path / "zip.md").write_bytes(b"PK\0\0\1")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    kinds = dict.fromkeys(("empty", "nowhere", "n" * 300), MissingError)
    for name in (*kinds, "blank.md", "cp932.txt", "zip.md", "huge.txt"):
        with pytest.raises(UserError) as error:
            read_passages([tmp_path / name])
        assert isinstance(error.value, kinds.get(name, DataError)) and error.value.fix
        assert name in error.value.where and "--encoding" not in error.value.fix, "that is the data file's"
