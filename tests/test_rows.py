"""Rows of real files: every format, every encoding, every way in which a file can be broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe import rows
from kurabe.errors import DataError, MissingError, SettingsError
from kurabe.rows import Problem, Row, RowFile
from kurabe.texts import Texts

GOOD = '{"question": "送料はいくらですか？", "answer": "500円です。"}'
LINES = [GOOD, '{"question": "Où est-ce?", "answer": "Café €2, 3–5 days"}']


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def read(path: Path, **options: Any) -> list[Row | Problem]:
    return list(RowFile(path, **options))


def reasons(found: list[Row | Problem]) -> list[tuple[int, int, str]]:
    return [(p.line, p.column, p.reason.key.rsplit(".", 1)[1]) for p in found if isinstance(p, Problem)]


# --- encodings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("last", [True, False])
def test_marked_encodings_and_newlines_give_the_same_rows_and_hash(
    tmp_path: Path, encoding: str, newline: str, last: bool
) -> None:
    plain, other = RowFile(write(tmp_path / "a.jsonl", "\n".join(LINES) + "\n")), tmp_path / "b.jsonl"
    other.write_bytes((newline.join(LINES) + newline * last).encode(encoding))
    same = RowFile(other)
    assert list(same) == list(plain) and len(list(plain)) == 2
    assert same.sha256 == plain.sha256
    assert same.encoding == encoding.removesuffix("-sig")


def test_the_hash_is_of_the_text_and_tells_different_texts_apart(tmp_path: Path) -> None:
    one, two = (RowFile(write(tmp_path / f"{i}.jsonl", GOOD.replace("500", i))) for i in ("500", "501"))
    list(one), list(two)
    assert one.sha256 != two.sha256
    first = one.sha256
    assert list(one) and one.sha256 == first  # a second pass starts again


JAPANESE = "".join(
    json.dumps({"question": q, "answer": a}, ensure_ascii=False) + "\n"
    for q, a in [
        ("送料はいくらですか？", "通常配送の送料は500円です。"),
        ("返品はできますか？", "商品の到着から14日以内なら返品できます。"),
        ("カタカナの質問", "「カギ括弧」を、使います。ソ能表"),
    ]
)


@pytest.mark.parametrize(("encoding", "named"), [("cp932", "cp932"), ("shift_jis", "cp932"), ("euc_jp", "euc_jp")])
def test_japanese_encodings_are_named_and_never_guessed_in_silence(tmp_path: Path, encoding: str, named: str) -> None:
    path = write(tmp_path / "a.jsonl", JAPANESE.encode(encoding))
    with pytest.raises(DataError) as refused:
        read(path)
    error = refused.value
    assert error.where == f"{path}:1"
    assert f"--encoding {named}" in error.fix
    assert "送料はいくらですか" in error.why  # a sample to judge by
    assert [row.fields for row in read(path, encoding=named) if isinstance(row, Row)] == [
        json.loads(line) for line in JAPANESE.splitlines()
    ]


def test_western_text_is_not_taken_for_japanese(tmp_path: Path) -> None:
    text = '{"question": "Où est le café?", "answer": "À côté. It’s 3–5 €."}\n'
    with pytest.raises(DataError) as refused:
        read(write(tmp_path / "a.jsonl", text.encode("cp1252")))
    assert "--encoding cp1252" in refused.value.fix
    assert "cp932" not in refused.value.why and "euc_jp" not in refused.value.why


def test_a_mixture_names_the_line_and_no_encoding(tmp_path: Path) -> None:
    data = (GOOD + "\n").encode("utf-8") + (GOOD + "\n").encode("cp932") + b'{"question": "\xff\xfe\x81"}\n'
    with pytest.raises(DataError) as refused:
        read(write(tmp_path / "a.jsonl", data))
    assert refused.value.where.endswith(":2")
    assert "--encoding" not in refused.value.fix


def test_the_bad_line_is_found_far_behind_the_start(tmp_path: Path) -> None:
    data = (GOOD + "\n").encode("utf-8") * 3000 + (GOOD + "\n").encode("cp932")
    with pytest.raises(DataError) as refused:
        read(write(tmp_path / "a.jsonl", data))
    assert refused.value.where.endswith(":3001")


def test_the_users_encoding_is_believed_and_checked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", JAPANESE.encode("euc_jp"))
    with pytest.raises(DataError, match="not in utf-16"):
        read(path, encoding="utf_16_le")
    for name in ("klingon", "rot13", "base64", "idna", "undefined"):
        with pytest.raises(SettingsError, match=name):
            read(path, encoding=name)


def test_utf_16_without_its_mark_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", (GOOD + "\n").encode("utf-16-le"))
    with pytest.raises(DataError) as refused:
        read(path)
    assert "--encoding utf-16-le" in refused.value.fix
    assert len(read(path, encoding="utf-16-le")) == 1


# --- JSONL -----------------------------------------------------------------------------------------------------

BROKEN = [
    ('{"question": "a", "answer": "b"', "not-json", 32),  # torn
    ('{"question": "a" "answer": "b"}', "not-json", 18),
    ("{'question': 'a', 'answer': 'b'}", "not-json", 2),
    ('{"question": "a", "answer": "b"} x', "not-json", 33),
    ('{"question": "a", "answer": "b"}{"question": "c"}', "not-json", 33),
    ('{"question": "a\x01", "answer": "b"}', "not-json", 16),
    ("question,answer", "not-json", 1),
    ('["a", "b"]', "not-an-object", 1),
    ("42", "not-an-object", 1),
    ("null", "not-an-object", 1),
    ('"a"', "not-an-object", 1),
    ('  {"question": "a", "answer": NaN}', "nan", 31),
    ('{"question": "a", "answer": -Infinity}', "nan", 29),
    ('{"question": "a", "question": "b"}', "key-twice", 2),
    ('{"question": ' + "[" * 100_000 + "]" * 100_000 + "}", "too-deep", 1),
    ('{"question": ' + "9" * 5000 + "}", "not-json", 1),
]


@pytest.mark.parametrize(("line", "reason", "column"), BROKEN)
def test_each_broken_line_has_its_place_and_reason(tmp_path: Path, line: str, reason: str, column: int) -> None:
    found = read(write(tmp_path / "a.jsonl", f"{GOOD}\n\n{line}\n{GOOD}\n"))
    assert reasons(found) == [(3, column, reason)]
    assert [row.line for row in found if isinstance(row, Row)] == [1, 4]
    problem = next(p for p in found if isinstance(p, Problem))
    assert problem.place("a.jsonl") == f"a.jsonl:3:{column}"
    assert all(problem.sentence(Texts(language)) for language in ("en", "ja"))


def test_a_torn_last_line_is_a_problem_and_not_an_end(tmp_path: Path) -> None:
    assert reasons(read(write(tmp_path / "a.jsonl", GOOD + "\n" + GOOD[:-3]))) == [
        (2, GOOD.index('"500') + 1, "not-json")
    ]


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_LINE", 1000)
    long = '{"question": "' + "a" * 3000 + '", "answer": "b"}'
    assert reasons(read(write(tmp_path / "a.jsonl", f"{GOOD}\n{long}\n{GOOD}"))) == [(2, 0, "line-too-long")]
    assert reasons(read(write(tmp_path / "b.jsonl", f"{GOOD}\n{long}"))) == [(2, 0, "line-too-long")]


@given(st.text())
def test_no_line_of_text_breaks_the_reader(line: str) -> None:
    found = rows._row(line, 7)
    assert found.line == 7


# --- JSON ------------------------------------------------------------------------------------------------------

TWO = [{"question": "a", "answer": "1"}, {"question": "b", "answer": "2"}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(TWO),
        json.dumps(TWO, indent=2),
        json.dumps({"version": 1, "tags": ["x"], "data": TWO, "more": {}}),
        "".join(json.dumps(row) + "\n" for row in TWO),  # JSONL under JSON's name
    ],
)
def test_json_arrays_wrapped_arrays_and_misnamed_lines(tmp_path: Path, text: str) -> None:
    found = read(write(tmp_path / "a.json", text))
    assert [row.fields for row in found if isinstance(row, Row)] == TWO


def test_an_array_under_the_name_of_jsonl_is_read(tmp_path: Path) -> None:
    file = RowFile(write(tmp_path / "a.jsonl", json.dumps(TWO, indent=1)))
    assert [row.fields for row in file if isinstance(row, Row)] == TWO
    assert file.format == "JSON"


def test_rows_of_an_array_know_their_lines(tmp_path: Path) -> None:
    text = '[\n  {"question": "a",\n   "answer": "1"},\n\n  3,\n  {"question": "b", "answer": "2"}]'
    found = read(write(tmp_path / "a.json", text))
    assert [row.line for row in found if isinstance(row, Row)] == [2, 6]
    assert reasons(found) == [(5, 3, "not-an-object")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[\n{"a": 1},\n{"a": NaN}]', "3:7"),
        ('[\n{"a": 1}\n{"a": 2}]', "3:1"),
        ('[{"a": 1}', "1:10"),
        ('{"data": {"question": "a"}}', "1:1"),
        ('[{"a": 1}] and more', "1:11"),  # a file cut or joined in the middle
        ('{"data": [{"a": 1}]', "1:20"),
        ('{"data": [{"a": 1}], "x": NaN}', "1:27"),
        ('{"train": [{"a": 1}],\n"test": [{"a": 2}]}', "2:9"),
        ("[" * 100_000, "1:2"),
    ],
)
def test_a_broken_array_refuses_the_file_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    path = write(tmp_path / "a.json", text)
    with pytest.raises(DataError) as refused:
        read(path)
    assert refused.value.where == f"{path}:{place}"


def test_a_huge_array_is_refused_before_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_JSON", 10)
    with pytest.raises(DataError, match="too large"):
        read(write(tmp_path / "a.json", json.dumps(TWO)))


def test_an_array_may_stand_on_one_line_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_LINE", 20)
    assert [row.fields for row in read(write(tmp_path / "a.json", json.dumps(TWO))) if isinstance(row, Row)] == TWO


# --- CSV and Parquet -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
def test_csv_with_each_separator(tmp_path: Path, name: str, separator: str) -> None:
    text = f'question {separator} answer\n"a{separator} b"{separator}"1\nand ""2"""\n\nb{separator}3\n'
    found = read(write(tmp_path / name, text))
    assert found == [
        Row(2, {"question": f"a{separator} b", "answer": '1\nand "2"'}),
        Row(5, {"question": "b", "answer": "3"}),
    ]


