"""Invented shops: same seed, same shop; held-out wordings stay apart; every value stands in its answer."""

from __future__ import annotations

from random import Random

import pytest

from kurabe.shops import articles, invent_shop, missing_row, topics, wording

LANGUAGES = ["en", "ja"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_seed_gives_the_same_shop(language: str) -> None:
    assert invent_shop(7, 12, language) == invent_shop(7, 12, language)
    assert invent_shop(7, 12, language) != invent_shop(8, 12, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_value_stands_in_its_answer(language: str) -> None:
    for seed in range(60):
        for row in invent_shop(seed, 10, language).rows:
            assert all(value in row.answer for value in row.values), row
            assert all(value in row.short for value in row.short_values), row
            assert "{" not in row.answer + row.question + row.short
            assert "[" not in row.answer + row.question


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_are_short_and_hold_up_to_a_few_values(language: str) -> None:
    rows = [row for seed in range(60) for row in invent_shop(seed, 10, language).rows]
    assert {1, 2, 3, 4} <= {len(row.values) for row in rows}
    assert max(len(row.answer) for row in rows) < 500


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_subject_stands_once_in_a_shop(language: str) -> None:
    for seed in range(40):
        shop = invent_shop(seed, 14, language)
        subjects = [name for row in shop.rows for name in (row.topic, row.also) if name]
        assert len(subjects) == len(set(subjects))


@pytest.mark.parametrize("language", LANGUAGES)
def test_trained_and_held_out_wordings_share_no_pattern(language: str) -> None:
    for topic in topics(language):
        assert not set(topic.asks) & set(topic.asks_held_out)
    rng = Random(3)
    rows = [row for seed in range(30) for row in invent_shop(seed, 8, language).rows]
    trained = {wording(row, rng, plain=True) for row in rows for _ in range(12)}
    held_out = {wording(row, rng, held_out=True, plain=True) for row in rows if row.asks_held_out for _ in range(4)}
    assert not trained & held_out


def test_a_topic_has_many_wordings() -> None:
    rng = Random(1)
    shop = next(
        shop for shop in (invent_shop(seed, 8, mix="support") for seed in range(99)) if shop.rows[0].topic == "returns"
    )
    assert len({shop.rows[0].ask(rng) for _ in range(2000)}) > 150


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_missing_row_is_not_in_the_shop(language: str) -> None:
    for seed in range(40):
        shop = invent_shop(seed, 8, language)
        row = missing_row(shop, Random(seed))
        assert row.topic not in {known.topic for known in shop.rows}
        assert not set(row.values) & {value for known in shop.rows for value in known.values if len(value) > 12}


def test_at_least_sixty_topics() -> None:
    assert len(topics("en")) >= 60
    assert len(topics("ja")) >= 40


def test_mix_decides_the_kind_of_rows() -> None:
    names = {topic.name for topic in topics("en")}
    assert all(row.topic in names for row in invent_shop(1, 8, mix="support").rows)
    assert not any(row.topic in names for row in invent_shop(1, 8, mix="invented").rows)


def test_articles() -> None:
    assert articles("a archive and a lamp, A oven") == "an archive and a lamp, An oven"
