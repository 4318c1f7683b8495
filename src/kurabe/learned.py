"""The learned point: a training may end once its check wordings are answered right.

Check wordings are two of the user's trained ones, kept out of training so that something may be chosen by them; the
held-out ones are never looked at. Knows no file and no order of steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from kurabe.model import Backend, TrialPlan
from kurabe.planning import LIVE
from kurabe.schema import AnswerKey, Question, Request, Step
from kurabe.scoring import is_right

LOOKS = 20  # in a whole training: what they cost stays small beside it
IN_A_ROW = 2  # looks with everything right; one alone may be luck, at a rate that still moves the weights


class LearnedPoint:
    """Looks at trainings on their way, at even distances, and says which have learned what they are checked by."""

    def __init__(
        self, backend: Backend, make: Callable[[AnswerKey], Request], questions: Mapping[str, Question]
    ) -> None:
        self._backend, self._make, self._questions = backend, make, questions
        self._asked: dict[int, list[Request]] = {}
        self._right: Counter[int] = Counter()

    def watch(self, trials: Iterable[TrialPlan]) -> None:
        """Ask these trials about the examples that they learn. One without check wordings trains to its end."""
        for trial in trials:
            own = {sample.example for sample in trial.samples}
            self._asked[trial.trial] = [
                self._make(_key(self._backend.info.name, trial.trial, question))
                for question in self._questions.values()
                if question.probe == "check" and question.example in own
            ]

    def reached(self, step: Step) -> bool:
        """Whether the step's trial, as it is now, has answered all its check wordings right twice in a row."""
        requests = self._asked.get(step.trial)
        if not requests or step.step % max(1, step.steps // LOOKS):
            return False
        answers = self._backend.answer(requests)
        right = all(is_right(answer, self._questions[answer.key.question]) for answer in answers)
        self._right[step.trial] = self._right[step.trial] + 1 if right else 0
        return self._right[step.trial] >= IN_A_ROW


def _key(model: str, trial: int, question: Question) -> AnswerKey:
    return AnswerKey(model=model, trial=trial, arm="lora", hop=LIVE, probe="check", question=question.id)
