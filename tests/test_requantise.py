"""Another format of a GGUF equals what llama-quantize makes of it; what it cannot be made of is refused."""

import hashlib
import json
from pathlib import Path

import pytest

from kurabe.errors import MissingError
from kurabe.export import stream
from kurabe.export.header import read_header
from kurabe.export.plan import make_plan
from kurabe.export.requantise import make_gguf_plan

GOLDEN = Path(__file__).parent / "data/golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference model as the converter leaves it: exact in F32, and by the usual chain in F16."""
    folder = tmp_path_factory.mktemp("gguf")
    for match, format_name in (("exact", "F32"), ("peer", "F16")):
        plan = make_plan(GOLDEN / "base", GOLDEN / "adapter", [format_name], match, match)  # type: ignore[arg-type]
        stream.write(plan, folder)
    return folder


@pytest.mark.parametrize("output", [name for name in EXPECTED if name.split("-")[1] not in ("F32", "F16", "BF16")])
def test_every_tensor_equals_llama_quantizes(output: str, files: Path, tmp_path: Path) -> None:
    match, _, format_name = output.partition("-")
    source = files / ("exact-F32.gguf" if match == "exact" else "peer-F16.gguf")
    (written,) = stream.write(make_gguf_plan(source, [format_name]), tmp_path)
    data = (tmp_path / written.file.name).read_bytes()
    start = len(written.file.head)
    found = {
        entry.name: hashlib.sha256(data[start + entry.offset : start + entry.offset + entry.size]).hexdigest()
        for entry in written.file.entries
    }
    assert found == {one["name"]: one["sha256"] for one in EXPECTED[output]["tensors"]}
    assert list(found) == [one["name"] for one in EXPECTED[output]["tensors"]]


def test_metadata_travels_and_the_two_renewed_fields_come_last(files: Path, tmp_path: Path) -> None:
    (written,) = stream.write(make_gguf_plan(files / "exact-F32.gguf", ["Q4_K_M"]), tmp_path)
    alone = make_plan(GOLDEN / "base", GOLDEN / "adapter", ["Q4_K_M"], "exact")
    assert written.file.head == alone.files[0].head
    header = read_header(tmp_path / written.file.name)
    assert list(header.fields)[-2:] == ["general.quantization_version", "general.file_type"]


def test_a_quantised_file_a_foreign_tensor_and_no_file_are_refused(files: Path, tmp_path: Path) -> None:
    stream.write(make_gguf_plan(files / "exact-F32.gguf", ["Q8_0"]), tmp_path)
    with pytest.raises(MissingError, match="quantised already"):
        make_gguf_plan(tmp_path / "exact-Q8_0.gguf", ["Q4_K_M"])
    strange = tmp_path / "strange-F32.gguf"
    strange.write_bytes((files / "exact-F32.gguf").read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_z.weight"))
    with pytest.raises(MissingError, match="does not know"):
        make_gguf_plan(strange, ["Q4_K_M"])
    with pytest.raises(MissingError, match="no file"):
        make_gguf_plan(tmp_path / "absent.gguf", ["Q4_K_M"])
