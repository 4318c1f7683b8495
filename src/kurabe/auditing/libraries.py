"""What each training library calls its settings, and what it does where nothing is set: one table, with its sources.

Knows no file. A default is listed only where it is the same for every model and every data set; the rest stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kurabe.auditing.configured import Tool, names, number, text, truth, whole

Convert = Callable[[Any], Any]


class Library(NamedTuple):
    """`keys`: the library's name of a setting -> (field of `Configured`, conversion). `defaults`: field -> value."""

    name: Tool
    version: str  # whose defaults these are
    source: str  # a page for readers; `read`: what the table was made from
    read: str
    keys: Mapping[str, tuple[str, Convert]]
    defaults: Mapping[str, Any]

    def setting(self, field: str, value: Any) -> tuple[str, Any] | None:
        """A field and its value in the words of this library; None where it has none for it."""
        for key, (known, convert) in self.keys.items():
            if known == field:
                return key, (not value if convert is opposite else value)
        return None


def opposite(value: Any) -> bool | None:
    """A switch that is the other way round in a library."""
    found = truth(value)
    return None if found is None else not found


def _when_true(value: Any) -> bool | None:
    """A switch that says "the loss leaves the prompt out" when it is on; off, another one may say so."""
    return False if truth(value) else None


_TRAINER: dict[str, tuple[str, Convert]] = {
    "max_steps": ("steps", lambda value: whole(value) or None),  # -1: not set
    "num_train_epochs": ("epochs", number),
    "per_device_train_batch_size": ("batch", whole),
    "gradient_accumulation_steps": ("accumulation", whole),
    "learning_rate": ("rate", number),
    "warmup_steps": ("warmup_steps", number),  # a share where it is below 1
    "warmup_ratio": ("warmup_ratio", number),
    "lr_scheduler_type": ("schedule", text),
}
_TRAINER_DEFAULTS: dict[str, Any] = {
    "epochs": 3.0, "batch": 8, "accumulation": 1, "rate": 5e-5, "warmup_steps": 0, "schedule": "linear",
}  # fmt: skip
_ADAPTER: dict[str, tuple[str, Convert]] = {
    "r": ("rank", whole),
    "lora_alpha": ("alpha", number),
    "target_modules": ("targets", names),
    "base_model_name_or_path": ("base", text),
}

