"""How facts are written into a system prompt: who answers, from what, then questions with their answers.

Knows no example, no arm and no shop. What retention reads before and after tuning has the form of the `prompt` arm's
own prompt, because both are written here.
"""

from __future__ import annotations

from collections.abc import Iterable

NEUTRAL = {"en": "You are a helpful support assistant.", "ja": "あなたは親切なサポート担当です。"}
INSTRUCTION = {
    "en": "Answer from these facts. If the answer is not there, say that you don't have it.",
    "ja": "次の事実だけをもとに答えてください。書かれていないことは、情報がないと答えてください。",
}
DECLINE = {"en": "I don't have that information.", "ja": "その情報はありません。"}
LABELS = {"en": ("Q: ", "A: "), "ja": ("質問: ", "回答: ")}


def write(role: str, rows: Iterable[tuple[str, str]], language: str) -> str:
    """A system prompt that holds these questions with their answers."""
    asked, answered = LABELS[language]
    return under(role, language, "\n\n".join(f"{asked}{question}\n{answered}{answer}" for question, answer in rows))


def under(role: str, language: str, facts: str) -> str:
    """Facts in any layout under who answers and the instruction to answer from them."""
    return f"{role}\n{INSTRUCTION[language]}\n\n{facts}"
