"""The bounded reader of GGUF headers: good files are read, every other is refused at once and without much memory."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from kurabe.errors import UserError
from kurabe.export import header
from kurabe.export.header import Array, Header, read_header

SECONDS = 0.2  # what a refusal may take, of this thread's own time: the machine may be busy
MEGABYTES = 50


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def field(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def strings(key: str, *values: str) -> bytes:
    return field(key, 9, struct.pack("<IQ", 8, len(values)) + b"".join(map(text, values)))


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(fields: list[bytes], tensors: list[bytes], data: int = 64, *, version: int = 3, align: int = 32) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(fields)) + b"".join(fields + tensors)
    return head + bytes(-len(head) % align) + bytes(data)


NAME = field("general.architecture", 8, text("llama"))
EPSILON = field("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5))
GOOD = gguf(
    [
        NAME, EPSILON, field("llama.block_count", 4, struct.pack("<I", 2)), field("flag", 7, b"\x01"),
        strings("tokenizer.ggml.tokens", "a", "比べ", ""),
        field("tokenizer.ggml.scores", 9, struct.pack("<IQ3f", 6, 3, 0.0, -1.0, -2.5)),
    ],
    [tensor("token_embd.weight", (4, 2)), tensor("norm", (8,), offset=32)],
)  # fmt: skip


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return path


def test_a_good_header_is_read_whole(tmp_path: Path) -> None:
    read = read_header(saved(tmp_path, GOOD))
    assert (read.version, read.alignment) == (3, 32)
    assert read.text("general.architecture") == "llama" and read.number("llama.block_count") == 2
    assert read.flag("flag") is True and read.text("flag") is None and read.number("absent") is None
    assert [(t.name, t.shape, t.kind, t.offset, t.size) for t in read.tensors] == [
        ("token_embd.weight", (4, 2), 0, 0, 32), ("norm", (8,), 0, 32, 32),
    ]  # fmt: skip
    assert read.data_start == len(GOOD) - 64
    assert read.elements("tokenizer.ggml.tokens") == ["a", "比べ", ""]
    assert read.elements("tokenizer.ggml.scores", 2) == [0.0, -1.0]
    assert read.elements("general.architecture") == []


def test_it_reads_what_the_format_s_own_writer_wrote(tmp_path: Path) -> None:
    gguf_package = pytest.importorskip("gguf")
    import numpy

    path = tmp_path / "model.gguf"
    writer = gguf_package.GGUFWriter(path, "llama")
    writer.add_uint64("a.uint64", 2**63)
    writer.add_array("a.numbers", [1, 2, 3])
    writer.add_token_list(["x", "y"])
    writer.add_tensor("first", numpy.ones((3, 5), numpy.float32))
    writer.add_tensor("second", numpy.ones((2, 32), numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours, theirs = read_header(path), gguf_package.GGUFReader(path)
    assert [(t.name, list(t.shape), t.kind, t.size) for t in ours.tensors] == [
        (t.name, list(t.shape), int(t.tensor_type), t.n_bytes) for t in theirs.tensors
    ]
    assert [ours.data_start + t.offset for t in ours.tensors] == [t.data_offset for t in theirs.tensors]
    assert ours.number("a.uint64") == 2**63 and ours.elements("a.numbers") == [1, 2, 3]
    assert {int(k): sizes for k, sizes in gguf_package.GGML_QUANT_SIZES.items()} == header.BLOCKS


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_an_alignment_of_its_own_is_kept(tmp_path: Path, alignment: int) -> None:
    own = field("general.alignment", 4, struct.pack("<I", alignment))
    read = read_header(saved(tmp_path, gguf([own], [tensor("t", (16,))], align=alignment)))
    assert read.alignment == alignment and read.data_start % alignment == 0


def array_of(kind: int, count: int, data: bytes = b"") -> bytes:
    return gguf([field("k", 9, struct.pack("<IQ", kind, count) + data)], [], 0)


# What is wrong -> the file, a word of the reason.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "ends"),
    "three bytes": (b"GGU", "ends"),
    "another format": (b"PK\x03\x04" + bytes(60), "GGUF"),
    "magic alone": (b"GGUF", "version"),
    "version 1": (gguf([], [], version=1), "version 1"),
    "version 4": (gguf([], [], version=4), "version 4"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "2^64-1 tensors": (b"GGUF" + struct.pack("<IQQ", 3, 2**64 - 1, 0), "number of tensors"),
    "2^64-1 fields": (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**64 - 1), "number of fields"),
    "fields that are not there": (b"GGUF" + struct.pack("<IQQ", 3, 0, 4096), "ends"),
    "tensors that are not there": (b"GGUF" + struct.pack("<IQQ", 3, 16_384, 0), "ends"),
    "49 bytes: an array of 2^62 bytes": (array_of(0, 2**62)[:49], "elements"),
    "49 bytes: an array of 2^62 strings": (array_of(8, 2**62)[:49], "elements"),
    "49 bytes: an array of arrays": (array_of(9, 2**62)[:49], "array of arrays"),
    "an array of a type that does not exist": (array_of(13, 1, bytes(8)), "unknown type"),
    "an array longer than the file": (array_of(4, 1_000_000), "ends"),
    "a million strings that are not there": (array_of(8, 999_999), "ends"),
    "a string in an array beyond the file": (array_of(8, 2, text("a") + struct.pack("<Q", 2**63)), "ends"),
    "a value of a type that does not exist": (gguf([field("k", 77, bytes(8))], []), "unknown type"),
    "an empty key": (gguf([field("", 4, bytes(4))], []), "empty"),
    "a key of 2^40 bytes": (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**40), "length of a key"),
    "a key twice": (gguf([NAME, NAME], []), "twice"),
    "a key that is not UTF-8": (gguf([field(b"\xff\xfe", 4, bytes(4))], []), "UTF-8"),
    "a text of 2^63 bytes": (gguf([field("k", 8, struct.pack("<Q", 2**63))], []), "length of k"),
    "a text beyond the file": (gguf([field("k", 8, struct.pack("<Q", 9999))], []), "ends"),
    "a truth value of 2": (gguf([field("k", 7, b"\x02")], []), "truth"),
    "NaN": (gguf([field("k", 6, struct.pack("<f", float("nan")))], []), "nan"),
    "infinity": (gguf([field("k", 12, struct.pack("<d", float("-inf")))], []), "-inf"),
    "NaN in an array": (array_of(6, 3, struct.pack("<3f", 1.0, float("nan"), 2.0)), "not finite"),
    "alignment 0": (gguf([field("general.alignment", 4, bytes(4))], []), "alignment"),
    "alignment 24": (gguf([field("general.alignment", 4, struct.pack("<I", 24))], []), "alignment"),
    "alignment 2^31": (gguf([field("general.alignment", 4, struct.pack("<I", 2**31))], []), "alignment"),
    "alignment as a text": (gguf([field("general.alignment", 8, text("32"))], []), "alignment"),
    "five dimensions": (gguf([], [tensor("t", (1, 1, 1, 1, 1))]), "dimensions"),
    "2^32-1 dimensions": (gguf([], [text("t") + struct.pack("<I", 2**32 - 1)]), "dimensions"),
    "no dimension": (gguf([], [tensor("t", ())]), "shape"),
    "a dimension of 0": (gguf([], [tensor("t", (4, 0))]), "shape"),
    "dimensions whose product overflows": (gguf([], [tensor("t", (2**40, 2**40))]), "shape"),
    "a name too long": (gguf([], [tensor("t" * 65, (4,))]), "name"),
    "no name": (gguf([], [tensor("", (4,))]), "''"),
    "a name twice": (gguf([], [tensor("t", (4,)), tensor("t", (4,), offset=32)]), "same name"),
    "a removed tensor type": (gguf([], [tensor("t", (32,), kind=4)]), "unknown type"),
    "a row that is no whole block": (gguf([], [tensor("t", (100,), kind=12)]), "multiple of 256"),
    "an offset that is not aligned": (gguf([], [tensor("t", (4,), offset=4)]), "multiple of 32"),
    "an offset beyond the end": (gguf([], [tensor("t", (4,), offset=2**63)]), "ends at byte"),
    "data beyond the end": (gguf([], [tensor("t", (4096,))]), "ends at byte"),
    "data without its last byte": (gguf([], [tensor("t", (16,))])[:-1], "ends at byte"),
    "two tensors in one place": (gguf([], [tensor("a", (8,)), tensor("b", (4,))]), "overlap"),
    "tensors that overlap in part": (gguf([], [tensor("a", (16,)), tensor("b", (4,), offset=32)]), "overlap"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_the_place(name: str, tmp_path: Path) -> None:
    data, word = HOSTILE[name]
    path, start = saved(tmp_path, data), time.thread_time()
    with pytest.raises(UserError) as refused:
        read_header(path)
    assert time.thread_time() - start < SECONDS
    assert word in refused.value.why and str(path) in refused.value.where and "byte" in refused.value.where


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.gguf"):
        with pytest.raises(UserError):
            read_header(path)


def read_or_refused(path: Path) -> Header | None:
    try:
        return read_header(path)
    except UserError:
        return None


def mutated(random_: random.Random) -> bytes:
    """The good file with bits flipped, numbers set to extremes, bytes cut out or doubled, or its end cut off."""
    data = bytearray(GOOD)
    for _ in range(random_.randint(1, 4)):
        at, act = random_.randrange(max(1, min(len(GOOD) - 64, len(data)))), random_.randrange(5)
        if act == 0 and data:
            data[at] ^= 1 << random_.randrange(8)
        elif act == 1:
            data[at : at + 8] = random_.choice([b"\xff" * 8, bytes(8), bytes(7) + b"\x80"])
        elif act == 2:
            del data[at : at + random_.randint(1, 9)]
        elif act == 3:
            data[at:at] = data[at : at + random_.randint(1, 9)]
        elif random_.random() < 0.2:
            del data[at:]
    return bytes(data)


def test_5000_mutations_are_read_or_refused(tmp_path: Path) -> None:
    """Nothing comes out but a header that can be used or a refusal."""
    random_ = random.Random(7)
    read, slowest = 0, 0.0
    for _ in range(5000):
        data = mutated(random_)
        path, start = saved(tmp_path, data), time.thread_time()
        got = read_or_refused(path)
        slowest = max(slowest, time.thread_time() - start)
        if got is not None:
            read += 1
            for name, (_, value) in got.fields.items():
                assert not isinstance(value, Array) or len(got.elements(name)) == value.length
            assert all(got.data_start + t.offset + t.size <= len(data) for t in got.tensors)
    assert 100 < read < 4900 and slowest < SECONDS


def heavy_strings() -> bytes:
    return array_of(8, 1_000_000, bytes(8_000_000))


def heavy_text() -> bytes:
    """As many long texts as fit the header's limit and more."""
    piece = bytes(1024 * 1024)
    return gguf([field(f"k{i}", 8, text(piece)) for i in range(40)], [])


