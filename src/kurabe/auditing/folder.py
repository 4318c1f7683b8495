"""A folder that a training left behind -> what is configured: adapter, trainer's log, tokenizer, Modelfile, YAML.

Knows no judgement. JSON and safetensors headers only: training_args.bin and adapter_model.bin are pickle files, which
can run code, and are never opened.
"""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kurabe import hub
from kurabe.auditing import yaml_file
from kurabe.auditing.configured import AdapterState, Configured, Log, number, text, whole
from kurabe.auditing.files import MOST_LOG_BYTES, read_json, read_text, read_yaml
from kurabe.auditing.libraries import LIBRARIES, fields
from kurabe.errors import DataError, MissingError

ADAPTER, STATE, WEIGHTS = (
    "adapter_config.json",
    "trainer_state.json",
    ("adapter_model.safetensors", "adapters.safetensors"),
)
_CONFIGS = ("*.yaml", "*.yml")
_CHUNK = 2**20
_MOST_ENTRIES = 2000


def read(folder: Path) -> tuple[Configured, list[str]]:
    """Raises DataError where the folder holds nothing of a fine-tune."""
    found: dict[str, Any] = {}
    places: dict[str, str] = {}
    unread: list[str] = []
    tool, version = "peft", LIBRARIES["peft"].version
    for config in _configurations(folder):
        described, unread = yaml_file.read(config)
        tool, version = described.tool, described.version
        found = {name: getattr(described, name) for name in described.model_fields_set - {"tool", "version", "places"}}
        places = {name: f"{config.name}, {place}" for name, place in described.places.items()}
        break
    anything = bool(found)
    adapter = _newest(folder, ADAPTER)
    if adapter:
        settings = read_json(adapter, MOST_LOG_BYTES)
        own, unread_here = _adapter_config(settings)
        found |= own
        places |= dict.fromkeys(own, adapter.name)
        unread += unread_here
        tool = "mlx-lm" if "lora_parameters" in settings and tool == "peft" else tool
        found["adapter"] = _adapter_state(adapter.parent, own.get("base"))
        places["adapter"] = next((name for name in WEIGHTS if (adapter.parent / name).is_file()), "")
    state = _newest(folder, STATE)
    if state:
        own = _trainer_state(read_json(state, MOST_LOG_BYTES))
        found |= own
        places |= dict.fromkeys(own, state.name)
    found |= _tokenizer(adapter.parent if adapter else folder, places)
    found |= {name: value for name, value in _modelfile(folder, places).items() if value is not None}
    if not (anything or adapter or state):
        raise DataError(
            "This folder holds nothing of a fine-tune that kurabe can read.", where=str(folder),
            why="There is neither adapter_config.json nor trainer_state.json nor a training configuration in it."
            + (" training_args.bin is a pickle file, which can run code; it is never opened."
               if (folder / "training_args.bin").exists() else ""),
            fix=_instead(folder),
        )  # fmt: skip
    known = {name: value for name, value in found.items() if value is not None}
    return Configured.model_validate({"tool": tool, "version": version, "places": places, **known}), unread


def _instead(folder: Path) -> str:
    """The scripts of a project's folder can be read one by one."""
    scripts = sorted(path for pattern in ("*.py", "*.ipynb") for path in folder.glob(pattern))[:3]
    if scripts:
        return "; ".join(f"kurabe audit {shlex.quote(str(path))}" for path in scripts)
    return "Give the output folder of the training, its configuration, or its script."


def _configurations(folder: Path) -> list[Path]:
    """YAML files of the folder that configure a training, in the order of their names."""
    found = []
    for path in sorted(path for pattern in _CONFIGS for path in folder.glob(pattern))[:20]:
        try:
            settings = read_yaml(path)
        except (DataError, MissingError):
            continue  # of another program
        if yaml_file.tool_of(settings):
            found.append(path)
    return found


def _newest(folder: Path, name: str) -> Path | None:
    """The file in the folder itself, else in the checkpoint of the highest number."""
    if (folder / name).is_file():
        return folder / name
    numbered = []
    for number_, place in enumerate(folder.glob("checkpoint-*")):
        if number_ >= _MOST_ENTRIES:
            break
        match = re.fullmatch(r"checkpoint-(\d{1,12})", place.name)
        if match and (place / name).is_file():
            numbered.append((int(match[1]), place / name))
    return max(numbered)[1] if numbered else None


