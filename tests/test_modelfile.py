"""Modelfiles: what is written reads back, what is read is what Ollama's reader would have read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe.errors import UserError
from kurabe.export.modelfile import COMMANDS, Command, messages, parse, read_file, write

# Characters that mean something to the grammar, among ordinary and Japanese ones.
characters = st.one_of(st.sampled_from(list('" \t\r\n#aF:。{')), st.characters(exclude_categories=("Cs",)))
# A list and not st.text, which would draw from the union of both and hardly ever a quote.
texts = st.lists(characters, max_size=20).map("".join)


def writable(text: str) -> bool:
    return '"""' not in text and all(c.isprintable() or c in "\t\r\n" for c in text)


values = texts.filter(writable)
commands = st.one_of(
    st.builds(
        Command, st.sampled_from([c for c in COMMANDS if c not in ("PARAMETER", "MESSAGE")]), values, st.just("")
    ),
    st.builds(Command, st.just("PARAMETER"), values, st.from_regex(r"[A-Za-z0-9_]+", fullmatch=True)),
    st.builds(Command, st.just("MESSAGE"), values, st.sampled_from(["system", "user", "assistant"])),
)


@given(values, st.lists(commands, max_size=6))
def test_what_is_written_reads_back(base: str, rest: list[Command]) -> None:
    written = (Command("FROM", base), *rest)
    assert parse(write(written)).commands == written


@given(texts.filter(lambda text: not writable(text)))
def test_what_cannot_be_written_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        write([Command("SYSTEM", text)])


def reference(text: str) -> list[tuple[str, str, str]] | None:  # noqa: C901  (one machine, as there)
    """Ollama's reader, character by character, as its source does it; None where it gives an error."""

    def unquoted(buffer: str) -> str | None:
        buffer = buffer.strip()
        for mark in ('"""', '"'):
            if buffer.startswith(mark):
                whole = len(buffer) >= 2 * len(mark) and buffer.endswith(mark)
                return buffer[len(mark) : -len(mark)] if whole else None
        return buffer

    state, buffer, name, key = "nil", "", "", ""
    found: list[tuple[str, str, str]] = []
    for c in text:
        blank, line, alpha = c in " \t", c in "\r\n", c.isascii() and c.isalpha()
        if state == "comment":
            state = "nil" if line else "comment"
        elif state == "nil":
            if c == "#":
                state = "comment"
            elif not blank and not line:
                state, buffer = "name", c
        elif state == "value":
            value = unquoted(buffer)
            if line and value is not None:
                found.append((name, value, key))
                state, key = "nil", ""
            elif blank or line or c.isprintable():
                buffer += c
        elif state == "name":
            if alpha:
                buffer += c
            elif blank and buffer.upper() in COMMANDS:
                name, buffer = buffer.upper(), ""
                state = "key" if name in ("PARAMETER", "MESSAGE") else "value"
            else:
                return None
        elif alpha or (name == "PARAMETER" and c.isascii() and (c.isdigit() or c == "_")):
            buffer += c
        elif blank and buffer and (name == "PARAMETER" or buffer in ("system", "user", "assistant")):
            state, key, buffer = "value", buffer, ""
        else:
            return None
    if state == "value":
        value = unquoted(buffer)
        if value is None:
            return None
        found.append((name, value, key))
    elif state not in ("nil", "comment"):
        return None
    return found if any(name == "FROM" for name, *_ in found) else None


pieces = st.one_of(
    texts,
    st.sampled_from(
        ["FROM ", "from\t", "SYSTEM ", "MESSAGE user ", "MESSAGE robot ", "PARAMETER stop ", "PARAMETER  x"]
    ),
    st.sampled_from(['"""', '"', "\n", "\r\n", "# note\n", "\u3000", "\u200b", "FROM a\n"]),
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_any_text_is_read_as_ollama_reads_it(text: str) -> None:
    expected = reference(text)
    if expected is None:
        with pytest.raises(UserError):
            parse(text)
    else:
        assert [tuple(command) for command in parse(text).commands] == expected


def test_a_prompt_cannot_break_out_of_its_value() -> None:
    for hostile in ('x"""\nFROM evil', 'x"\nFROM evil', "x\nFROM evil", '"\nFROM evil', "x\r\nADAPTER evil"):
        try:
            text = write([Command("FROM", "a.gguf"), Command("SYSTEM", hostile)])
        except UserError:
            assert '"""' in hostile
        else:
            assert [c.name for c in parse(text).commands] == ["FROM", "SYSTEM"]


def test_parameters_messages_and_the_last_system(tmp_path: Path) -> None:
    path = tmp_path / "Modelfile"
    path.write_bytes(
        '\ufeff# a shop\nfrom ./a.gguf\nparameter STOP "</s>"\nPARAMETER stop <|user|>\nPARAMETER temperature 0\n'
        'SYSTEM first\nSYSTEM """\nBe kind.\n"""\nMESSAGE user いくら？\nMESSAGE assistant "500円"'.encode()
    )
    read = read_file(path)
    assert read.last("FROM") == "./a.gguf" and read.last("TEMPLATE") is None
    assert read.parameters == {"stop": ["</s>", "<|user|>"], "temperature": ["0"]}
    expected = [("system", "\nBe kind.\n"), ("user", "いくら？"), ("assistant", "500円")]
    assert [(m.role, m.content) for m in read.messages] == expected
    assert parse(write([Command("FROM", "x"), *messages(read.messages)])).messages == read.messages


@pytest.mark.parametrize(
    ("text", "line"),
    [("FROM a\nPROMPT b", 2), ("FROM a\n\nSYSTEM", 3), ('FROM a\r\nSYSTEM """b"', 2), ("FROM a\nMESSAGE robot x", 2)],
)
def test_an_error_names_its_line(text: str, line: int) -> None:
    with pytest.raises(UserError) as refused:
        parse(text, "here")
    assert refused.value.where == f"here:{line}"


def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    (tmp_path / "long").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    for name in ("binary", "long", "absent"):
        with pytest.raises(UserError):
            read_file(tmp_path / name)


def test_a_value_that_begins_with_a_quote_reads_back() -> None:
    for value in ('"a', '"', '""', '"a" b', '"a"', 'a"'):
        assert parse(write([Command("FROM", value)])).last("FROM") == value
