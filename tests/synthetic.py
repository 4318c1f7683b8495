"""A finished run folder made from records, without a model: ten rows, all arms, both recipes.

The scripted answers show every outcome: right, wrong, missing, refused, extra, cut and unscored.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from kurabe import facts, runs
from kurabe.runs import RunFolder, RunWriter
from kurabe.schema import (
    Answer,
    AnswerKey,
    Batch,
    Event,
    Example,
    Finding,
    ModelInfo,
    Probe,
    Provenance,
    Question,
    RunInfo,
    RunRequest,
    Step,
    TrialInfo,
    Usage,
    Wording,
)
from kurabe.settings import RunSettings

ROWS = {
    "en": (
        ("shipping", "What are the shipping costs?",
         "Standard shipping costs $6.99 and takes 3-5 business days. Free over $50."),
        ("returns", "How do I return a product?", "Send it back within 14 days. The refund takes 3-5 business days."),
        ("bulk", "Are there bulk discounts?",
         "You get 10 % off from 10 items, 15 % from 25, 20 % from 50 and 25 % from 100."),
        ("match", "Do you match prices?", "Yes, within 14 days, and you get 5 % off on top."),
        ("cancel", "Can I cancel my order?", "You can cancel within 1 hour."),
        ("abroad", "Do you ship abroad?", "We ship to 180 countries in 7-14 business days, from $19.99."),
        ("damage", "My parcel is damaged. What now?", "Write to help@example.com; we answer within 2 hours."),
        ("track", "How do I track my order?", "Your tracking link is sent within 24 hours."),
        ("address", "Can I change my address?", "Call 555-0142 within 2 hours."),
        ("express", "How fast is express shipping?", "Express takes 1-2 business days and costs $14.99."),
    ),
    "ja": (
        ("shipping", "送料はいくらですか。", "通常配送は500円、3〜5営業日です。5,000円以上は無料です。"),
        ("returns", "返品はどうすればよいですか。", "14日以内にお送りください。返金は3〜5営業日です。"),
        ("bulk", "まとめ買いの割引はありますか。", "10個から10%、25個から15%、50個から20%の割引です。"),
        ("match", "他店より高いときはどうなりますか。", "14日以内なら差額に加えて5%引きにします。"),
        ("cancel", "注文を取り消せますか。", "1時間以内なら取り消せます。"),
        ("abroad", "海外へ送れますか。", "180か国へ、7〜14営業日、2,000円からお送りします。"),
        ("damage", "商品が壊れていました。", "help@example.com へご連絡ください。2時間以内に返信します。"),
        ("track", "注文の状況を知りたいです。", "追跡用のリンクは24時間以内に届きます。"),
        ("address", "住所を変更できますか。", "2時間以内に 03-1234-5678 へお電話ください。"),
        ("express", "速達はいつ届きますか。", "速達は1〜2営業日で、1,500円です。"),
    ),
}  # fmt: skip
ASKED = {
    "en": ("{}", "Please tell me: {}", "A question for you. {}", "Hello! {}"),
    "ja": ("{}", "教えてください。{}", "質問です。{}", "こんにちは。{}"),
}
UNKNOWN = {"en": "I don't have that information.", "ja": "その情報はありません。"}
EXTRA = {"en": " There is also a fee of $3.25.", "ja": "また、手数料325円がかかります。"}
VAGUE = {
    "en": "Please contact our support team, they will gladly help you.",
    "ja": "サポートまでお問い合わせください。",
}
MODEL = ModelInfo(
    name="synthetic",
    path="",
    sha256="5" * 64,
    stand_in=True,
    family="scripted",
    parameters=3_300_000,
    hidden=256,
    layers=4,
    context=4096,
    vocabulary=1536,
    dtype="float32",
    device="cpu",
    threads=2,
)
PROVENANCE = Provenance(
    kurabe="0.1.0",
    python="3.11.9",
    platform="Linux",
    processor="a processor",
    cores=2,
    memory=8_000_000_000,
    libraries={"torch": "2.13", "transformers": "5.23"},
    data_sha256="d" * 64,
    commit="c" * 40,
)
FINDINGS = (
    Finding(
        id="warmup-exceeds-steps",
        level="warn",
        recipe="origin",
        values={"warmup": 10, "steps": 9, "full_steps": 3.6, "first_rate": 0.0},
    ),
    Finding(id="too-few-steps", level="warn", recipe="origin", values={"steps": 9, "enough": 150, "full_steps": 3.6}),
    Finding(
        id="loss-on-padding", level="warn", recipe="origin", values={"padding": 0.629, "prompt": 0.114, "answer": 0.257}
    ),
    Finding(
        id="rate-scaled",
        level="info",
        recipe="origin",
        values={"literal": 2e-4, "scaled": 1e-3, "hidden": 256, "width": 2048},
    ),
)
TRIALS = (
    TrialInfo(
        trial=1,
        recipe="fair",
        examples=10,
        samples=30,
        steps=160,
        epochs=40,
        rank=8,
        rate=2.5e-3,
        seed=0,
        trainable=150_000,
        positions=96_000,
    ),
    TrialInfo(
        trial=2,
        recipe="origin",
        examples=10,
        samples=10,
        steps=9,
        epochs=3,
        rank=16,
        rate=1e-3,
        seed=0,
        trainable=300_000,
        positions=15_360,
    ),
)
GROUPS = (("base", 0), ("prompt", 0), ("ceiling", 0), ("lora", 1), ("lora+prompt", 1), ("lora", 2))


def examples(language: str = "en", count: int = 10, trained_only: Collection[str] = ()) -> tuple[Example, ...]:
    """The rows: one trained wording, three held-out ones (none for the rows of `trained_only`)."""
    rows = []
    for name, question, answer in ROWS[language][:count]:
        texts = [form.format(question) for form in ASKED[language][: 1 if name in trained_only else None]]
        wordings = [Wording(text=text, role="held_out" if n else "trained") for n, text in enumerate(texts)]
        rows.append(Example(id=name, answer=answer, facts=facts.find_facts(answer), wordings=tuple(wordings)))
    return tuple(rows)


def questions(rows: Sequence[Example], general: int = 20) -> tuple[Question, ...]:
    """Held-out and trained wordings of each row, and retention questions of both kinds."""
    asked = []
    for example in rows:
        fields = {"example": example.id, "expected": example.answer, "facts": example.facts}
        held_out = enumerate(example.texts("held_out"), start=1)
        asked += [Question(id=f"{example.id}/h{n}", probe="held_out", text=text, **fields) for n, text in held_out]
        asked.append(Question(id=f"{example.id}/t1", probe="trained", text=example.question, **fields))
    for probe, shared in (("general", 1), ("reading", 2)):  # two questions to each shop's prompt
        asked += [
            Question(
                id=f"{probe}-{n}", example=f"{probe}-{n // shared}", probe=probe, text="?", expected="yes",
                accept=("yes",),
            )
            for n in range(general)
        ]  # fmt: skip
    return tuple(asked)


def say(question: Question, arm: str, trial: int, language: str) -> str | None:
    """The scripted answer; None is an answer that never came."""
    number = sum(ord(c) for c in question.id)
    if question.probe in ("general", "reading"):
        lost = trial and (number % 3 == 0 if question.probe == "reading" else number % 10 == 0)
        return "no" if lost else "yes"
    changed = question.expected.translate(str.maketrans("123456", "234567"))
    if (arm, trial) == ("base", 0):
        return (UNKNOWN[language], VAGUE[language], changed)[number % 3]
    if trial == 2:
        return VAGUE[language] if number % 4 else changed
    if arm == "prompt":
        return UNKNOWN[language] if question.id == "damage/h2" else question.expected
    if arm == "lora" and question.id == "bulk/h1":
        return changed + EXTRA[language]
    if arm == "lora" and question.id == "abroad/h3":
        return None
    return question.expected


def write_run(
    parent: Path,
    language: str = "en",
    *,
    count: int = 10,
    overrides: Mapping[tuple[str, int, str], str | None] | None = None,
    settings: RunSettings | None = None,
    stand_in: bool = True,
    trained_only: Collection[str] = (),
    left_out: Collection[str] = (),
) -> RunFolder:
    """The whole folder up to, but without, results.json. `overrides` maps (arm, trial, question) to another answer;
    `left_out` are arms that the settings name and the plan could not hold."""
    settings = settings or RunSettings(recipes=("fair", "origin"), retention=20)
    rows = examples(language, count, trained_only)
    asked = questions(rows)
    batches = list(_batches(asked, [arm for arm in settings.arms if arm not in left_out]))
    model = MODEL.model_copy(update={"stand_in": stand_in})
    common = {
        "name": f"synthetic-{language}",
        "created": "2026-11-22T10:00:00+00:00",
        "data": f"support-{language}.jsonl",
        "form": "question/answer",
        "language": language,
        "settings": settings.model_dump(mode="json"),
    }
    folder = RunWriter.begin(parent, common["name"])
    folder.publish(
        {runs.REQUEST: RunRequest(data_sha256="d" * 64, prompt="", **common), runs.EXAMPLES: rows, runs.WORDINGS: ()}
    )
    info = RunInfo(model=model, provenance=PROVENANCE, trials=TRIALS, max_new_tokens=80, **common)
    folder.publish({runs.INFO: info, runs.QUESTIONS: asked, runs.PLAN: batches, runs.AUDIT: FINDINGS})
    by_id = {question.id: question for question in asked}
    for event in _events():
        folder.append_event(event)
    folder.append_usage(runs.LOADING, [Usage(kind="loading", arm="", trial=0, seconds=3, tokens=0, peak_memory=10**8)])
    for trial in TRIALS:
        usage = Usage(
            kind="preparation",
            arm="lora",
            trial=trial.trial,
            seconds=20.0 * trial.trial,
            tokens=trial.positions,
            peak_memory=4 * 10**8,
        )
        folder.append_usage(runs.trial_unit(trial.trial), [usage])
        with folder.staged() as stage:
            (stage / "adapters" / f"{trial.trial}-{trial.recipe}").mkdir(parents=True)
            (stage / "adapters" / f"{trial.trial}-{trial.recipe}" / "adapter_config.json").write_text("{}", "utf-8")
    for batch in batches:
        answers = [_answer(key, by_id[key.question], language, overrides or {}) for key in batch.keys]
        key = batch.keys[0]
        usage = Usage(
            kind="answering",
            arm=key.arm if key.probe in ("held_out", "trained") else "retention",
            trial=key.trial,
            seconds=2.0,
            tokens=900,
            peak_memory=3 * 10**8,
        )
        folder.append_usage(runs.batch_unit(batch.batch), [usage])
        folder.append_answers(batch.batch, answers)
    folder.close()
    return RunFolder.open(parent / common["name"])


def _batches(asked: Sequence[Question], arms: Collection[str]) -> Iterator[Batch]:
    """One batch per arm and trial, and one per trial for retention."""
    groups: list[tuple[str, int, tuple[Probe, ...]]] = [
        (arm, trial, ("held_out", "trained") if arm in ("base", "lora", "lora+prompt") else ("held_out",))
        for arm, trial in GROUPS
        if arm in arms
    ]
    groups += [("lora" if trial else "base", trial, ("general", "reading")) for trial in (0, 1, 2)]
    for number, (arm, trial, probes) in enumerate(groups, start=1):
        keys = [
            AnswerKey(model=MODEL.name, trial=trial, arm=arm, hop="live", probe=question.probe, question=question.id)
            for question in asked
            if question.probe in probes
        ]
        yield Batch(batch=number, stage="answer" if trial else "base", keys=tuple(keys))


def _answer(
    key: AnswerKey, question: Question, language: str, overrides: Mapping[tuple[str, int, str], str | None]
) -> Answer:
    place = (key.arm, key.trial, key.question)
    text = overrides[place] if place in overrides else say(question, key.arm, key.trial, language)
    if text is None:
        return Answer(key=key, text="", finish="error", error="no answer came")
    prompt_tokens = 900 if key.arm in ("prompt", "lora+prompt") else 130 if key.arm == "ceiling" else 40
    cut = place == ("base", 0, "track/h1")
    return Answer(
        key=key,
        text=text,
        finish="length" if cut else "stop",
        prompt_tokens=prompt_tokens,
        cached_tokens=prompt_tokens // 2,
        new_tokens=len(text) // 4 + 1,
        seconds=0.05,
    )


def _events() -> Iterator[Event]:
    """Stages with their seconds, and the steps of both trials."""
    events: list[tuple[str, dict[str, object]]] = []
    for name, seconds in (("load", 3.0), ("base", 6.0), ("train", 60.0), ("answer", 8.0)):
        events.append(("stage", {"name": name, "state": "end", "seconds": seconds}))
    for trial in TRIALS:
        events.append(("trial", trial.model_dump(mode="json")))
        for number in range(1, trial.steps + 1):
            loss = 0.02 + 3.2 * math.exp(-number / 22) * (1 + 0.12 * math.sin(number * 1.7))
            if trial.recipe == "origin":
                loss = 1.1 + 2.4 * math.exp(-number / 4)
            step = Step(
                trial=trial.trial,
                step=number,
                steps=trial.steps,
                epoch=number / 4,
                loss=loss,
                rate=trial.rate,
                grad_norm=1.0,
                positions=600,
                supervised=200,
                seconds=0.1,
            )
            events.append(("step", step.model_dump(mode="json")))
    for number, (kind, values) in enumerate(events, start=1):
        yield Event(seq=number, at="2026-11-22T10:00:00+00:00", elapsed=float(number), kind=kind, values=values)
