"""A vocabulary that llama.cpp would read otherwise than training did is refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kurabe
from kurabe.errors import MissingError
from kurabe.export import probe, vocab
from kurabe.export.plan import make_plan
from kurabe.export.tokenizer_files import Vocabulary

pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install 'kurabe[gguf]'")

TINY = Path(kurabe.__file__).parent / "tiny"


def test_a_thousand_lines_hold_what_they_promise() -> None:
    lines = list(probe.lines())
    assert len(lines) == probe.LINES == 1000 and lines == list(probe.lines())
    assert len(set(lines)) > 900
    for kind in ("  ", "\n", "\t", "😀", "円", "$", "２０"):
        assert sum(kind in line for line in lines) > 10, kind
    assert sum(any("぀" < c < "ヿ" for c in line) for line in lines) > 200


def test_the_embedded_model_is_read_alike() -> None:
    plan = make_plan(TINY, None, ["Q8_0"])
    assert probe.can_check(plan)
    found = probe.compare(TINY, plan.base.config)
    assert (found.wrong, found.first) == (0, "") and found.asked > probe.LINES


def test_a_vocabulary_with_another_order_of_merges_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(*arguments: Any) -> Vocabulary:
        made = whole(*arguments)
        return made._replace(merges=made.merges[::-1])

    whole = vocab.bpe_vocabulary
    monkeypatch.setattr(vocab, "bpe_vocabulary", turned)
    monkeypatch.setattr(probe, "LINES", 60)
    monkeypatch.setattr(probe, "_passed", set())
    plan = make_plan(TINY, None, ["Q8_0"])
    for _ in range(2):  # what was refused is refused again
        with pytest.raises(MissingError, match="other token ids") as refused:
            probe.check(plan)
    assert refused.value.fix and "first" in refused.value.why


def test_a_template_that_is_rendered_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LINES", 5)
    monkeypatch.setattr(vocab, "chat_template", lambda files: "{{ messages[0]['content'] }}")
    found = probe.compare(TINY, make_plan(TINY, None, ["Q8_0"]).base.config)
    assert found.wrong == found.asked - 5 > 5 and "Message" in found.first


def test_one_base_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LINES", 5)
    monkeypatch.setattr(probe, "_passed", set())
    plan = make_plan(TINY, None, ["Q8_0"])
    probe.check(plan)
    monkeypatch.setattr(probe, "compare", None)  # calling it would be a TypeError
    probe.check(plan)
