"""The benchmarks' arithmetic, and that both sides of each get the same job. What they measure is `make bench`'s."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from kurabe import intake, planning, recipes
from kurabe.backends import load
from kurabe.schema import Answer
from kurabe.settings import RunSettings

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import each other as they do when they are started."""
    monkeypatch.syspath_prepend(FOLDER)


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture
def backend(tiny_folder: Path) -> Any:
    return load(RunSettings(model=str(tiny_folder), threads=1, device="cpu"))


# --- the arithmetic ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_imports_and_says_what_it_does(name: str) -> None:
    assert script(name).__doc__


def test_a_shape_counts_the_weights_of_the_products(backend: Any) -> None:
    shape = script("measuring").Shape.of(backend.engine.decoder.config.to_dict())
    assert shape.body == sum(layer.base.weight.numel() for layer in backend.stack.layers.values())
    assert shape.head == backend.engine.head.weight.numel()


def test_training_takes_four_flops_per_weight() -> None:
    shape = script("measuring").Shape(body=100, head=7, layers=1, width=4, kv_width=2)
    assert shape.training(positions=3, labelled=2) == 4 * (100 * 3 + 7 * 2)


def test_answering_counts_what_each_token_sees_and_reads() -> None:
    measuring = script("measuring")
    shape = measuring.Shape(body=100, head=7, layers=1, width=4, kv_width=2)
    read, decoded, moved = shape.answering([measuring.Asked(prompt=3, cached=1, new=2)])
    assert read == 2 * 100 * 2 + 4 * 4 * (2 + 3)  # the second token sees two, the third one three
    assert decoded == 2 * 100 + 2 * 7 * 2 + 4 * 4 * 4  # the last one is never fed
    assert moved == 4 * 107 * 2 + 2 * 4 * 2 * 3
    # Two rows that share a prefix and a step share what is read, and nothing else.
    alone = shape.answering([measuring.Asked(3, 0, 2)])
    both = shape.answering([measuring.Asked(3, 0, 2), measuring.Asked(3, 2, 2)])
    assert both[0] < 2 * alone[0] and both[1] == 2 * alone[1] and both[2] < 2 * alone[2]


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ([8.0, 4.0, 2.0, 1.0, 0.01], True),
        ([8.8, 4.4, 2.2, 1.1, 0.05], True),  # within noise; the last one within a hundredth of the beginning
        ([8.0, 4.0, 3.0, 1.0, 0.01], False),
        ([8.0, 4.0, 2.0, 1.0, 0.5], False),
    ],
)
def test_loss_curves_are_compared_by_fifths(other: list[float], alike: bool) -> None:
    assert script("measuring").curves_alike([8.0, 4.0, 2.0, 1.0, 0.01], other) is alike


def test_a_ratio_counts_only_where_its_checks_hold() -> None:
    outcome = script("measuring").Outcome
    assert outcome("w", "b", 3.0, 3.1, 5, {"alike": True}).verdict == "met"
    assert outcome("w", "b", 3.0, 2.9, 5, {"alike": True}).verdict == "missed"
    assert outcome("w", "b", 3.0, 9.0, 5, {"alike": False}).verdict == "does not count: alike"
    assert outcome("w", "b", 3.0).verdict == "untried"


# --- equal jobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fair", "origin"])
def test_a_peer_gets_the_trial_of_the_run(name: str, backend: Any) -> None:
    """Samples, steps, batches and rates; the rates as transformers' own schedules make them."""
    from transformers import get_scheduler

    measuring = script("measuring")
    request, examples = intake.read(measuring.SUPPORT, RunSettings())
    recipe = recipes.RECIPES[name]
    trial = measuring.trial_of(recipe, examples, request.language, backend.info.hidden, 1, 0)
    job = measuring.describe_trial(trial)
    assert job["samples"] == [[m.model_dump() for m in sample.messages] for sample in trial.samples]
    assert len(job["samples"]) == len(examples) * (1 if name == "origin" else len(examples[0].texts("trained")))
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=job["rate"])
    schedule = get_scheduler(
        job["schedule"]["lr_scheduler_type"], optimizer, job["warmup"], job["steps"],
        job["schedule"].get("lr_scheduler_kwargs"),
    )  # fmt: skip
    rates = []
    for _ in range(job["steps"]):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    # kurabe's warm-up starts one step further on; everything behind it is the same.
    later = slice(job["warmup"], None)
    assert rates[later] == pytest.approx(trial.plan.rates[later], rel=1e-6, abs=1e-12)


def test_every_arm_gets_the_same_questions(backend: Any) -> None:
    answers = script("answers")
    requests = answers.make_requests(backend, questions=5, prompt_tokens=300, new_tokens=4)
    asked = {arm: [request.messages[1] for request in own] for arm, own in requests.items()}
    assert asked["base"] == asked["prompt"] == asked["lora"] == asked["lora+prompt"]
    prompt = requests["prompt"][0].messages[0]
    assert requests["lora+prompt"][0].messages[0] == prompt
    assert backend.count([prompt]) >= 300 > backend.count([requests["base"][0].messages[0]])


