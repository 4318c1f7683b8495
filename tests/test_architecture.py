"""The rules of the house that a machine can check: who may import whom, banned calls, banned names, encodings.

Knows no module's behaviour. Each check is itself checked on a snippet that breaks it.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "kurabe"
OURS = [
    path
    for folder in ("src", "models", "benchmarks", "studies", "workshop")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
BANNED_FILES = {"utils", "util", "common", "helpers", "helper", "misc", "legacy", "manager"}
# Importing or starting kurabe must not cost what only some commands need.
HEAVY = ("torch", "transformers", "peft", "trl", "scipy", "altair", "datasets", "matplotlib", "pyarrow")

Check = Callable[[ast.AST], Iterator[str]]


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of names, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def banned_calls(tree: ast.AST) -> Iterator[str]:
    """Ways by which data could become code, or a string a shell command."""
    names = {"eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            if dotted(node.func) in names:
                yield f"line {node.lineno}: {dotted(node.func)}()"
            if dotted(node.func) == "torch.load" and words.get("weights_only") is not True:
                yield f"line {node.lineno}: torch.load() without weights_only=True"
            for word in words.keys() & {"shell", "trust_remote_code"}:
                if words[word] is not False:
                    yield f"line {node.lineno}: {word}="
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                if module.split(".")[0] in {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}:
                    yield f"line {node.lineno}: import {module}"


def unnamed_encodings(tree: ast.AST) -> Iterator[str]:
    """Text files opened in whatever encoding the machine happens to have."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        name = dotted(node.func) or (f".{node.func.attr}" if isinstance(node.func, ast.Attribute) else "")
        method = name.rsplit(".", 1)[-1]
        mode = next((word.value for word in node.keywords if word.arg == "mode"), None)
        if name in {"open", "io.open", "os.fdopen"}:
            mode = mode or (node.args[1] if len(node.args) > 1 else None)
            unnamed = True
        elif method == "open":  # Path.open; other open() methods take something else than a mode
            mode = mode or (node.args[0] if node.args else None)
            unnamed = mode is None or _is_mode(mode)
        elif method in {"read_text", "write_text"}:
            unnamed = len(node.args) < (1 if method == "read_text" else 2)
        else:
            continue
        if unnamed and not (_is_mode(mode) and "b" in mode.value):  # type: ignore[union-attr]
            yield f"line {node.lineno}: {name}() names no encoding"


def _is_mode(node: ast.AST | None) -> bool:
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and re.fullmatch(r"[rwaxbt+]{1,3}", text) is not None


def prints(tree: ast.AST) -> Iterator[str]:
    """Output below the command line: calls return records, they do not talk."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func) in {"print", "sys.exit", "sys.stdout.write", "input"}:
            yield f"line {node.lineno}: {dotted(node.func)}()"


def found(check: Check, paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} {problem}"
        for path in paths
        for problem in check(ast.parse(path.read_text(encoding="utf-8")))
    ]


def test_data_flows_one_way() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_no_banned_call() -> None:
    assert found(banned_calls, OURS) == []


def test_the_package_reads_weights_as_safetensors_only() -> None:
    """The embedded model's own training may keep its optimizer state by torch; the package never does."""
    assert [str(path) for path in PACKAGE.rglob("*.py") if "torch.load" in path.read_text(encoding="utf-8")] == []


def test_every_text_file_names_its_encoding() -> None:
    assert found(unnamed_encodings, OURS) == []


def test_only_the_command_line_talks() -> None:
    quiet = [path for path in PACKAGE.rglob("*.py") if "cli" not in path.relative_to(PACKAGE).parts]
    assert found(prints, quiet) == []


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (banned_calls, "eval('1')"),
        (banned_calls, "import os\nos.system('ls')"),
        (banned_calls, "subprocess.run('ls', shell=True)"),
        (banned_calls, "subprocess.run('ls', shell=flag)"),
        (banned_calls, "AutoModel.from_pretrained(p, trust_remote_code=True)"),
        (banned_calls, "import torch\ntorch.load('x')"),
        (banned_calls, "yaml.load(text)"),
        (banned_calls, "from pickle import loads"),
        (unnamed_encodings, "open('x')"),
        (unnamed_encodings, "open('x', 'a')"),
        (unnamed_encodings, "path.open('w')"),
        (unnamed_encodings, "Path('x').open()"),
        (unnamed_encodings, "(a / b).read_text()"),
        (unnamed_encodings, "path.write_text(text)"),
        (prints, "print('hello')"),
    ],
)
def test_the_checks_can_fail(check: Check, source: str) -> None:
    assert list(check(ast.parse(source)))


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (banned_calls, "model.eval()"),
        (banned_calls, "yaml.safe_load(text)"),
        (banned_calls, "subprocess.run(['ls'], shell=False)"),
        (banned_calls, "torch.load('x', weights_only=True)"),
        (unnamed_encodings, "open('x', 'rb')"),
        (unnamed_encodings, "path.open('wb')"),
        (unnamed_encodings, "RunFolder.open(path)"),
        (unnamed_encodings, "webbrowser.open('https://example.org')"),
        (unnamed_encodings, "path.read_text('utf-8')"),
        (unnamed_encodings, "path.write_text(text, encoding='utf-8')"),
    ],
)
def test_the_checks_let_good_code_pass(check: Check, source: str) -> None:
    assert list(check(ast.parse(source))) == []


def test_no_junk_drawers() -> None:
    folders = (PACKAGE, ROOT / "tests", ROOT / "models", ROOT / "benchmarks")
    names = [path for folder in folders for path in folder.rglob("*.py") if path.stem.lower() in BANNED_FILES]
    assert names == []


def test_every_module_says_what_it_does() -> None:
    mute = [
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert mute == []


def test_no_page_or_report_asks_another_origin_for_a_byte() -> None:
    """Templates may link nothing that a browser would fetch by itself."""
    fetching = re.compile(r"""(src|href)\s*=\s*["']?\s*(https?:)?//|@import|url\(\s*["']?(https?:)?//""", re.IGNORECASE)
    pages = [p for p in PACKAGE.rglob("*") if p.suffix in {".html", ".jinja", ".j2", ".css", ".svg"}]
    assert [str(p) for p in pages if fetching.search(p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("arguments", ["-c 'import kurabe'", "-m kurabe --help", "-m kurabe --version"])
def test_starting_imports_nothing_heavy(arguments: str) -> None:
    kind, what = arguments.split(" ", 1)
    if kind == "-c":
        body = "import kurabe"
    else:
        argv = what.split()
        start = "try: runpy.run_module('kurabe', run_name='__main__')\nexcept SystemExit: pass"
        body = f"import runpy, sys\nsys.argv = {argv!r}\n{start}"
    script = f"import json, sys\n{body}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout
    loaded = set(json.loads(out.splitlines()[-1]))
    assert "kurabe" in loaded
    assert loaded.isdisjoint(HEAVY)