LIBRARIES: dict[str, Library] = {
    "transformers": Library(
        "transformers", "transformers 5.23.0",
        "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments",
        "the installed package", _TRAINER, _TRAINER_DEFAULTS,
    ),
    "trl": Library(
        "trl", "TRL 1.16.0", "https://huggingface.co/docs/trl/sft_trainer#trl.SFTConfig",
        "the installed package",
        {
            **_TRAINER,
            "max_length": ("max_length", whole),
            "max_seq_length": ("max_length", whole),  # its name before TRL 0.16
            "packing": ("packed", truth),
            "completion_only_loss": ("loss_on_prompt", opposite),
            "assistant_only_loss": ("loss_on_prompt", _when_true),
            "model_name_or_path": ("base", text),
            "lora_r": ("rank", whole),
            "lora_alpha": ("alpha", number),
            "lora_target_modules": ("targets", names),
            "load_in_4bit": ("quantised", truth),
            "load_in_8bit": ("quantised", truth),
        },
        # The loss covers the prompt or not by the form of the rows: that stays unknown. Padding is never in it.
        {**_TRAINER_DEFAULTS, "rate": 2e-5, "max_length": 1024, "packed": False, "loss_on_padding": False},
    ),
    "peft": Library(
        "peft", "PEFT 0.21.2", "https://huggingface.co/docs/peft/package_reference/lora#peft.LoraConfig",
        # Which modules are trained by default depends on the model.
        "the installed package", _ADAPTER, {"rank": 8, "alpha": 8.0},
    ),
    "axolotl": Library(
        "axolotl", "axolotl at 002a637", "https://docs.axolotl.ai/docs/config-reference.html",
        "src/axolotl/utils/schemas/training.py at 002a637, src/axolotl/core/builders/base.py at 00f1318",
        {
            "base_model": ("base", text),
            "max_steps": ("steps", lambda value: whole(value) or None),
            "num_epochs": ("epochs", number),
            "micro_batch_size": ("batch", whole),
            "gradient_accumulation_steps": ("accumulation", whole),
            "learning_rate": ("rate", number),
            "warmup_steps": ("warmup_steps", number),
            "warmup_ratio": ("warmup_ratio", number),
            "lr_scheduler": ("schedule", text),
            "sequence_len": ("max_length", whole),
            "sample_packing": ("packed", truth),
            "train_on_inputs": ("loss_on_prompt", truth),
            "lora_r": ("rank", whole),
            "lora_alpha": ("alpha", number),
            "lora_target_modules": ("targets", names),
            "lora_target_linear": ("targets", lambda value: ("all-linear",) if truth(value) else None),
            "load_in_4bit": ("quantised", truth),
            "load_in_8bit": ("quantised", truth),
            "merge_lora": ("merged", truth),
        },
        # The padding that pad_to_sequence_len adds is labelled -100.
        {"epochs": 1.0, "batch": 1, "accumulation": 1, "warmup_ratio": 0.03, "warmup_most": 100, "schedule": "cosine",
         "loss_on_prompt": False, "loss_on_padding": False},
    ),
    "llama-factory": Library(
        "llama-factory", "LLaMA-Factory at 072bfe2", "https://llamafactory.readthedocs.io/en/latest/advanced/arguments.html",
        "src/llamafactory/hparams/: data_args at 072bfe2, finetuning_args at 00577a8, generating_args at 0a72246",
        {
            **_TRAINER,
            "model_name_or_path": ("base", text),
            "cutoff_len": ("max_length", whole),
            "max_samples": ("most_rows", whole),
            "packing": ("packed", truth),
            "train_on_prompt": ("loss_on_prompt", truth),
            "ignore_pad_token_for_loss": ("loss_on_padding", opposite),
            "lora_rank": ("rank", whole),
            "lora_alpha": ("alpha", number),
            "lora_target": ("targets", names),
            "quantization_bit": ("quantised", lambda value: True if whole(value) else None),
            "do_sample": ("sampled", truth),
            "temperature": ("temperature", number),
            "max_new_tokens": ("max_new_tokens", whole),
            "default_system": ("system", text),
        },
        {**_TRAINER_DEFAULTS, "max_length": 2048, "rank": 8, "targets": ("all",), "loss_on_prompt": False,
         "loss_on_padding": False},
    ),
    "mlx-lm": Library(
        "mlx-lm", "mlx-lm at 0304b28", "https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/LORA.md",
        "mlx_lm/lora.py at 0304b28, mlx_lm/examples/lora_config.yaml at 09ccfba",
        {
            "model": ("base", text),
            "iters": ("steps", whole),
            "batch_size": ("batch", whole),
            "grad_accumulation_steps": ("accumulation", whole),
            "learning_rate": ("rate", number),
            "max_seq_length": ("max_length", whole),
            "mask_prompt": ("loss_on_prompt", opposite),
            "rank": ("rank", whole),
            "scale": ("scale", number),
            "keys": ("targets", names),
        },
        {"steps": 1000, "batch": 4, "accumulation": 1, "rate": 1e-5, "max_length": 2048, "loss_on_prompt": True,
         "loss_on_padding": False, "rank": 8, "warmup_steps": 0, "schedule": "constant"},
    ),
}  # fmt: skip

# LLaMA-Factory samples where nothing is said (hparams/generating_args.py).
SAMPLING: dict[str, Any] = {"sampled": True, "temperature": 0.95, "max_new_tokens": 1024}


# Where a library has no word of its own: PEFT's for adapters, transformers' for generating.
_ELSEWHERE = {"targets": "target_modules", "sampled": "do_sample", "max_new_tokens": "max_new_tokens"}


def setting(tool: str, field: str, value: Any) -> dict[str, Any]:
    """{name: value} as somebody would write it for this library; empty where a sentence has to do."""
    library = LIBRARIES.get(tool)
    named = library.setting(field, value) if library else None
    if named is None and field in _ELSEWHERE and tool in ("transformers", "trl", "peft"):
        named = _ELSEWHERE[field], value
    return dict([named]) if named else {}


def fields(library: Library, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings that this library knows as fields of `Configured`, and the names of those not understood.

    What is set and not understood is None in the first: it is not the default.
    """
    found: dict[str, Any] = {}
    unread = []
    for key, (field, convert) in library.keys.items():
        if settings.get(key) is None:
            continue
        value = convert(settings[key])
        if value is not None:
            # Two switches of one meaning: 4 and 8 bits, two ways to leave the prompt out. One that is on decides.
            found[field] = value if not found.get(field) or value else found[field]
        elif not _means_unset(settings[key]):
            unread.append(key)
            found.setdefault(field, None)
    if 0 < (found.get("warmup_steps") or 0) < 1:
        found["warmup_ratio"] = found.pop("warmup_steps")
    return found, unread


def _means_unset(value: Any) -> bool:
    """-1, false and the empty string stand for "not set" in all of these libraries."""
    return value in (-1, False, "", [])
