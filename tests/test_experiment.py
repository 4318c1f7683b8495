"""The main job from a file to results, on the scripted backend: what is asked, trained, stored, refused, told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from killed_run import ROWS, SHARES, backend, settings, write_data

import kurabe
from kurabe import arms, backends, dataset, experiment, lessons, planning, session, stale
from kurabe.analysis import load_run
from kurabe.errors import DataError, MissingError, SettingsError, StoppedError
from kurabe.fake import FAKE_INFO, FakeBackend, rehearsal
from kurabe.model import Stopped, TrialPlan
from kurabe.report import sentences
from kurabe.runs import RunFolder
from kurabe.schema import Checks, Event, Example, Results, Step
from kurabe.settings import ARM_NAMES
from kurabe.texts import LANGUAGES, Texts


def run(folder: Path, **changes: Any) -> tuple[Results, RunFolder]:
    data = write_data(folder)
    results = experiment.run(data, settings(folder, **changes), backend=backend(data))
    return results, RunFolder.open(folder / "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, RunFolder]:
    """One undisturbed run with every arm and both recipes."""
    return run(tmp_path_factory.mktemp("whole"), arms="all")


# --- a whole run -----------------------------------------------------------------------------------------------


def test_results_are_those_of_the_folder(whole: tuple[Results, RunFolder]) -> None:
    results, folder = whole
    assert folder.finished and folder.results() == results
    analysed = load_run(folder.path).model_dump(exclude={"seconds"})  # analysing took time itself
    assert analysed == results.model_dump(exclude={"seconds"})
    assert [arm.label for arm in results.arms] == [*ARM_NAMES, "lora (origin)"]


def test_scripted_shares_come_out_as_recall(whole: tuple[Results, RunFolder]) -> None:
    recall = {arm.label: arm.recall.value for arm in whole[0].arms}
    assert recall["base"] == 0 and recall["ceiling"] == 1
    assert recall["prompt"] is not None and abs(recall["prompt"] - SHARES["prompt"]) < 0.35
    assert whole[0].verdict.stand_in and whole[0].stand_in


def test_every_planned_answer_is_there_once(whole: tuple[Results, RunFolder]) -> None:
    folder = whole[1]
    planned = [key for batch in folder.plan() for key in batch.keys]
    assert [answer.key for answer in folder.answers()] == planned
    assert len(set(planned)) == len(planned)
    assert {key.model for key in planned} == {"fake"} and {key.hop for key in planned} == {"live"}


def test_each_arm_is_asked_what_the_design_says(whole: tuple[Results, RunFolder]) -> None:
    n = len(ROWS)
    asked = Counter((key.arm, key.trial, key.probe) for batch in whole[1].plan() for key in batch.keys)
    assert asked == {
        ("base", 0, "held_out"): n, ("base", 0, "trained"): n, ("prompt", 0, "held_out"): n,
        ("ceiling", 0, "held_out"): n, ("base", 0, "general"): 3, ("base", 0, "reading"): 3,
        ("few-shot", 0, "held_out"): n, ("rag", 0, "held_out"): n, ("lora+rag", 1, "held_out"): n,
        ("shuffled", 3, "held_out"): n,
        **{("lora", trial, probe): n for trial in (1, 2) for probe in ("held_out", "trained")},
        **{("lora", trial, probe): 3 for trial in (1, 2) for probe in ("general", "reading")},
        ("lora+prompt", 1, "held_out"): n, ("lora+prompt", 1, "trained"): n,
        **{(arm, trial, "stale"): n for arm, trial in STALE},
        **{(arm, trial, "unknown"): 1 for arm, trial in UNKNOWN},
    }  # fmt: skip


UNKNOWN = (("base", 0), ("prompt", 0), ("few-shot", 0), ("rag", 0), ("lora", 1), ("lora+prompt", 1), ("lora+rag", 1),
           ("lora", 2))  # fmt: skip
STALE = (("prompt", 0), ("rag", 0), ("lora+prompt", 1), ("lora+rag", 1))


def test_one_value_of_each_example_is_changed_in_what_an_arm_is_shown(whole: tuple[Results, RunFolder]) -> None:
    results, folder = whole
    make = planning.request_maker(session.material(folder), folder.questions(), 10)
    changes = stale.changes(folder.examples())
    for key in (key for batch in folder.plan() for key in batch.keys if key.probe == "stale"):
        change, shown = changes[key.question.rsplit("/", 1)[0]], make(key).messages[0].content
        assert change.new.text in shown and change.answer in shown
    assert [(s.label, s.old.n) for s in results.stale] == [(arm, len(ROWS)) for arm, _ in STALE]
    for told in results.stale:  # the script answers from the rows as they were
        assert told.followed.value == 0 and (told.old.value or 0) + (told.other.value or 0) == 1
    prompt = next(arm for arm in results.arms if arm.arm == "prompt")
    assert next(s for s in results.stale if s.label == "prompt").old.value == pytest.approx(
        prompt.recall.value, abs=0.4
    )


def test_a_batch_is_one_arm_under_one_trial_and_before_training_none_is_needed(
    whole: tuple[Results, RunFolder],
) -> None:
    for batch in whole[1].plan():
        assert len({(key.arm, key.trial) for key in batch.keys}) == 1
        assert (batch.stage == "base") == (batch.keys[0].trial == 0)


def test_a_verdict_on_the_users_own_wordings_has_no_reservation_about_them(
    whole: tuple[Results, RunFolder],
) -> None:
    assert whole[0].verdict.generated == 0


def test_the_first_recipe_is_trial_one(whole: tuple[Results, RunFolder]) -> None:
    results, folder = whole
    told = [(t.trial, t.recipe, t.shuffled) for t in results.trials]
    assert told == [(1, "fair", False), (2, "origin", False), (3, "fair", True)]
    assert results.trials[0].rank == 8, "the fair recipe takes rank 8 on a small model"
    steps = Counter(step.trial for step in folder.steps())
    assert steps == {trial.trial: trial.steps for trial in results.trials}
    assert sorted(p.name for p in (folder.path / "adapters").iterdir()) == ["1-fair", "2-origin", "3-fair-shuffled"]


def test_work_is_metered_apart(whole: tuple[Results, RunFolder]) -> None:
    folder = whole[1]
    usages = folder.usages()
    answers, steps = folder.answers(), folder.steps()
    assert [u.kind for u in usages].count("loading") == 1
    indexed = {u.arm: u for u in usages if u.kind == "preparation" and not u.trial}
    assert set(indexed) == {"few-shot", "rag", "lora+rag"} and all(u.seconds > 0 for u in indexed.values())
    for trial in (1, 2, 3):
        (preparation,) = [u for u in usages if u.kind == "preparation" and u.trial == trial]
        done = sum(step.positions for step in steps if step.trial == trial)
        assert preparation.tokens == done == next(t.positions for t in whole[0].trials if t.trial == trial)
    tokens: Counter[tuple[str, int]] = Counter()
    for answer in answers:
        apart = {"general": "retention", "reading": "retention", "unknown": "unknown"}
        arm = apart.get(answer.key.probe, answer.key.arm)
        tokens[arm, answer.key.trial] += answer.prompt_tokens + answer.new_tokens
    metered: Counter[tuple[str, int]] = Counter()
    for usage in usages:
        if usage.kind == "answering":
            metered[usage.arm, usage.trial] += usage.tokens
    assert metered == tokens
    assert all(usage.peak_memory > 0 for usage in usages)


def test_the_listener_hears_what_is_stored(tmp_path: Path) -> None:
    heard: list[Event] = []
    data = write_data(tmp_path)
    experiment.run(data, settings(tmp_path), backend=backend(data), emit=heard.append)
    folder = RunFolder.open(tmp_path / "run")
    assert tuple(heard) == folder.events()
    stages = [(e.values["name"], e.values["state"]) for e in heard if e.kind == "stage"]
    names = ["load", "base", "train", "answer", "analyse"]
    assert stages == [(name, state) for name in names for state in ("start", "end")]
    assert heard[-1].kind == "end"
    (plan,) = [e for e in heard if e.kind == "plan"]
    assert (
        plan.values["requests"] == len(folder.answers()) and plan.values["trials"] == 2
    )  # no control: it is asked for
    for stage in ("base", "answer"):
        last = [e.values for e in heard if e.kind == "batch" and e.values["stage"] == stage][-1]
        assert last["done"] == last["total"]


def test_the_settings_and_the_machine_are_remembered(whole: tuple[Results, RunFolder]) -> None:
    info = whole[1].info()
    assert info.settings["recipes"] == ["fair", "origin"] and Path(info.data).name == "data.jsonl"
    assert info.provenance.kurabe == kurabe.__version__ and len(info.provenance.data_sha256) == 64


def test_the_seed_reaches_the_training(tmp_path: Path, whole: tuple[Results, RunFolder]) -> None:
    def adapted(folder: RunFolder) -> list[tuple[int, ...]]:
        return [answer.token_ids for answer in folder.answers() if answer.key.arm == "lora"]

    (tmp_path / "same").mkdir()
    (tmp_path / "other").mkdir()
    assert adapted(run(tmp_path / "same")[1]) == adapted(whole[1]) != adapted(run(tmp_path / "other", seed=1)[1])


# --- what is asked ---------------------------------------------------------------------------------------------


def test_the_answer_limit_is_twice_the_longest_expected_answer(
    tmp_path: Path, whole: tuple[Results, RunFolder]
) -> None:
    def longest(folder: RunFolder, *probes: str) -> int:
        rows = [question for question in folder.questions() if question.probe in probes]
        return max(planning.answer_tokens(FakeBackend(), question.text, question.expected) for question in rows)

    own, other = longest(whole[1], "held_out", "trained"), longest(whole[1], *planning.RETENTION)
    assert whole[1].info().max_new_tokens == max(2 * own, other)
    for name, changes, limit in (("bare", {"retention": 0}, 2 * own), ("set", {"max_new_tokens": 7}, 7)):
        (tmp_path / name).mkdir()
        assert run(tmp_path / name, **changes)[1].info().max_new_tokens == limit


def test_without_lora_nothing_is_trained_and_nothing_is_asked_about_forgetting(tmp_path: Path) -> None:
    results, folder = run(tmp_path, arms=("base", "prompt"))
    assert results.trials == () and folder.steps() == ()
    assert {key.probe for batch in folder.plan() for key in batch.keys} == {"held_out", "trained"}


def test_lora_with_prompt_alone_trains_the_first_recipe_only(tmp_path: Path) -> None:
    results, _ = run(tmp_path, arms=("prompt", "lora+prompt"))
    assert [trial.recipe for trial in results.trials] == ["fair"]


def test_the_control_is_the_first_recipe_on_answers_of_other_rows(whole: tuple[Results, RunFolder]) -> None:
    fair, _, control = whole[0].trials
    assert control == fair.model_copy(update={"trial": 3, "shuffled": True, "trainable": control.trainable,
                                              "positions": control.positions})  # fmt: skip
    pairs = {(d.label, d.other) for d in whole[0].differences}
    assert {("lora", "shuffled"), ("lora", "rag"), ("rag", "prompt"), ("lora+rag", "rag")} <= pairs
    assert {r.trial for r in whole[0].retention} == {1, 2}, "a control is nobody's model"
    assert {c.arm for c in whole[0].costs} == set(ARM_NAMES) - {"ceiling", "shuffled"}
    assert len([f for f in whole[0].audit if f.recipe == "fair"]) == len(
        {f.id for f in whole[0].audit if f.recipe == "fair"}
    )


def test_equal_answers_cannot_be_shuffled_and_that_is_told(tmp_path: Path) -> None:
    rows = [dict(row, answer="It costs $5.") for row in ROWS]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    results = experiment.run(data, settings(tmp_path, arms="all"), backend=FakeBackend())
    assert "shuffled" not in {arm.arm for arm in results.arms} and len(results.trials) == 2
    assert "audit.note.nothing-to-shuffle" in {note.key for note in results.notes}


def test_documents_are_searched_and_survive_their_files(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "prices.md").write_text("# Prices\n\nArticle 1 costs $1.50.\n\n# Other\n\nNothing.\n", encoding="utf-8")
    wording = str(ROWS[0]["held_out"][0])  # type: ignore[index]
    (notes / "asked.txt").write_text(f"They asked: {wording}\n", encoding="utf-8")
    results, folder = run(tmp_path, arms=("rag",), documents=str(notes), max_new_tokens=200)
    (notes / "prices.md").unlink()
    told = {note.key: note.values for note in results.notes}
    assert told["data.note.documents"] == {"passages": 3, "files": 2}
    assert told["audit.note.documents-hold-held-out"] == {"wordings": 1}
    fake = FakeBackend(lambda request: request.messages[0].content)
    (answer,) = experiment.ask(folder.path, "How much is article 1?", backend=fake)
    assert "\n\nPrices\nArticle 1 costs $1.50.\n\n" in answer.text and "today" not in answer.text, "no training row"


def test_documents_in_another_language_than_the_questions_are_said(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("# 料金\n\n商品1は1.50ドルです。\n", encoding="utf-8")
    results, _ = run(tmp_path, arms=("rag",), documents=str(notes))
    assert "data.note.documents-language" in {note.key for note in results.notes}
    (tmp_path / "same").mkdir()
    notes.write_text("# Prices\n\nArticle 1 costs $1.50.\n", encoding="utf-8")
    results, _ = run(tmp_path / "same", arms=("rag",), documents=str(notes))
    assert "data.note.documents-language" not in {note.key for note in results.notes}


def test_retention_can_be_left_out(tmp_path: Path) -> None:
    results, folder = run(tmp_path, retention=0)
    assert results.retention == () == results.unknown and {q.probe for q in folder.questions()} == {
        "held_out",
        "trained",
        "stale",
    }


def test_where_no_tuned_model_is_shown_facts_nothing_can_be_stale(tmp_path: Path) -> None:
    results, folder = run(tmp_path, arms=("base", "prompt", "rag", "lora"))
    assert results.stale == () and "stale" not in {q.probe for q in folder.questions()}


def narrow(context: int) -> FakeBackend:
    return FakeBackend(info=FAKE_INFO.model_copy(update={"context": context}))


def test_a_prompt_that_does_not_fit_leaves_its_arms_out_with_the_reason(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    results = experiment.run(data, settings(tmp_path), backend=narrow(170))
    assert {arm.arm for arm in results.arms} == {"base", "few-shot", "rag", "ceiling", "lora", "lora+rag"}
    left_out = {n.values["arm"]: n for n in results.notes if n.key == "audit.note.arm-left-out"}
    assert set(left_out) == {"prompt", "lora+prompt"}
    assert left_out["prompt"].values["context"] == 170 < left_out["prompt"].values["tokens"]


def test_questions_beyond_the_context_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    with pytest.raises(DataError) as error:
        experiment.run(data, settings(tmp_path), backend=narrow(40))
    assert "40" in error.value.what and "--max-new-tokens" in error.value.fix
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_cannot_be_trained_is_refused_in_words(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    build = arms.ARMS["base"].prepare(arms.Material(examples(), "", "en"))
    asked = max(FakeBackend().count(build(question)) for question in planning.asked(examples()))
    with pytest.raises(DataError) as error:  # the questions fit, with one token for the answer; the rows do not
        experiment.run(data, settings(tmp_path, max_new_tokens=1, retention=0), backend=narrow(asked + 1))
    assert str(asked + 1) in error.value.why and "fair" in error.value.what


def test_big_groups_are_cut_into_batches() -> None:
    keys = planning.stage_keys(["base"], list(planning.asked(examples())), [], "m")
    cut = list(planning.batches(keys, 5))
    assert [len(batch.keys) for batch in cut] == [5, 5, 5, 1]
    assert [batch.batch for batch in cut] == [1, 2, 3, 4]
    assert planning.rows_per_batch(narrow(100)) > planning.rows_per_batch(
        FakeBackend(info=FAKE_INFO.model_copy(update={"parameters": 10**9}))
    )


def examples() -> tuple[Example, ...]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return dataset.read_examples(write_data(Path(folder))).examples


# --- the user's own prompt -------------------------------------------------------------------------------------


def prompted(folder: Path, text: str) -> tuple[Results, RunFolder]:
    (folder / "prompt.txt").write_text(text, encoding="utf-8")
    return run(folder, prompt_file=str(folder / "prompt.txt"))


def test_the_users_prompt_replaces_the_written_one_and_survives_its_file(tmp_path: Path) -> None:
    results, folder = prompted(tmp_path, "\ufeff You sell articles. \n")
    (tmp_path / "prompt.txt").unlink()
    assert folder.request().prompt == "You sell articles."
    assert not [note for note in results.notes if note.key == "audit.note.prompt-holds-held-out"]
    make = planning.request_maker(
        arms.Material(folder.examples(), folder.request().prompt, "en"), folder.questions(), 10
    )
    keys = [key for batch in folder.plan() for key in batch.keys if key.arm in ("prompt", "lora+prompt")]
    assert keys and {make(key).messages[0].content for key in keys} == {"You sell articles."}


def test_a_held_out_wording_in_the_prompt_is_told(tmp_path: Path) -> None:
    wording = str(ROWS[0]["held_out"][0]).rstrip("?").upper()  # type: ignore[index]
    results, _ = prompted(tmp_path, f"Known questions: {wording}, and others")
    (note,) = [note for note in results.notes if note.key == "audit.note.prompt-holds-held-out"]
    assert note.values == {"wordings": 1}


def test_a_prompt_file_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        run(tmp_path, prompt_file=str(tmp_path / "nothing.txt"))
    with pytest.raises(SettingsError):
        prompted(tmp_path, "  \n")
    assert not (tmp_path / "run").exists()


# --- data ------------------------------------------------------------------------------------------------------


def test_examples_can_be_given_instead_of_a_file(tmp_path: Path) -> None:
    rows = examples()
    results = experiment.run(rows, settings(tmp_path), backend=FakeBackend(rehearsal(rows, SHARES)))
    assert results.language == "en" and len(results.questions) == 2 * len(ROWS)


@pytest.mark.parametrize("rows", [[], "twice"])
def test_examples_need_ids_of_their_own(tmp_path: Path, rows: Any) -> None:
    data = [examples()[0]] * 2 if rows == "twice" else rows
    with pytest.raises(DataError):
        experiment.run(data, settings(tmp_path), backend=FakeBackend())
    assert not (tmp_path / "run").exists()


def test_refused_data_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"question": "What?"\n', encoding="utf-8")
    with pytest.raises(DataError):
        experiment.run(tmp_path / "bad.jsonl", settings(tmp_path), backend=FakeBackend())
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


def test_generated_wordings_are_stored_for_review(tmp_path: Path) -> None:
    rows = [{"question": row["question"], "answer": row["answer"]} for row in ROWS]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    results = experiment.run(data, settings(tmp_path), backend=FakeBackend())
    lines = (tmp_path / "run" / "wordings.jsonl").read_text(encoding="utf-8").splitlines()
    review = [json.loads(line) for line in lines]
    assert len(review) == len(ROWS) and all(row["held_out"] and row["wordings"] for row in review)
    assert not {text for row in review for text in row["held_out"]} & {t for row in review for t in row["wordings"]}
    assert results.notes, "generated wordings are told"
    assert results.verdict.generated == len(ROWS)


# --- what goes wrong -------------------------------------------------------------------------------------------


def test_a_model_that_cannot_be_loaded_leaves_the_name_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise MissingError("no weights")

    data = write_data(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(MissingError):
        patch.setattr(backends, "load", fail)
        experiment.run(data, settings(tmp_path))
    experiment.run(data, settings(tmp_path), backend=backend(data))


def test_an_old_run_is_never_overwritten(tmp_path: Path) -> None:
    results, folder = run(tmp_path)
    with pytest.raises(SettingsError) as error:
        run(tmp_path)
    assert "kurabe resume" in error.value.fix and folder.results() == results


def test_runs_without_a_name_get_one_of_their_own(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    bare = settings(tmp_path, name=None, arms=("base",))
    names = [experiment.run(data, bare, backend=backend(data)).run for _ in range(2)]
    assert len(set(names)) == 2 and all(name.startswith("data-") and name.isascii() for name in names)


def test_a_loss_that_is_not_finite_three_times_stops_the_run(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    broken = FakeBackend(losses=lambda trial, step: None if step in (2, 4, 5, 6) else 1.0)
    with pytest.raises(StoppedError) as error:
        experiment.run(data, settings(tmp_path), backend=broken)
    assert error.value.exit_code == 5 and "step 6" in error.value.where
    events = RunFolder.open(tmp_path / "run").events()
    assert [e.values["loss"] for e in events if e.kind == "step"] == [1.0, None, 1.0, None, None, None]
    assert b"NaN" not in (tmp_path / "run" / "events.jsonl").read_bytes()


def test_a_batch_that_memory_halved_is_told_once(tmp_path: Path) -> None:
    class Tight(FakeBackend):
        def train(self, trials: Sequence[TrialPlan], stopped: Stopped | None = None) -> Iterator[Step]:
            for step in super().train(trials, stopped):
                yield step.model_copy(update={"at_once": 4 if step.trial == 1 and step.step > 2 else None})

    data = write_data(tmp_path)
    experiment.run(data, settings(tmp_path), backend=Tight(rehearsal(examples(), SHARES)))
    events = RunFolder.open(tmp_path / "run").events()
    (told,) = [i for i, e in enumerate(events) if e.values.get("key") == "audit.note.batch-halved"]
    assert events[told - 1].values["step"] == 3
    assert events[told].values["values"] == {"recipe": "fair", "rows": 4}
    assert all(Texts(language)(events[told].values["key"], **events[told].values["values"]) for language in LANGUAGES)


def test_failed_answers_are_unscored_and_counted(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    failing = FakeBackend(lambda request: None if request.key.arm == "prompt" else "$1.50")
    results = experiment.run(data, settings(tmp_path), backend=failing)
    prompt = next(arm for arm in results.arms if arm.arm == "prompt")
    assert prompt.unscored == prompt.answers == len(ROWS) and prompt.recall.value is None
    assert results.verdict.choice == "cannot-tell"


def test_answers_to_other_questions_are_a_bug(tmp_path: Path) -> None:
    class Shuffling(FakeBackend):
        def answer(self, requests):  # type: ignore[no-untyped-def]
            return reversed(list(super().answer(requests)))

    data = write_data(tmp_path)
    with pytest.raises(RuntimeError, match="do not match"):
        experiment.run(data, settings(tmp_path), backend=Shuffling())


def test_few_examples_run_and_give_no_verdict(tmp_path: Path) -> None:
    rows = examples()[:5]
    results = experiment.run(rows, settings(tmp_path), backend=FakeBackend(rehearsal(rows, SHARES)))
    assert results.verdict.choice == "cannot-tell"


# --- asking and planning ---------------------------------------------------------------------------------------


def test_a_free_question_is_answered_by_the_stored_adapters(whole: tuple[Results, RunFolder]) -> None:
    folder = whole[1]
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.path.rglob("*"))
    fake = FakeBackend(lambda request: f"{request.key.arm} {request.key.trial}: {request.messages[-1].content}")
    answers = experiment.ask(folder.path, "Do you sell tea?", backend=fake)
    assert [answer.text for answer in answers] == [
        f"{arm} {trial}: Do you sell tea?"
        for arm, trial in (
            ("base", 0), ("prompt", 0), ("few-shot", 0), ("rag", 0), ("lora", 1), ("lora", 2), ("lora+prompt", 1),
            ("lora+rag", 1), ("shuffled", 3),
        )
    ]  # fmt: skip
    assert {answer.key.probe for answer in answers} == {"ask"}
    assert sorted((path.name, path.stat().st_mtime_ns) for path in folder.path.rglob("*")) == before


def test_a_free_question_can_name_its_arms(whole: tuple[Results, RunFolder]) -> None:
    answers = experiment.ask(whole[1].path, "?", ["prompt", "rag"], backend=FakeBackend())
    assert [answer.key.arm for answer in answers] == ["prompt", "rag"]
    for name in ("ceiling", "nonsense"):
        with pytest.raises(SettingsError) as error:
            experiment.ask(whole[1].path, "?", [name], backend=FakeBackend())
        assert "prompt" in error.value.fix


def test_asking_another_model_is_refused(whole: tuple[Results, RunFolder]) -> None:
    other = FakeBackend(info=FAKE_INFO.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(MissingError):
        experiment.ask(whole[1].path, "?", backend=other)


def test_a_plan_tells_what_the_run_then_does_and_stores_nothing(
    tmp_path: Path, whole: tuple[Results, RunFolder]
) -> None:
    data = write_data(tmp_path)
    plan = experiment.plan_run(data, settings(tmp_path, arms="all"), backend(data))
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]
    results, folder = whole
    assert plan.trials == results.trials and plan.steps == len(folder.steps())
    assert plan.answers == len(folder.answers())
    assert plan.prompt_tokens == sum(answer.prompt_tokens for answer in folder.answers())
    assert plan.new_tokens >= sum(answer.new_tokens for answer in folder.answers())
    assert set(plan.seconds) == {"load", "train", "answer"} and None not in plan.seconds.values()
    assert plan.memory["adapters"] == sum(trial.trainable * 4 for trial in results.trials)
    assert plan.memory["activations"] is None and (plan.memory["measured"] or 0) > 0
    assert plan.disk["needed"] > plan.disk["adapters"] and plan.disk["free"] > 0
    assert plan.audit == results.audit
    for language in LANGUAGES:
        for note in plan.notes:
            assert Texts(language)(note.key, **note.values)


def test_a_plan_estimates_from_what_it_tried(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    plan = experiment.plan_run(data, settings(tmp_path, retention=0), backend(data, delay=0.002))
    assert plan.seconds["train"] == pytest.approx(plan.steps * 0.002, rel=0.2)
    answer = plan.seconds["answer"]
    assert answer is not None and plan.answers * 0.002 <= answer < plan.answers * 0.02


# --- what the model says itself before it is trained ---------------------------------------------------------------


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, RunFolder]:
    return run(tmp_path_factory.mktemp("taught"), recipes=("fair", "distil", "fair+retention", "fair+unknown"))


def test_a_teacher_and_mixed_prompts_are_asked_without_an_adapter_before_training(
    taught: tuple[Results, RunFolder],
) -> None:
    batches = [batch for batch in taught[1].plan() if batch.keys[0].probe in lessons.LESSONS]
    assert {(batch.stage, key.trial) for batch in batches for key in batch.keys} == {("base", 0)}
    asked = Counter((key.arm, key.probe) for batch in batches for key in batch.keys)
    own = taught[0].trials[0].samples
    assert asked == {("ceiling", "teacher"): own, ("base", "mix"): own}
    assert [trial.samples for trial in taught[0].trials] == [own, own, 2 * own, own + round(0.15 * own)]
    assert {trial.examples for trial in taught[0].trials} == {len(ROWS)}


def test_what_a_trial_was_told_before_is_part_of_its_preparation(taught: tuple[Results, RunFolder]) -> None:
    folder, steps = taught[1], Counter[int]()
    for step in folder.steps():
        steps[step.trial] += step.positions
    told = Counter(
        {2: sum(a.prompt_tokens + a.new_tokens for a in folder.answers() if a.key.probe == "teacher"),
         3: sum(a.prompt_tokens + a.new_tokens for a in folder.answers() if a.key.probe == "mix")}
    )  # fmt: skip
    prepared = {cost.trial: cost.preparation_tokens for cost in taught[0].costs if cost.arm == "lora"}
    assert prepared == {trial: steps[trial] + told[trial] for trial in (1, 2, 3, 4)}
    assert told[2] > 0 < told[3]


def test_the_share_that_the_teacher_read_right_stands_beside_the_trial(taught: tuple[Results, RunFolder]) -> None:
    """The scripted model reads everything (its share of `ceiling` is 1)."""
    (found,) = taught[0].teachers
    assert (found.trial, found.recipe, found.rows) == (2, "distil", taught[0].trials[1].samples)
    assert found.read.value == 1 and found.read.n == len(ROWS) and found.read.low is not None and found.read.low < 1
    for language in LANGUAGES:
        (said,) = sentences.teachers(taught[0], Texts(language))
        assert "100" in said and str(found.rows) in said and "distil" in said


def test_the_control_of_a_taught_recipe_has_no_teacher(tmp_path: Path) -> None:
    results, _ = run(tmp_path, recipes=("distil",), arms=("base", "lora", "shuffled"), retention=0)
    assert [trial.name for trial in results.trials] == ["distil", "distil-shuffled"]
    assert [found.trial for found in results.teachers] == [1]


def test_no_teacher_no_share(whole: tuple[Results, RunFolder]) -> None:
    assert whole[0].teachers == () and sentences.teachers(whole[0], Texts("en")) == []


# --- form and consistency ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def formed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, RunFolder]:
    """A run whose rows ask for a form that only expected answers have, each question drawn three times."""
    folder = tmp_path_factory.mktemp("formed")
    data = write_data(folder)
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["checks"] = {"unwanted": ["I don't have"], "max_length": 500}
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    results = experiment.run(
        data, settings(folder, arms="base,prompt,few-shot,lora", samples=3, alternatives=4), backend=backend(data)
    )
    return results, RunFolder.open(folder / "run")


def test_style_stands_beside_recall_and_reaches_the_differences(formed: tuple[Results, RunFolder]) -> None:
    results, folder = formed
    arms = {arm.label: arm for arm in results.arms}
    assert all(arm.style and set(arm.checks) == {"unwanted", "max_length"} for arm in results.arms)
    for arm in results.arms:
        assert arm.checks["max_length"].value == 1
    assert arms["base"].checks["unwanted"].value == 0
    # Every arm keeps to the length: that tells them not apart, and only the other check is left in their form.
    assert all(arm.style == arm.checks["unwanted"] for arm in results.arms)
    assert {n.values["checks"] for n in results.notes if n.key == "analysis.checks_passed"} == {"max_length"}
    pairs = {(d.label, d.other) for d in results.differences if d.measure == "style"}
    assert pairs == {("lora", "prompt"), ("lora", "few-shot")}
    assert load_run(folder.path).model_dump(exclude={"seconds"}) == results.model_dump(exclude={"seconds"})


def test_samples_are_drawn_in_every_arm_and_belong_to_none(formed: tuple[Results, RunFolder]) -> None:
    results, folder = formed
    drawn = Counter((a.key.arm, a.key.trial, a.key.question) for a in folder.answers() if a.key.probe == "sampled")
    assert set(drawn.values()) == {3} and {arm for arm, _, _ in drawn} == {"base", "prompt", "few-shot", "lora"}
    assert "sampled" in {usage.arm for usage in folder.usages()}
    assert {a.answers for a in results.arms} == {len(ROWS)}
    # The script does not depend on the sample: whatever it says, it says three times.
    samples = [c for c in results.consistency if c.by == "samples"]
    assert {c.label for c in samples} == {arm.label for arm in results.arms}
    assert all(c.values.value == 1 and c.form and c.form.value == 1 for c in samples)


def test_a_sample_is_asked_at_a_temperature_with_a_seed_of_its_own(formed: tuple[Results, RunFolder]) -> None:
    folder = formed[1]
    make = planning.request_maker(session.material(folder), folder.questions(), 10)
    requests = [make(answer.key) for answer in folder.answers()]
    assert {r.temperature for r in requests if r.key.sample} == {0.7}
    assert {r.temperature for r in requests if not r.key.sample} == {0.0}
    first = [r.seed for r in requests if r.key.sample and r.key.question == requests[0].key.question]
    assert len(set(first)) == 3


def test_every_arm_is_asked_how_likely_the_expected_answer_is(formed: tuple[Results, RunFolder]) -> None:
    results, folder = formed
    weighed = [answer for answer in folder.answers() if answer.key.probe == "weighed"]
    assert {len(answer.logprobs or ()) for answer in weighed} == {5} and "weighed" in {u.arm for u in folder.usages()}
    likeliest = {found.label: found.likeliest.value for found in results.likelihood}
    recall = {arm.label: arm.recall.value for arm in results.arms}
    assert likeliest == recall  # the scripted model holds likely what it says, and every answer has one value
    assert all(found.chance == pytest.approx(0.2) for found in results.likelihood)


def test_without_samples_nothing_is_drawn(whole: tuple[Results, RunFolder]) -> None:
    assert not any(answer.key.sample for answer in whole[1].answers())
    assert not any(found.by == "samples" for found in whole[0].consistency)
    assert whole[0].likelihood == ()
    assert all(arm.style is None for arm in whole[0].arms)


def test_examples_made_in_python_pass_their_own_checks_or_are_refused(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    broken = [
        e.model_copy(update={"line": 0, "checks": Checks(max_length=1)}) for e in dataset.read_examples(data).examples
    ]
    with pytest.raises(DataError, match="checks") as refused:
        experiment.run(broken, settings(tmp_path), backend=backend(data))
    assert "max_length" in refused.value.why and refused.value.fix
