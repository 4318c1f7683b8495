"""`kurabe audit` on the screen: findings in both languages, a list for programs, exit codes, inert text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kurabe.cli import main
from kurabe.errors import EXIT_DATA, EXIT_GATE, EXIT_MISSING

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "examples" / "tutorial.py"
SOUND = ROOT / "tests" / "data" / "audit" / "sound" / "trl-lora.yaml"
Kurabe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kurabe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Kurabe:
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["audit", *map(str, arguments)])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run


def test_json_is_a_list_of_findings_with_their_ids(kurabe: Kurabe) -> None:
    code, out, _ = kurabe(TUTORIAL, "--json")
    found = json.loads(out)
    assert code == 0 and isinstance(found, list)
    assert {"warmup-exceeds-steps", "too-few-steps"} <= {finding["id"] for finding in found}
    assert {"id", "level", "values", "repaired", "where", "cost"} <= found[0].keys()


def test_the_gate_is_for_what_is_more_than_a_note(kurabe: Kurabe) -> None:
    assert kurabe(TUTORIAL)[0] == 0 and kurabe(TUTORIAL, "--gate")[0] == EXIT_GATE
    mlx = SOUND.with_name("mlx-lora.yaml")
    assert kurabe(mlx, "--gate")[0] == 0, "notes alone"
    assert "few-target-modules" in kurabe(mlx)[1]


@pytest.mark.parametrize(("language", "why"), [("en", "why"), ("ja", "理由")])
def test_each_finding_stands_with_its_place_its_mend_and_its_measured_cost(
    language: str, why: str, kurabe: Kurabe
) -> None:
    _, out, _ = kurabe(TUTORIAL, "--lang", language)
    assert "too-few-steps" in out and "tutorial.py:" in out and "num_train_epochs: 50" in out and why in out
    assert {"en": "stand-in model", "ja": "代役モデル"}[language] in out


def test_what_is_unknown_is_said_to_be_unknown(kurabe: Kurabe) -> None:
    _, out, _ = kurabe(SOUND)
    assert "1 epoch, 16 rows per step; with --data FILE" in " ".join(out.split())
    assert "✓ Nothing found" in out


def test_tokens_are_counted_where_a_model_is_named(kurabe: Kurabe) -> None:
    model = ROOT / "src" / "kurabe" / "tiny"
    values = [
        {finding["id"]: finding["values"] for finding in json.loads(kurabe(TUTORIAL, "--json", *more)[1])}
        for more in ([], ["--model", model])
    ]
    assert values[0]["answer-cut"]["form"] == "about" and "form" not in values[1]["answer-cut"]
    assert "form" not in values[1]["loss-on-padding"]


def test_errors_have_their_exit_codes_and_their_mend(kurabe: Kurabe, tmp_path: Path) -> None:
    odd = tmp_path / "odd.yaml"
    odd.write_text("a: b\n", encoding="utf-8")
    for path, expected in ((odd, EXIT_DATA), (tmp_path / "none", EXIT_MISSING), (tmp_path, EXIT_DATA)):
        code, _, err = kurabe(path)
        assert code == expected and "fix" in err


def test_text_of_a_configuration_is_inert(kurabe: Kurabe, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text('base_model: "a\\e[31m[red]\\u202e"\nmicro_batch_size: "\\e[2J"\n', encoding="utf-8")
    _, out, _ = kurabe(path)
    assert "\x1b" not in out and "\u202e" not in out and "[red]" in out
