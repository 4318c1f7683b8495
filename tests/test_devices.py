"""Devices: which one is chosen, what has to be proved before it is trusted, and what happens on a broken one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import write_model, write_tokenizer
from test_hf import ITEMS, plan, request, settings

from kurabe import backends, devices, hf, hub
from kurabe.devices import REFERENCE, Chosen, Place
from kurabe.engine import Engine
from kurabe.errors import MissingError, SettingsError
from kurabe.hf import HFBackend
from kurabe.report.sentences import sentence
from kurabe.schema import Reason
from kurabe.settings import load_settings
from kurabe.texts import LANGUAGES, Texts

MPS, CUDA = Place("mps", "float32"), Place("cuda", "bfloat16")
GOOD = [10.0, 9.0, 8.0]
WHY = Reason(key="device.asked", values={})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine with these devices, of which some multiply in bf16."""

    def make(*here: str, bf16: tuple[str, ...] = ()) -> None:
        monkeypatch.setattr(devices, "present", lambda: {name: name in here for name in ("cpu", "cuda", "mps")})
        monkeypatch.setattr(devices, "multiplies_bf16", lambda: "cuda" in bf16)
        monkeypatch.setattr(devices, "_name", lambda place, model: f"{model} {place}")

    return make


class Losses:
    """Three steps in each place, as told; remembers where it was asked."""

    def __init__(self, told: dict[Place, list[float] | Exception]) -> None:
        self.told, self.asked = {REFERENCE: GOOD, **told}, []

    def __call__(self, place: Place) -> list[float]:
        self.asked.append(place)
        found = self.told[place]
        if isinstance(found, Exception):
            raise found
        return found


# --- the choice ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "bf16", "parameters", "stored", "expected", "key"),
    [
        (("cpu",), ("cpu",), 10**9, "BF16", REFERENCE, "device.cpu"),
        (("cpu", "cuda"), ("cuda",), 5_000_000, "BF16", Place("cuda", "float32"), "device.small"),
        (("cpu", "cuda"), ("cuda",), 10**9, "F16", Place("cuda", "float32"), "device.stored"),
        (("cpu", "mps"), ("cpu", "mps"), 10**9, "BF16", MPS, "device.mps"),
        (("cpu", "cuda", "mps"), ("cuda",), 10**9, "BF16", CUDA, "device.bf16"),
        (("cpu", "cuda"), (), 10**9, "BF16", Place("cuda", "float32"), "device.no-bf16"),
    ],
)
def test_auto_takes_the_fastest_device_and_bf16_where_it_is_real(
    machine: Callable[..., None], here: tuple[str, ...], bf16: tuple[str, ...], parameters: int, stored: str,
    expected: Place, key: str,
) -> None:  # fmt: skip
    machine(*here, bf16=bf16)
    chosen = devices.choose("auto", "auto", parameters, {stored: parameters})
    assert (chosen.place, chosen.why.key) == (expected, key)


def test_what_is_asked_for_is_taken_or_refused(machine: Callable[..., None]) -> None:
    machine("cpu", "mps")
    assert devices.choose("mps", "bfloat16", 1, {"F32": 1}).place == Place("mps", "bfloat16")
    assert devices.choose("cpu", "float32", 10**9, {"BF16": 10**9}).place == REFERENCE
    with pytest.raises(MissingError, match="cuda") as caught:
        devices.choose("cuda", "auto", 1, {})
    assert caught.value.fix
    with pytest.raises(SettingsError, match="dtype"):
        load_settings(environment={}, flags={"dtype": "float16"})


@pytest.mark.parametrize(
    ("platform", "before", "after"),
    [("darwin", {}, {devices.MPS_FALLBACK: "1"}), ("linux", {}, {}),
     ("darwin", {devices.MPS_FALLBACK: "0"}, {devices.MPS_FALLBACK: "0"})],
)  # fmt: skip
def test_what_mps_cannot_goes_to_the_cpu_unless_the_user_says_otherwise(
    platform: str, before: dict[str, str], after: dict[str, str]
) -> None:
    devices.prepare(before, platform)
    assert before == after