def _adapter_config(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """PEFT's adapter_config.json, or the one that mlx-lm writes: its whole configuration."""
    if "lora_parameters" in settings:
        described, unread = yaml_file.configured("mlx-lm", settings, {})
        return {
            name: getattr(described, name) for name in described.model_fields_set - {"tool", "version", "places"}
        }, unread
    found, unread = fields(LIBRARIES["peft"], settings)
    kind = settings.get("peft_type")
    found["method"] = "lora" if kind in ("LORA", None) and ("r" in settings or "lora_alpha" in settings) else None
    return found, unread


# --- weights ---------------------------------------------------------------------------------------------------------


def _adapter_state(folder: Path, base: str | None) -> AdapterState | None:
    """What the B matrices hold; None where the weights are not here, or only in pickle."""
    path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        return None
    header = hub.check_safetensors(path)
    matrices = {name: entry for name, entry in header.items() if re.search(r"\.?lora_(?:embedding_)?b\b", name.lower())}
    if not matrices and not any("lora" in name.lower() for name in header) and header:
        return None  # another kind of adapter
    start = path.stat().st_size - max((entry["data_offsets"][1] for entry in header.values()), default=0)
    with path.open("rb") as file:
        zero = sum(
            _is_zero(file, start + entry["data_offsets"][0], start + entry["data_offsets"][1])
            for entry in matrices.values()
        )
    return AdapterState(matrices=len(matrices), zero=zero, strangers=_strangers(matrices, base, folder))


def _is_zero(file: Any, start: int, stop: int) -> bool:
    """Whether all bytes are zero, which is 0.0 in every format of numbers."""
    file.seek(start)
    while start < stop:
        chunk = file.read(min(_CHUNK, stop - start))
        if chunk.strip(b"\0"):
            return False
        if not chunk:
            break
        start += len(chunk)
    return True


def _strangers(matrices: Mapping[str, Any], base: str | None, folder: Path) -> int | None:
    """How many of the adapter's layers a base that lies on this machine does not have."""
    if not base or "\0" in base:
        return None
    place = next((path for path in (Path(base), folder / base) if _is_folder(path)), None)
    files = sorted(place.glob("*.safetensors"))[:200] if place else []
    if not files:
        return None
    layers = {name.removesuffix(".weight") for file in files for name in hub.check_safetensors(file)}
    own = {re.sub(r"\.lora_(?:embedding_)?[Bb].*$", "", name.removeprefix("base_model.model.")) for name in matrices}
    return sum(layer not in layers and f"model.{layer}" not in layers for layer in own)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


# --- what the trainer logged -----------------------------------------------------------------------------------------


def _trainer_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """transformers' trainer_state.json: steps done, epochs, batch, and the log of losses and rates."""
    history = state.get("log_history")
    lines = [line for line in history if isinstance(line, dict)] if isinstance(history, list) else []
    losses = [number(line.get("loss")) for line in lines if "loss" in line]
    rates = [rate for line in lines if "loss" in line and (rate := number(line.get("learning_rate"))) is not None]
    broken = sum(_broken(line.get("loss")) or _broken(line.get("grad_norm")) for line in lines)
    sound = [loss for loss in losses if loss is not None]
    found: dict[str, Any] = {
        "steps": whole(state.get("global_step")) or whole(state.get("max_steps")) or None,
        "epochs": number(state.get("epoch")) or number(state.get("num_train_epochs")),
        "batch": whole(state.get("train_batch_size")),
    }
    steps = [step for line in lines if (step := whole(line.get("step"))) is not None]
    found["log"] = Log(
        first_loss=sound[0] if sound else None, last_loss=sound[-1] if len(sound) > 1 else None,
        peak_rate=max(rates, default=None), not_finite=broken, last_step=max(steps, default=0),
        rising=len(rates) > 2 and all(one < other for one, other in itertools.pairwise(rates)),
    )  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def _broken(value: Any) -> bool:
    """NaN or infinity, also as the strings that some writers of JSON put there."""
    if isinstance(value, str):
        return value.strip().lower() in ("nan", "inf", "-inf", "infinity", "-infinity")
    return isinstance(value, float) and not math.isfinite(value)


# --- what it is asked with -------------------------------------------------------------------------------------------


def _tokenizer(folder: Path, places: dict[str, str]) -> dict[str, Any]:
    """Padding and truncation that were saved with tokenizer.json, because it was saved in the middle of a training."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return {}
    settings = read_json(path, MOST_LOG_BYTES)
    padding, cut = settings.get("padding"), settings.get("truncation")
    strategy = padding.get("strategy") if isinstance(padding, dict) else None
    fixed = whole(strategy.get("Fixed")) if isinstance(strategy, dict) else None
    longest = whole(cut.get("max_length")) if isinstance(cut, dict) else None
    places |= {"fixed_padding": path.name, "fixed_truncation": path.name}
    return {"fixed_padding": fixed, "fixed_truncation": longest}


def _is_path(name: str) -> bool:
    """A file of the user's own, of which nobody knows what it was made from."""
    return name.startswith((".", "/", "~")) or name.lower().endswith((".gguf", ".safetensors"))


def _modelfile(folder: Path, places: dict[str, str]) -> dict[str, Any]:
    """Base, system message and decoding of an Ollama Modelfile."""
    path = folder / "Modelfile"
    if not path.is_file():
        return {}
    words = read_text(path)
    base = re.search(r"(?im)^\s*FROM\s+(\S+)", words)
    system = re.search(r'(?is)^\s*SYSTEM\s+(?:"""(.*?)"""|"([^"\n]*)"|([^\n]+))', words, re.MULTILINE)
    limits = {name.lower(): value for name, value in re.findall(r"(?im)^\s*PARAMETER\s+(\w+)\s+(\S+)", words)}
    warm = number(limits.get("temperature", 0.8))  # Ollama's own
    named = text(base[1]) if base else None
    places |= dict.fromkeys(("other_bases", "test_system", "sampled", "max_new_tokens"), path.name)
    return {
        "other_bases": (named,) if named and not _is_path(named) else None,
        "test_system": next((part.strip() for part in system.groups() if part is not None), "") if system else None,
        "sampled": None if warm is None else warm > 0,
        "temperature": warm, "seeded": "seed" in limits,
        "max_new_tokens": whole(limits.get("num_predict")),
    }  # fmt: skip
