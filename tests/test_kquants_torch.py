"""The searches in torch: on the processor they give numpy's bytes, and a device that rounds otherwise is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_quants import counted_rows, distributions
from test_stream import plan_of

from kurabe import devices
from kurabe.errors import MissingError
from kurabe.export import kquants_torch, stream
from kurabe.export.kquants import LAYOUTS, Floats, Line, Searches
from kurabe.export.quants import quantize


@pytest.fixture(scope="module")
def card() -> Searches:
    """The searches as a card does them, on the one device that every machine has."""
    return kquants_torch.on("cpu")


@pytest.mark.parametrize("kind", LAYOUTS)
def test_every_distribution_gives_the_same_bytes(kind: str, card: Searches) -> None:
    for name, rows in {"counted": counted_rows(), **distributions(3)}.items():
        np.testing.assert_array_equal(quantize(rows, kind, card), quantize(rows, kind), err_msg=name)


def test_a_pass_with_large_pieces_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("exact-Q4_K_M")
    (here,) = stream.write(plan, tmp_path)
    monkeypatch.setattr(devices, "usable", lambda device: "cpu")
    (there,) = stream.write(plan._replace(device="cuda"), tmp_path)
    assert there.sha256 == here.sha256


def test_a_device_with_one_number_a_last_bit_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch's own root on a CPU is: one sub-block in 150,000 came out with other bytes."""
    lines = kquants_torch._Card.lines

    def off(self: Any, x: Floats, scratch: list[Floats], *how: Any) -> Line:
        found = lines(self, x, scratch, *how)
        found.scale[7] = np.nextafter(found.scale[7], np.float32(1))
        return found

    monkeypatch.setattr(kquants_torch._Card, "lines", off)
    with pytest.raises(MissingError, match="rounds otherwise"):
        kquants_torch.on("cpu")


def test_a_device_that_adds_in_another_order_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kquants_torch, "_sum", lambda terms: terms[::2].sum(0) + terms[1::2].sum(0))
    with pytest.raises(MissingError, match="rounds otherwise"):
        kquants_torch.on("cpu")


def test_a_device_that_takes_denormal_weights_for_zeros_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    put = kquants_torch._Card._put

    def flushed(self: Any, values: Floats) -> Any:
        return put(self, np.where(np.abs(values) < np.finfo(np.float32).tiny, np.float32(0), values))

    monkeypatch.setattr(kquants_torch._Card, "_put", flushed)
    with pytest.raises(MissingError, match="rounds otherwise"):
        kquants_torch.on("cpu")


def test_a_format_without_a_search_asks_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kquants_torch, "on", None)
    (there,) = stream.write(plan_of("exact-Q8_0")._replace(device="cuda"), tmp_path)
    assert there.file.format == "Q8_0"


def test_a_full_card_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> Line:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64.00 MiB")

    monkeypatch.setattr(kquants_torch._Card, "lines", full)
    with pytest.raises(MissingError, match="no memory left"):
        kquants_torch.on("cpu")


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "present", lambda: {"cpu": True, "cuda": False, "mps": False})
    with pytest.raises(MissingError, match="no cuda device"):
        kquants_torch.on("cuda")
