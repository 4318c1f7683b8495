"""The form of a prompt: what the arms say and what retention reads."""

from __future__ import annotations

import pytest

from kurabe import arms, prompts
from kurabe.retention import reading_questions
from kurabe.schema import Example, Wording

LANGUAGES = ("en", "ja")


def test_a_prompt_is_role_instruction_and_rows() -> None:
    assert prompts.write("You sell tea.", [("How much?", "$3."), ("When?", "Now.")], "en") == (
        f"You sell tea.\n{prompts.INSTRUCTION['en']}\n\nQ: How much?\nA: $3.\n\nQ: When?\nA: Now."
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_retention_reads_the_form_that_the_prompt_arm_has(language: str) -> None:
    """Take the role away, and a shop's block of rows is written as the user's rows are."""
    asked, answered = prompts.LABELS[language]
    systems = {question.system or "" for question in reading_questions(language, 60, 0)}
    blocks = [system for system in systems if f"\n{answered}" in system]
    assert blocks and len(blocks) < len(systems)
    for system in blocks:
        role, _, rest = system.partition("\n")
        pairs = [block.removeprefix(asked).split(f"\n{answered}") for block in rest.split("\n\n")[1:]]
        rows = [
            Example(id=str(n), answer=answer, facts=(), wordings=(Wording(text=question, role="trained"),))
            for n, (question, answer) in enumerate(pairs)
        ]
        assert arms.write_prompt(rows, language) == f"{prompts.NEUTRAL[language]}\n{rest}" != f"{role}\n{rest}"
