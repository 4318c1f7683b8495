"""A chat template in Go's form says what the template says, or is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import ZEPHYR
from test_families import SPOKEN

from kurabe.chat import Template
from kurabe.errors import MissingError
from kurabe.export.gotemplate import translate
from kurabe.schema import Message

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
# As Qwen2.5 speaks: without a system message it brings its own.
OWN_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
    "{% endif %}" + SPOKEN["SmolLM2, Qwen2.5"][0]
)
BRACES = (
    "{% for m in messages %}{{ '{{' + m.role + '}}' + m.content + '\"\\\\end\"' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '{{assistant}}' }}{% endif %}"
)
TEMPLATES = {
    "Zephyr": ZEPHYR, "own system message": OWN_SYSTEM, "braces": BRACES,
    "own system message after BOS": "{{ bos_token }}" + OWN_SYSTEM,
    "a brace at the end": "{% for m in messages %}{{ m.role + '{' + m.content + '}' }}{% endfor %}{{ 'assistant{' }}"
    .replace("{{ 'ass", "{% if add_generation_prompt %}{{ 'ass") + "{% endif %}",
} | {
    name: template for name, (template, _) in SPOKEN.items()
}  # fmt: skip
TALKS = [
    [("user", "What are the shipping costs?")],
    [("system", "Answer briefly. {{ .System }}"), ("user", "送料は？")],
    [("system", "You are kind."), ("user", "Hello"), ("assistant", "Hi!\n- one"), ("user", "And now?")],
    [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")],
]


def expected(name: str, talk: Sequence[tuple[str, str]]) -> str:
    """What the runtime feeds the model but for the BOS that its tokenizer puts first."""
    said = [Message.model_validate({"role": role, "content": content}) for role, content in talk]
    return Template(TEMPLATES[name], SPECIAL, "").render(said, answer_next=True).removeprefix("<s>")


def go(text: str, talk: Sequence[tuple[str, str]]) -> str:
    """The few actions of text/template that ours uses."""
    pieces = re.split(r"\{\{ (.*?) \}\}", text)
    system = talk[0][1] if talk[0][0] == "system" else ""

    def true(condition: str, index: int) -> bool:
        if condition == ".System":
            return bool(system)
        if condition == "and $.System (eq $i 1)":
            return bool(system) and index == 1
        return condition == f'eq $m.Role "{talk[index][0]}"'

    def block(at: int, index: int, alive: bool) -> tuple[str, int]:
        """What the pieces from `at` on write, up to the `end` or `else` of this level, and where that stands."""
        out = pieces[at] if alive else ""
        at += 1
        while at < len(pieces) and not re.match("end|else", pieces[at]):
            action = pieces[at]
            if action.startswith("range"):
                for number in range(len(talk)):
                    more, close = block(at + 1, number, alive)
                    out += more
                at = close
            elif action.startswith("if"):
                taken = False
                while pieces[at] != "end":
                    condition = re.sub("^(else )?if |^else$", "", pieces[at])
                    holds = not taken and (not condition or true(condition, index))
                    more, at = block(at + 1, index, alive and holds)
                    out, taken = out + more, taken or holds
            elif alive:
                said = {"$m.Content": talk[index][1], "$.System": system}
                out += said[action] if action in said else json.loads(action)
            out += pieces[at + 1] if alive else ""
            at += 2
        return out, at

    return block(0, 0, True)[0]


@pytest.mark.parametrize("talk", TALKS, ids=["question", "system", "turns", "long"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_it_says_what_the_template_says(name: str, talk: list[tuple[str, str]]) -> None:
    assert go(translate(Template(TEMPLATES[name], SPECIAL, ""), "<s>").text, talk) == expected(name, talk)


def test_what_ends_an_answer_is_a_stop_word() -> None:
    for template, end in SPOKEN.values():
        assert translate(Template(template, SPECIAL, "")).stop == (end,)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages | map(attribute='content') | join(' ') }}",
        "{% for m in messages %}{{ loop.index ~ m.role ~ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.role ~ (m.content | upper) }}{% endfor %}",
        "{% for m in messages %}{{ m.content ~ m.content }}{% endfor %}",
        "{{ messages | length }}" + ZEPHYR,
    ],
)
def test_a_template_that_does_more_is_refused(template: str) -> None:
    with pytest.raises(MissingError, match="own form"):
        translate(Template(template, SPECIAL, "/models/x"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("go"), reason="Go is not installed")
def test_go_renders_it_so(tmp_path: Path) -> None:
    """Go's own text/template, with the fields that Ollama fills."""
    said = {name: translate(Template(template, SPECIAL, ""), "<s>").text for name, template in TEMPLATES.items()}
    cases = [{"text": text, "talk": talk, "is": expected(name, talk)} for name, text in said.items() for talk in TALKS]
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    (tmp_path / "main.go").write_text(GO, encoding="utf-8")
    done = subprocess.run(["go", "run", "main.go"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == f"{len(cases)} alike\n", done.stdout + done.stderr


GO = r"""package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"text/template"
)

type Message struct{ Role, Content string }

func main() {
	raw, _ := os.ReadFile("cases.json")
	var cases []struct {
		Text string
		Talk [][2]string
		Is   string
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		panic(err)
	}
	alike := 0
	for _, one := range cases {
		var messages []*Message
		system := ""
		for _, said := range one.Talk {
			messages = append(messages, &Message{said[0], said[1]})
			if said[0] == "system" {
				system = said[1]
			}
		}
		var out bytes.Buffer
		parsed := template.Must(template.New("").Option("missingkey=zero").Parse(one.Text))
		if err := parsed.Execute(&out, map[string]any{"System": system, "Messages": messages}); err != nil {
			panic(err)
		}
		if out.String() == one.Is {
			alike++
		} else {
			fmt.Printf("%q is not %q\n", out.String(), one.Is)
		}
	}
	fmt.Println(alike, "alike")
}
"""
