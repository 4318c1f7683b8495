"""Tensors read by rows equal the same tensors read whole by safetensors."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kurabe.errors import MissingError
from kurabe.export.weights import tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_widen_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = {"a.weight": torch.randn(11, 6).to(dtype), "b.weight": torch.randn(5).to(dtype)}
    save_file(whole, tmp_path / "model.safetensors")
    found = tensors([tmp_path / "model.safetensors"])
    a, b = found["a.weight"], found["b.weight"]
    assert (a.rows, a.columns, b.rows, b.columns) == (11, 6, 1, 5)
    assert torch.equal(torch.from_numpy(a.read(3, 9)), whole["a.weight"][3:9].float())
    assert torch.equal(torch.from_numpy(a.read()), whole["a.weight"].float())
    assert torch.equal(torch.from_numpy(b.read()[0]), whole["b.weight"].float())


def test_other_types_are_refused_by_name(tmp_path: Path) -> None:
    save_file({"a.weight": torch.ones(2, 2, dtype=torch.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(MissingError, match=r"a\.weight.*I8"):
        tensors([tmp_path / "model.safetensors"])


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a.weight": torch.ones(8, 8)}, path)
    tensor = tensors([path])["a.weight"]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(MissingError, match="shorter"):
        tensor.read()