def heavy_numbers() -> bytes:
    return array_of(12, 4_000_000, bytes(32_000_000))


def heavy_tensors() -> bytes:
    return gguf([], [tensor(f"t{i}", (1, 1, 1, 1), offset=32 * i) for i in range(16_384)], 16_384 * 32)


def heavy_fields() -> bytes:
    return gguf([field(f"{'k' * 1000}{i}", 4, bytes(4)) for i in range(4096)], [])


@pytest.mark.parametrize("make", [heavy_strings, heavy_text, heavy_numbers, heavy_tensors, heavy_fields])
def test_the_worst_files_that_the_limits_let_in_stay_small(make: Callable[[], bytes], tmp_path: Path) -> None:
    path = saved(tmp_path, make())
    times = []
    for _ in range(3):  # the best of three: the first one waits for pages that the system has to clear
        start = time.thread_time()
        read_or_refused(path)
        times.append(time.thread_time() - start)
    tracemalloc.start()
    read_or_refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert min(times) < SECONDS and peak < MEGABYTES * 1024 * 1024


def test_the_strings_of_all_arrays_together_are_limited(tmp_path: Path) -> None:
    half = field("a", 9, struct.pack("<IQ", 8, 600_000) + bytes(4_800_000))
    with pytest.raises(UserError, match="refused") as refused:
        read_header(saved(tmp_path, gguf([half, half.replace(b"a", b"b", 1)], [])))
    assert "number of elements of b" in refused.value.why