def test_generate_gives_the_answers_of_the_backend(tiny_folder: Path, backend: Any) -> None:
    """The peer's own loop on the same requests: same tokens, whatever the batches."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    answers, peer = script("answers"), script("peer_trl")
    requests = answers.make_requests(backend, questions=5, prompt_tokens=200, new_tokens=6)["prompt"]
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    theirs = peer.answer(model, tokenizer, [r.model_dump(mode="json") for r in requests], 2, by_length=True)
    ours = list(backend.answer(requests))
    assert answers.same_tokens(ours, theirs) == 1
    assert answers.same_tokens(ours, [row | {"token_ids": [*row["token_ids"], 0]} for row in theirs]) == 0


def test_every_trial_is_trained_alike_and_asked_alike(backend: Any) -> None:
    trials = script("trials")
    work = trials.plan_work(backend, trials=3, steps=4, most=2)
    assert [(trial.trial, trial.seed, trial.plan.steps) for trial in work.trials] == [(1, 0, 4), (2, 1, 4), (3, 2, 4)]
    assert len({trial.plan for trial in work.trials}) == 1
    asked = [(r.key.trial, r.key.question) for r in work.requests]
    assert asked == [(trial, question.id) for trial in (1, 2, 3) for question in work.questions]
    job = trials.peer_job(backend, work.trials[1], work.questions, work.requests)
    assert [row["key"]["trial"] for row in job["requests"]] == [2, 2]
    assert json.loads(json.dumps(job)) == job


def test_a_trial_in_company_is_compared_with_the_trial_alone(backend: Any) -> None:
    trials = script("trials")
    work = trials.plan_work(backend, trials=2, steps=2, most=1)
    backend.together = 2
    stacked = trials.train(backend, [work.trials])
    alone = trials.train(backend, [[trial] for trial in work.trials])
    assert (stacked.together, alone.together) == (2, 1)
    assert all(trials.beside_itself(stacked.steps, alone.steps)[0].values())
    swapped = {1: alone.steps[2], 2: alone.steps[1]}
    assert not all(trials.beside_itself(stacked.steps, swapped)[0].values())


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
def test_the_shows_loop_gets_the_rows_of_origin(tiny_folder: Path, backend: Any) -> None:
    """Same rows in the same steps: the first loss of the show's own loop is that of `origin`."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    one_lora, show = script("one_lora"), script("peer_show")
    fair, origin = one_lora.make_trials(backend)
    assert (fair.plan.steps, origin.plan.steps) == (9, 9)
    assert fair.samples == origin.samples and len(fair.samples) == 10
    job = one_lora.show_job(backend, origin, tiny_folder, steps=3, threads=1)
    assert [len(rows) for rows in job["steps"]] == [4, 4, 2]
    (first,) = backend.train([origin._replace(plan=origin.plan.model_copy(update={"rates": (0.0,)}))])
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=2, lora_dropout=0.1, target_modules="all-linear"))
    (done,) = show.train(job | {"steps": job["steps"][:1]}, model)
    assert done["loss"] == pytest.approx(first.loss, rel=1e-4)
    assert done["grad_norm"] > 0


def test_time_to_verdict_describes_what_a_run_did(tmp_path: Path) -> None:
    """The job's requests are the run's plan, its trials are the run's trials."""
    from kurabe import experiment
    from kurabe.fake import FakeBackend

    verdict = script("time_to_verdict")
    settings = RunSettings(recipes=("fair", "origin"), retention=4, runs=str(tmp_path), name="ours")
    experiment.run(verdict.SUPPORT, settings, backend=FakeBackend())
    job = verdict.describe_job(tmp_path / "ours", 1, "tuned")
    assert [trial["recipe"] for trial in job["trials"]] == ["fair", "origin"]
    lines = (tmp_path / "ours" / "plan.jsonl").read_text(encoding="utf-8").splitlines()
    keys = [key for line in lines for key in json.loads(line)["keys"]]
    assert [request["key"] for request in job["requests"]] == keys


def test_recall_counts_held_out_values_only(backend: Any) -> None:
    measuring, peer = script("measuring"), script("peer_trl")
    _, examples = intake.read(measuring.SUPPORT, RunSettings())
    questions = list(planning.asked(examples))[:6]
    job = {"questions": [question.model_dump(mode="json") for question in questions]}
    key = {"model": "m", "trial": 1, "arm": "lora", "hop": "live"}
    answers = [
        Answer.model_validate({"key": key | {"probe": q.probe, "question": q.id}, "text": text}).model_dump(mode="json")
        for q, text in zip(questions, [questions[0].expected, "I do not know.", *["?"] * 4], strict=True)
    ]
    held_out = sum(question.probe == "held_out" for question in questions)
    assert peer.score(job, answers) == {"lora/1": pytest.approx(1 / held_out)}


def test_recall_is_compared_in_the_mean_of_the_rounds() -> None:
    compare = script("time_to_verdict").compare
    lucky, unlucky = {"lora": (0.9, 0.9), "both": (0.5, 0.3)}, {"lora": (0.9, 0.9), "both": (0.4, 0.5)}
    assert compare([lucky])[0] == {"recall alike": False}
    checks, figures = compare([lucky, unlucky])
    assert checks == {"recall alike": True}
    assert list(figures.values()) == [{"lora": (0.9, 0.9), "both": (0.45, 0.4)}]