def test_the_fallback_is_set_before_torch_is_loaded(monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> None:
    """torch reads the variable once: `load` must not have imported it by then."""
    import sys

    monkeypatch.delitem(sys.modules, "kurabe.hf")
    seen: list[bool] = []
    monkeypatch.setattr(devices, "prepare", lambda: seen.append("kurabe.hf" in sys.modules) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backends.load(settings(tiny_folder))
    assert seen == [False]


# --- the proof -------------------------------------------------------------------------------------------------------


def test_the_reference_needs_no_proof(tmp_path: Path) -> None:
    losses = Losses({})
    assert devices.prove(Chosen(REFERENCE, WHY), "m", losses, tmp_path / "d.json") == (REFERENCE, WHY)
    assert losses.asked == [] and not list(tmp_path.iterdir())


def test_a_device_that_agrees_is_trusted_and_asked_once(machine: Callable[..., None], tmp_path: Path) -> None:
    machine("cpu", "mps")
    memory, losses = tmp_path / "cache" / "d.json", Losses({MPS: [10.004, 8.997, 8.002]})
    for _ in range(2):
        assert devices.prove(Chosen(MPS, WHY), "m", losses, memory) == (MPS, WHY)
    assert losses.asked == [REFERENCE, MPS]
    devices.prove(Chosen(MPS, WHY), "another model", losses, memory)
    assert losses.asked[2:] == [REFERENCE, MPS]
    assert [path.name for path in memory.parent.iterdir()] == ["d.json"], "nothing half-written is left"


@pytest.mark.parametrize("broken", [[10.0, 9.0, 8.2], [10.0, 10.0, 10.0], [10.0, math.nan, math.nan]])
def test_a_device_that_computes_otherwise_is_left_for_the_cpu_with_the_reason(
    machine: Callable[..., None], tmp_path: Path, broken: list[float]
) -> None:
    """A loss that never falls is a gradient that never came."""
    machine("cpu", "mps")
    losses = Losses({MPS: broken})
    for _ in range(2):
        place, why = devices.prove(Chosen(MPS, WHY), "m", losses, tmp_path / "d.json")
        assert (place, why.key, why.values["device"]) == (REFERENCE, "device.disagrees", "mps")
    assert losses.asked == [REFERENCE, MPS], "it is remembered"
    for language in LANGUAGES:
        assert "mps" in sentence(why, Texts(language))


def test_a_device_that_fails_is_left_for_the_cpu_and_asked_again(machine: Callable[..., None], tmp_path: Path) -> None:
    machine("cpu", "mps")
    losses = Losses({MPS: NotImplementedError("The operator 'aten::x' is not implemented for MPS.\nMore.")})
    for _ in range(2):
        place, why = devices.prove(Chosen(MPS, WHY), "m", losses, tmp_path / "d.json")
        assert (place, why.key) == (REFERENCE, "device.failed")
    assert losses.asked == [REFERENCE, MPS] * 2, "it may only have been full"
    for language in LANGUAGES:
        words = sentence(why, Texts(language))
        assert "aten::x" in words and "More" not in words and devices.MPS_FALLBACK in words


def test_where_bf16_is_off_the_same_device_may_do_in_float32(machine: Callable[..., None], tmp_path: Path) -> None:
    machine("cpu", "cuda")
    plain = Place("cuda", "float32")
    losses = Losses({CUDA: [10.5, 9.5, 8.5], plain: GOOD})
    place, why = devices.prove(Chosen(CUDA, WHY), "m", losses, tmp_path / "d.json")
    assert (place, why.key, why.values["dtype"]) == (plain, "device.disagrees", "bfloat16")
    off = Place("cpu", "bfloat16")
    place, why = devices.prove(Chosen(off, WHY), "m", Losses({off: [1.0, 1.0, 1.0]}), tmp_path / "d.json")
    assert place == REFERENCE and why.values["dtype"] == "bfloat16"


def test_a_bug_in_the_check_is_not_taken_for_a_bad_device(machine: Callable[..., None], tmp_path: Path) -> None:
    machine("cpu", "mps")
    with pytest.raises(ZeroDivisionError):
        devices.prove(Chosen(MPS, WHY), "m", Losses({MPS: ZeroDivisionError()}), tmp_path / "d.json")
    with pytest.raises(ValueError, match="compared"):
        devices.distance(GOOD, GOOD[:2])


@pytest.mark.parametrize("found", ["", "[1]", '{"m": "x"}', "{"])
def test_a_damaged_memory_is_none(machine: Callable[..., None], tmp_path: Path, found: str) -> None:
    machine("cpu", "mps")
    (tmp_path / "d.json").write_text(found, encoding="utf-8")
    assert devices.prove(Chosen(MPS, WHY), "m", Losses({MPS: GOOD}), tmp_path / "d.json").place == MPS


def test_a_memory_that_cannot_be_written_costs_only_the_time(machine: Callable[..., None], tmp_path: Path) -> None:
    machine("cpu", "mps")
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert devices.prove(Chosen(MPS, WHY), "m", Losses({MPS: GOOD}), tmp_path / "file" / "d.json").place == MPS


# --- three real steps, and bf16 on this processor --------------------------------------------------------------------


def stored_in_bf16(folder: Path) -> Path:
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three layers, stored in bf16; the check takes two of them."""
    path = tmp_path_factory.mktemp("half")
    write_tokenizer(path)
    write_model(path, num_hidden_layers=3)
    return stored_in_bf16(path)


def test_three_steps_lose_and_a_gradient_that_never_comes_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = hub.verify(folder)
    losses = hf.first_losses(weights, REFERENCE)
    assert len(losses) == devices.STEPS and losses == sorted(losses, reverse=True)
    assert devices.distance(losses, hf.first_losses(weights, REFERENCE)) == 0
    assert devices.distance(losses, hf.first_losses(weights, Place("cpu", "bfloat16"))) < devices.TOLERANCE["bfloat16"]
    monkeypatch.setattr("kurabe.lora.AdapterStack.backward", lambda *_: None)
    still = hf.first_losses(weights, REFERENCE)
    assert devices.distance(losses, still) > max(devices.TOLERANCE.values())


def test_in_bf16_only_the_layers_products_are(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices.platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path))
    assert backends.load(settings(folder)).info.dtype == "float32", "on the CPU it has to be asked for"
    backend = backends.load(settings(folder).model_copy(update={"dtype": "bfloat16"}))
    assert isinstance(backend, HFBackend) and backend.info.dtype == "bfloat16"
    assert backend.info.chosen is not None and backend.info.chosen.key == "device.asked"
    assert (tmp_path / "devices.json").is_file()
    low = {name for name, weight in backend.engine.decoder.named_parameters() if weight.dtype == torch.bfloat16}
    assert low == {f"{name.removeprefix('model.')}.base.weight" for name in backend.stack.layers} and low
    assert backend.engine.head.weight.dtype == torch.float32
    # It learns as in float32, answers alone as in company, and its adapter is float32.
    steps = list(backend.train([plan(1)]))
    assert steps[-1].loss is not None and steps[-1].loss < 0.1
    together = list(backend.answer([request(item, 1) for item in ITEMS]))
    assert {answer.finish for answer in together} == {"stop"}
    assert backend.stack.merged(1, next(iter(backend.stack.layers))).dtype == torch.float32


def test_bf16_logits_are_those_of_float32_within_its_rounding(folder: Path) -> None:
    found = []
    for dtype in ("float32", "bfloat16"):
        weights = hub.verify(folder)
        model = hf._load(weights, Place("cpu", dtype))
        from kurabe.lora import AdapterStack

        engine = Engine(model, AdapterStack(model), frozenset({2}))
        rows = [engine_row(length) for length in (5, 9)]
        engine.score(rows)
        found.append([row.logprob for row in rows])
    assert found[1] == pytest.approx(found[0], rel=2e-2) and found[1] != found[0]


def engine_row(length: int) -> hf.Row:
    return hf.Row(list(range(10, 10 + length)), 0, 0, target=[7, 8, 9])


def test_a_family_with_a_rounded_table_is_loaded_in_float32_first(tmp_path: Path) -> None:
    """Gemma scales its embeddings by a root that bf16 would round."""
    write_tokenizer(tmp_path)
    write_model(tmp_path, family="gemma3_text", head_dim=32, hidden_size=60, query_pre_attn_scalar=32)
    scales = [
        dict(hf._load(hub.verify(tmp_path), Place("cpu", dtype)).named_buffers())["model.embed_tokens.embed_scale"]
        for dtype in ("float32", "bfloat16")
    ]
    assert scales[0] == scales[1] == pytest.approx(math.sqrt(60))
