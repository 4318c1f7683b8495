"""The learned point: a training may end once its check wordings are answered as well as they will be.

Check wordings are two of the user's trained ones, kept out of training so that something may be chosen by them; the
held-out ones are never looked at. Knows no file and no order of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kurabe.model import Backend, TrialPlan
from kurabe.planning import LIVE
from kurabe.schema import AnswerKey, Question, Request, Step
from kurabe.scoring import score

LOOKS = 20  # in a whole training: what they cost stays small beside it
IN_A_ROW = 3  # looks as good as the best one: two may be luck, at a rate that still moves the weights


class LearnedPoint:
    """Looks at trainings on their way, at even distances, and says which have learned what they are checked by."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self._questions = {question.id: question for question in questions if question.probe == "check"}
        self._asked: dict[int, list[Request]] = {}
        self._seen: dict[int, list[int]] = {}  # values right, look by look

    def watch(self, trials: Iterable[TrialPlan], model: str, make: Callable[[AnswerKey], Request]) -> None:
        """Ask these trials about the examples that they learn. One without check wordings trains to its end."""
        for trial in trials:
            own = {sample.example for sample in trial.samples}
            self._asked[trial.trial] = [
                make(_key(model, trial.trial, question))
                for question in self._questions.values()
                if question.example in own
            ]

    def reached(self, step: Step, backend: Backend) -> bool:
        """Whether the step's trial has been at its best for three looks in a row. Nothing learned yet is no best."""
        requests = self._asked.get(step.trial)
        if not requests or step.step % max(1, step.steps // LOOKS):
            return False
        scores = [score(answer, self._questions[answer.key.question]) for answer in backend.answer(requests)]
        seen = self._seen.setdefault(step.trial, [])
        seen.append(sum(outcome.status == "right" for one in scores for outcome in one.outcomes))
        return seen[-IN_A_ROW:] == [max(seen)] * IN_A_ROW and seen[-1] > 0

    def looks(self, trial: int) -> list[int]:
        """The values that were right, look by look."""
        return self._seen.get(trial, [])

    def recall(self, trial: int, looks: Sequence[int]) -> None:
        """Looks that an earlier session took."""
        self._seen[trial] = list(looks)


def _key(model: str, trial: int, question: Question) -> AnswerKey:
    return AnswerKey(model=model, trial=trial, arm="lora", hop=LIVE, probe="check", question=question.id)
