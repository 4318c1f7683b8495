"""What a show does by itself after a run that failed: read from the words that torch and kurabe end with."""

from __future__ import annotations

import pytest
import torch

from kurabe.workshop.repairs import repair

CUDA = [
    "torch.AcceleratorError: CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA`",
    "RuntimeError: CUDA error: no kernel image is available for execution on the device",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "RuntimeError: Found no NVIDIA driver on your system.",
    "There is no cuda device that torch can use.\n  fix: Leave --device out",
    "RuntimeError: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
]
MPS = [
    "RuntimeError: MPS backend out of memory (MPS allocated: 9.00 GB)",
    "NotImplementedError: The operator 'aten::x' is not currently implemented for the MPS device.",
]


@pytest.mark.parametrize("said", CUDA)
def test_a_cuda_fault_gives_way_to_mps_on_a_mac_and_to_the_cpu_elsewhere(said: str) -> None:
    for platform, device in (("linux", "cpu"), ("win32", "cpu"), ("darwin", "mps")):
        found = repair(said, "tiny", "", platform)
        assert found and found.words == {"--device": device} and found.values["plainer"] == device.upper()


@pytest.mark.parametrize("said", MPS)
def test_an_mps_fault_gives_way_to_the_cpu(said: str) -> None:
    found = repair(said, "tiny", "mps", "darwin")
    assert found and found.words == {"--device": "cpu"}


@pytest.mark.parametrize("said", [*CUDA, *MPS])
def test_what_the_cpu_says_is_not_mended_by_the_cpu(said: str) -> None:
    found = repair(said, "tiny", "cpu", "linux")
    assert found is None


def test_memory_that_ended_on_the_cpu_leaves_a_smaller_model() -> None:
    with pytest.raises(RuntimeError) as full:
        torch.empty(2**60)  # nobody has so much
    for said in (str(full.value), "The memory is too small to train this model."):
        found = repair(said, "/models/large", "")
        assert found and found.key == "model" and found.words == {"--model": "tiny"}
        assert repair(said, "tiny", "") is None, "there is no smaller one"


@pytest.mark.parametrize("said", ["", "The disk has not enough room.", "ZeroDivisionError: division by zero"])
def test_what_nobody_can_mend_is_left(said: str) -> None:
    assert repair(said, "/models/large", "") is None
