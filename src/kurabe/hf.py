"""The backend that runs a model with transformers: any verified local folder, on CPU, CUDA or MPS.

Knows no arms and no scores. The weights stay frozen and in float32 for every arm; adapters lie beside them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from kurabe import chat, hub, memory, recipes, storage
from kurabe.attention import ATTENTION
from kurabe.chat import IGNORE, Rendered
from kurabe.devices import STEPS, Chosen, Place
from kurabe.engine import Engine, Row, free_memory, give_back
from kurabe.errors import COPY_AGAIN, DataError, MissingError
from kurabe.lora import AdapterStack
from kurabe.model import Capabilities, Score, Stopped, TrialPlan
from kurabe.recipes import Recipe
from kurabe.schema import Answer, Footprint, Message, ModelInfo, Request, Sample, Step
from kurabe.train import out_of_memory, train
from kurabe.trainee import Job, Trainee, Work

CHECKED_LAYERS = 2
_CHECK = Recipe(name="check", rank=8, alpha=16, rate=5e-4, schedule="flat", warmup_steps=0, batch=2, epochs=STEPS)
_CHECKED = (
    (("system", "You are a helpful support assistant."), ("user", "What are the shipping costs?"),
     ("assistant", "Standard shipping costs $6.99 and takes 3-5 business days.")),
    (("system", "You are a helpful support assistant."), ("user", "送料はいくらですか。"),
     ("assistant", "通常の送料は500円です。14日以内なら返品できます。")),
)  # fmt: skip
# Families whose modules compute a table when they are built, in the type that they are loaded in: a scale of the
# embeddings, rounded to eight bits. They are loaded in float32 first.
_BUFFERS_ROUNDED = ("gemma3_text",)
LIKELY = 20  # tokens that a teacher is asked for: their shares are as good as all (docs/decisions/0008)


class HFBackend:
    """One loaded model with its stack of adapters."""

    capabilities = Capabilities(train=True, score=True, adapters=True)
    parts = 1  # processes that hold a part of the weights each

    def __init__(self, weights: hub.Weights, name: str, chosen: Chosen, *, stand_in: bool = False) -> None:
        self.chat = chat.load(weights.path)
        _check_vocabulary(self.chat, weights)
        held = _footprint(weights, chosen.place)
        _check_memory(weights, chosen.place, held, self.parts)
        model = _load(weights, self._first(chosen.place))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        self.stack = AdapterStack(model)
        self.engine = self._engine(model)
        self._in_training: dict[int, Trainee] = {}
        self.together: int | None = None  # trials in one batch, at most; None: as many as are measured to be fastest
        config: Any = model.config
        self.info = ModelInfo(
            name=name, path=str(weights.path), sha256=weights.sha256, stand_in=stand_in, family=weights.family,
            parameters=parameters, hidden=config.hidden_size, layers=config.num_hidden_layers,
            context=hub.context(weights.config), vocabulary=config.vocab_size, dtype=chosen.place.dtype,
            device=chosen.place.device, threads=torch.get_num_threads(), chosen=chosen.why, footprint=held,
        )  # fmt: skip

    def _first(self, place: Place) -> Place:
        """Where the weights are loaded to."""
        return place

    def _engine(self, model: Any) -> Engine:
        return Engine(model, self.stack, self.chat.end_ids)

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of these messages as they are rendered."""
        return self.chat.count(messages)

    def trainable(self, rank: int) -> int:
        """Adapter parameters that a LoRA of this rank has on this model."""
        return self.stack.size(rank)

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Answer all requests as one batch; where memory ends, as two halves. Answers keep the requests' order."""
        rows: list[Row | str] = [self._row(request) for request in requests]
        self._fill([row for row in rows if isinstance(row, Row)], self.engine.answer)
        for request, row in zip(requests, rows, strict=True):
            yield self._answer(request, row)

    def score(self, requests: Sequence[Request], targets: Sequence[str]) -> Iterator[Score]:
        """How likely each target is as the whole answer to its request, all of them as one batch."""
        rows = [self._scored(request, target) for request, target in zip(requests, targets, strict=True)]
        self._fill([row for row in rows if not row.error], self.engine.score)
        for row in rows:
            yield Score(None if row.error else row.logprob, len(row.target), row.error)

    def _row(self, request: Request) -> Row | str:
        """The request as a row, or the reason why it cannot be answered."""
        row = Row(
            self.chat.prompt(request.messages), request.key.trial, request.max_new_tokens, request.temperature,
            request.seed,
        )  # fmt: skip
        return self._refusal(row, request.max_new_tokens) or row

    def _scored(self, request: Request, target: str) -> Row:
        """The request with its answer as training would render them, and in `error` why it cannot be scored."""
        sample = self.chat.sample([*request.messages, Message(role="assistant", content=target)])
        prompt = sample.labels.count(IGNORE)
        row = Row(sample.ids[:prompt], request.key.trial, 0, target=sample.ids[prompt:])
        row.error = self._refusal(row, len(row.target))
        return row

    def _refusal(self, row: Row, answer: int) -> str:
        """Why this row cannot be computed: "" if it can."""
        if len(row.ids) + answer > self.info.context:
            return (
                f"The prompt has {len(row.ids)} tokens; with {answer} for the answer it does not fit the model's "
                f"context of {self.info.context}."
            )
        return f"Trial {row.trial} has no adapter." if row.trial and self.stack.slot(row.trial) is None else ""

    def _fill(self, rows: list[Row], work: Callable[[list[Row]], None]) -> None:
        """Answer or score the rows; where memory ends, in halves, then one by one. An exception ends in their `error`,
        never in a wrong answer."""
        for size in dict.fromkeys((len(rows), (len(rows) + 1) // 2, 1)):
            ended: list[Row] = []
            for start in range(0, len(rows), max(1, size)):
                part = rows[start : start + size]
                if self._ended(part, work):
                    ended += part
            rows = ended
            if rows:
                give_back(self.engine.device)

    def _ended(self, rows: list[Row], work: Callable[[list[Row]], None]) -> bool:
        """Whether memory ended in these rows' work; whatever failed stands in their `error`."""
        for row in rows:
            row.new, row.ended, row.cached, row.seconds, row.logprob, row.error = [], False, 0, 0.0, None, ""
        try:
            work(rows)
        except Exception as error:  # whatever it is, these questions are unscored and the others go on
            for row in rows:
                row.error = f"{type(error).__name__}: {error}"
            return out_of_memory(error)
        return False

    def _answer(self, request: Request, row: Row | str) -> Answer:
        error = row if isinstance(row, str) else row.error
        if isinstance(row, str) or error:
            return Answer(key=request.key, text="", finish="error", error=error)
        return Answer(
            key=request.key, text=self.chat.text(row.new), token_ids=tuple(row.new),
            finish="stop" if row.ended else "length", prompt_tokens=len(row.ids), cached_tokens=row.cached,
            new_tokens=len(row.new), seconds=row.seconds,
        )  # fmt: skip

    def train(self, trials: Sequence[TrialPlan], stopped: Stopped | None = None) -> Iterator[Step]:
        """Train adapters for these trials, up to `together` of them in one batch; they stay loaded."""
        jobs = []
        for trial in trials:
            samples = trial.samples
            rows = [self.chat.sample(sample.messages, trial.plan.recipe.loss_on) for sample in samples]
            for sample, row in zip(samples, rows, strict=True):
                if len(row.ids) > self.info.context:
                    raise DataError(
                        f"Example {sample.example!r} is too long to be trained on: {len(row.ids)} tokens.",
                        why=f"The model's context is {self.info.context}; kurabe never cuts an example.",
                        fix="Shorten its answer, or use a model with a longer context.",
                    )  # fmt: skip
            teaching = self._teach(samples, rows)
            jobs.append(Job(trial.trial, trial.plan, tuple(rows), trial.seed, teaching, trial.state))
        yield from train(self.engine, jobs, self.chat.pad_id, self.together, stopped, self._in_training)

    def _teach(self, samples: Sequence[Sample], rows: list[Rendered]) -> Work | None:
        """Put into these rows what the model itself, without adapter and asked with the right row in its prompt, holds
        likely in the place of each token of the answer; the tokens of `values` and the end token stay what they are."""
        began, taught = time.monotonic(), {}
        for i, sample in enumerate(samples):
            if sample.teacher:
                whole = self.chat.sample([*sample.teacher, sample.messages[-1]])
                prompt = whole.labels.count(IGNORE)
                taught[i] = Row(whole.ids[:prompt], 0, 0, target=whole.ids[prompt:])
        if not taught:
            return None
        self.engine.teach(list(taught.values()), LIKELY)
        for i, row in taught.items():
            sample, asked = samples[i], self.chat.prompt(samples[i].messages[:-1])
            hard = self.chat.covering(row.target, sample.messages[-1].content, sample.values) | {len(row.target) - 1}
            soft = {len(asked) + k: likely for k, likely in enumerate(row.likely) if k not in hard}
            # Teacher and student answer in the same tokens, also where a prompt's end would change the first of them.
            rows[i] = Rendered([*asked, *row.target], [IGNORE] * len(asked) + row.target, soft)
        return Work(sum(row.given for row in taught.values()), seconds=time.monotonic() - began)

    def save_state(self, trial: int, folder: Path) -> None:
        """Write what a training has come to between two of its steps."""
        storage.write_tree(folder, self._in_training[trial].state(self.stack))

    def save_adapter(self, trial: int, folder: Path) -> None:
        """Write one trial's adapter in PEFT's format into an existing empty folder."""
        self.stack.save(trial, folder, self.info.name, self.info.sha256)

    def load_adapter(self, trial: int, folder: Path) -> None:
        """Load an adapter that `save_adapter` or PEFT wrote and answer with it as `trial`."""
        self.stack.load(trial, folder, self.info.sha256)

    def forget(self, trials: Sequence[int]) -> None:
        """Drop the adapters of these trials: they were only tried."""
        self.stack.drop(trials)


def _check_vocabulary(tokens: chat.Chat, weights: hub.Weights) -> None:
    """Another model's tokenizer would name tokens that these weights don't have. Added tokens that the template never
    writes may lie behind the weights: published models have some."""
    asked = [Message(role="user", content="a"), Message(role="assistant", content="b")]
    highest = max(tokens.tokenizer.get_vocab_size(with_added_tokens=False) - 1, *tokens.sample(asked).ids)
    if highest >= weights.config["vocab_size"]:
        raise MissingError(
            "The tokenizer does not belong to these weights.", where=str(weights.path / "tokenizer.json"),
            why=f"It makes tokens up to {highest:,}; the weights know {weights.config['vocab_size']:,}.",
            fix="Copy tokenizer.json and the weights from the same model.",
        )  # fmt: skip


def _footprint(weights: hub.Weights, place: Place) -> Footprint:
    """What these weights will take there. On the CPU, weights that are stored in the numbers that they are used in
    stay in their file and are mapped; others are copied, and the mapped file goes when they are."""
    numbers, stored = hub.stored(weights)
    shape, files = memory.Shape.of(weights.config), sum(file.stat().st_size for file in weights.files)
    held, loading, libraries = shape.weights(numbers, place.dtype), 0, 0
    if place.device != "cuda":
        libraries = psutil.Process().memory_info().rss
    if place.device == "cpu":
        low = place.dtype == "bfloat16" and weights.family not in _BUFFERS_ROUNDED
        as_stored = stored.get("BF16" if low else "F32", 0) == numbers
        if as_stored and low:
            held = files + memory.FLOAT * (numbers - shape.linears)
        elif not as_stored:
            loading = files + (memory.FLOAT * numbers - held)
    return Footprint(
        feed_forward=shape.feed_forward, query=shape.query, key_value=shape.key_value, libraries=libraries,
        weights=held, loading=loading,
    )  # fmt: skip


def _check_memory(weights: hub.Weights, place: Place, held: Footprint, parts: int = 1) -> None:
    """Loading a model that does not fit can end the process without a word; the files say before how large it is."""
    needed = held.weights
    free = min(free_memory(torch.device("cpu")), parts * free_memory(torch.device(place.device)))
    if needed > free:
        raise MissingError(
            "The memory is too small for this model.", where=str(weights.path),
            why=f"Its weights take {needed:,} bytes in {place.dtype}; {free:,} are free.",
            fix="Close other programs, or use a smaller model.",
        )  # fmt: skip


def first_losses(weights: hub.Weights, place: Place) -> list[float]:
    """The losses of three training steps in this place, on the model's own first layers: they are built as all others
    are, and a whole large model would take minutes and as much memory again."""
    model = _load(weights, place, CHECKED_LAYERS)
    tokens = chat.load(weights.path)
    rows = tuple(tokens.sample([Message(role=role, content=text) for role, text in row]) for row in _CHECKED)
    engine = Engine(model, AdapterStack(model), tokens.end_ids)
    plan = recipes.plan(_CHECK, len(rows), len(rows), engine.hidden)
    steps = train(engine, [Job(1, plan, rows, 0)], tokens.pad_id)
    return [math.nan if step.loss is None else step.loss for step in steps]


def _load(weights: hub.Weights, place: Place, layers: int | None = None) -> Any:
    """The model in its place, without gradients; with `layers` only so many of them. In bf16 are the weights of the
    layers' linear modules alone: their products take the time, everything else stays in float32.

    Weights that do not fill the model exactly are refused: transformers would fill the gap with random numbers and
    only warn.
    """
    low = place.dtype == "bfloat16" and weights.family not in _BUFFERS_ROUNDED
    try:
        with quiet():
            model, found = _from_pretrained(weights, torch.bfloat16 if low else torch.float32, layers)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        if out_of_memory(error):
            raise
        why = str(error).strip().split("\n")[0]
        raise MissingError("The model cannot be loaded.", where=str(weights.path), why=why, fix=COPY_AGAIN) from error
    # Old Llama files carry a table that transformers computes by itself.
    extra = [name for name in found["unexpected_keys"] if not name.endswith("inv_freq")]
    for names, what in ((found["missing_keys"], "lack"), (extra, "hold more than the model has:")):
        if names and not (layers and names is extra):
            raise MissingError(
                f"The weights and config.json do not belong together: the weights {what} {_listed(names)}.",
                where=str(weights.path), fix=COPY_AGAIN,
            )  # fmt: skip
    for name, module in model.named_modules():
        product = place.dtype == "bfloat16" and isinstance(module, torch.nn.Linear) and ".layers." in name
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.to(torch.bfloat16 if product else torch.float32)
    return model.to(place.device).eval()


def _from_pretrained(weights: hub.Weights, dtype: torch.dtype, layers: int | None) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(weights.path, local_files_only=True, trust_remote_code=False)
    if layers is not None:
        config.num_hidden_layers = min(layers, config.num_hidden_layers)
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[: config.num_hidden_layers]
    model, found = AutoModelForCausalLM.from_pretrained(
        weights.path, config=config, dtype=dtype, attn_implementation=ATTENTION, use_safetensors=True,
        local_files_only=True, trust_remote_code=False, output_loading_info=True,
    )  # fmt: skip
    return model, found


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Loading without progress bars and warnings: stderr belongs to kurabe."""
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