def test_broken_csv_rows_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    text = 'question,answer\na,1\nb,2,3\n"c"d,4\ne,5\n"f,6\n'
    found = read(write(tmp_path / "a.csv", text))
    assert [row.fields["question"] for row in found if isinstance(row, Row)] == ["a", "e"]
    assert [(line, key) for line, _, key in reasons(found)] == [(3, "cells"), (4, "not-csv"), (6, "not-csv")]


def test_of_two_columns_with_one_name_only_one_may_be_filled(tmp_path: Path) -> None:
    text = "question,answer,answer\na,1,\nb,,2\nc,3,4\n"
    found = read(write(tmp_path / "a.csv", text))
    assert [row.fields["answer"] for row in found if isinstance(row, Row)] == ["1", "2"]
    assert reasons(found) == [(4, 0, "field-twice")]


def test_parquet_rows_and_a_damaged_file(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.Table.from_pylist(TWO), path)
    file = RowFile(path)
    assert list(file) == [Row(1, TWO[0]), Row(2, TWO[1])]
    assert (file.format, file.encoding, len(file.sha256)) == ("Parquet", "", 64)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged"):
        read(path)
    with pytest.raises(DataError, match="not Parquet"):
        read(write(tmp_path / "b.parquet", GOOD))


def test_parquet_without_its_library_names_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingError) as missing:
        read(write(tmp_path / "a.parquet", b"PAR1"))
    assert missing.value.fix == "pip install 'kurabe[hub]'"


