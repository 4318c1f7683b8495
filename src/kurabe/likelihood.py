"""Likelihood: is the expected answer likelier than the same answer with another value in a value's place?

A second measure beside recall, without decoding: an arm that leans towards the right value without saying it yet shows
here. Knows no file and no step of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, zip_longest

from kurabe import stats
from kurabe.model import Backend
from kurabe.schema import Answer, LikelihoodResult, Question, Request
from kurabe.stale import replacements


def targets(question: Question, most: int) -> tuple[str, ...]:
    """The expected answer, then at most so many alternatives, each with one value changed into another of its kind; the
    values take turns. Empty where no value can be changed: there is nothing to hold the answer against."""
    turns = zip_longest(*replacements(question.expected, question.facts, question.facts))
    found = dict[str, None]()
    for change in chain.from_iterable(turns) if most else ():
        if change is not None:
            found[change.answer] = None
        if len(found) == most:
            break
    return (question.expected, *found) if found else ()


def weigh(
    backend: Backend, requests: Sequence[Request], questions: Mapping[str, Question], most: int
) -> Iterator[Answer]:
    """For each request an answer without text, whose `logprobs` say how likely its question's `targets` are."""
    asked = [targets(questions[request.key.question], most) for request in requests]
    pairs = [(request, target) for request, texts in zip(requests, asked, strict=True) for target in texts]
    scores = backend.score([request for request, _ in pairs], [target for _, target in pairs])
    for request, texts in zip(requests, asked, strict=True):
        own = list(islice(scores, len(texts)))
        errors = [score.error for score in own if score.logprob is None]
        if errors:
            yield Answer(key=request.key, text="", finish="error", error=errors[0])
        else:
            likely = tuple(score.logprob for score in own if score.logprob is not None)
            yield Answer(key=request.key, text="", logprobs=likely, new_tokens=sum(score.tokens for score in own))


def results(
    arms: Mapping[str, tuple[str, int]], answers: Sequence[Answer], asked: Mapping[str, Question], seed: int
) -> Iterator[LikelihoodResult]:
    """Per arm, the share of its questions whose expected answer was likelier than every alternative. `arms` names each
    label's arm and trial, `asked` are the questions by their ids."""
    found: dict[tuple[str, int], dict[str, list[stats.Cluster]]] = {}
    chance: dict[tuple[str, int], list[float]] = {}
    for answer in answers:
        if answer.key.probe == "weighed" and answer.logprobs:
            right, *others = answer.logprobs
            arm, example = (answer.key.arm, answer.key.trial), asked[answer.key.question].example
            found.setdefault(arm, {}).setdefault(example, []).append(stats.Cluster(right > max(others), 1))
            chance.setdefault(arm, []).append(1 / len(answer.logprobs))
    for label, key in arms.items():
        if key in found:
            clusters = {
                example: stats.Cluster(sum(c.total for c in own), len(own)) for example, own in found[key].items()
            }
            yield LikelihoodResult(
                label=label, likeliest=stats.share(clusters, seed), chance=sum(chance[key]) / len(chance[key])
            )
