"""What the show counts: in the run's own answers, and nothing else."""

from __future__ import annotations

import pytest
import synthetic

from kurabe import analysis
from kurabe.schema import Results
from kurabe.texts import Texts
from kurabe.workshop.measured import Count, chosen_facts, counted


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return analysis.analyse(synthetic.write_run(tmp_path_factory.mktemp("runs"), "en"))


def test_a_price_and_a_time_of_two_examples(results: Results) -> None:
    found = chosen_facts(results)
    assert [fact.kind for _, fact in found] == ["money", "duration"]
    assert len({example for example, _ in found}) == 2


def test_each_arm_is_counted_on_its_own_answers(results: Results) -> None:
    table = counted(results)
    assert list(table) == [arm.label for arm in results.arms]
    for arm in results.arms:
        form, *values = table[arm.label]
        assert form.asked == sum(arm.outcomes[s] for s in ("right", "wrong", "missing", "refused"))
        assert form.had == arm.outcomes["right"] + arm.outcomes["wrong"]
        assert len(values) == 2 and all(0 <= count.had <= count.asked and count.asked for count in values)


def test_a_right_value_is_not_counted_for_another(results: Results) -> None:
    """An arm whose every answer was wrong has the form and no value."""
    wrong = results.model_copy(
        update={
            "questions": tuple(
                q.model_copy(
                    update={
                        "answers": tuple(
                            a.model_copy(
                                update={"outcomes": tuple(o.model_copy(update={"status": "wrong"}) for o in a.outcomes)}
                            )
                            for a in q.answers
                        )
                    }
                )
                for q in results.questions
            )
        }
    )
    for form, *values in counted(wrong).values():
        assert form.mark == "all" and {count.mark for count in values} == {"none"}


@pytest.mark.parametrize(("had", "mark"), [(0, "none"), (2, "some"), (5, "all")])
def test_the_sign_follows_the_count(had: int, mark: str) -> None:
    assert Count("form", had, 5).mark == mark
    assert Count("$6.99", had, 5).name(Texts("ja")) == "$6.99" and Count("form", had, 5).name(Texts("ja")) == "形"