# --- what is no file of rows -----------------------------------------------------------------------------------


def test_what_is_no_regular_file_is_refused_unopened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder"):
        read(tmp_path)
    with pytest.raises(DataError, match="device"):
        read(Path(os.devnull))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFO on this system")
@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_and_a_link_to_one_do_not_hang(tmp_path: Path, linked: bool) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "pipe.jsonl")
    script = f"from kurabe.rows import RowFile\nRowFile({str(tmp_path / ('link' if linked else 'pipe')) + '.jsonl'!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", timeout=20)
    assert "DataError: This is a device, a pipe or a socket" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_dead_link_is_not_its_own_nearest(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "gone.jsonl")
    with pytest.raises(MissingError) as refused:
        read(tmp_path / "a.jsonl")
    assert refused.value.fix == "Check the path."


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path / "support-en.jsonl", GOOD)
    with pytest.raises(MissingError) as missing:
        read(tmp_path / "suport-en.jsonl")
    assert "support-en.jsonl" in missing.value.fix
    for path in (tmp_path / "no" / "x.jsonl", tmp_path / "support-en.jsonl" / "x.jsonl"):
        with pytest.raises(MissingError):
            read(path)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.jsonl", b"", "empty"),
        ("a.jsonl", b" \n\n", "empty"),
        ("a.xlsx", b"PK\x03\x04rest", "Excel"),
        ("a.bin", b"\0\1\2\3" * 100, "no text"),
        ("a.txt", b"How much is it?", "format"),
        ("a\0.jsonl", None, "cannot be read"),
    ],
)
def test_other_files_are_refused_with_their_kind(tmp_path: Path, name: str, content: bytes | None, what: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=what):
        read(path)
