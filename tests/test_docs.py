"""The documents keep pace with the program: pages are current, commands in them run, links lead somewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
import shutil
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
import random_gguf

from kurabe import backends, dataset
from kurabe.cli import COMMANDS, main
from kurabe.export.winner import Winner
from kurabe.fake import FAKE_INFO, FakeBackend, rehearsal
from kurabe.fetch import Offer
from kurabe.runs import RunFolder
from kurabe.servers import Server
from kurabe.settings import RunSettings
from kurabe.snapshots import Snapshot
from kurabe.workshop.rehearsal import Rehearsal, Timed

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GOLDEN = ROOT / "tests" / "data" / "golden"
PAGES = [
    ROOT / "README.md",
    ROOT / "README.ja.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted(ROOT.glob("C*.md")),
    ROOT / "SECURITY.md",
]
TWINS = [
    (ROOT / "README.md", ROOT / "README.ja.md"),
    (DOCS / "guide.md", DOCS / "guide.ja.md"),
    (DOCS / "engine.md", DOCS / "engine.ja.md"),
    (DOCS / "ship.md", DOCS / "ship.ja.md"),
    (DOCS / "scale.md", DOCS / "scale.ja.md"),
    (DOCS / "servers.md", DOCS / "servers.ja.md"),
    (DOCS / "origin-ablation.md", DOCS / "origin-ablation.ja.md"),
    (DOCS / "audit.md", DOCS / "audit.ja.md"),
    (DOCS / "models.md", DOCS / "models.ja.md"),
]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of one language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in fenced if name == language]


def commands(path: Path) -> list[list[str]]:
    """The kurabe commands that stand in a page's blocks."""
    lines = [line for block in blocks(read(path)) + blocks(read(path), "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("kurabe ")]


def generator(name: str = "make_commands") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scripted(settings: RunSettings) -> FakeBackend:
    examples = dataset.read_examples(ROOT / "examples" / "support-en.jsonl").examples
    shares = {"prompt": 1.0, "lora": 0.7, "lora+prompt": 1.0, "ceiling": 1.0}
    return FakeBackend(rehearsal(examples, shares))


def speaking(server: Server, key: str) -> contextlib.nullcontext[FakeBackend]:
    """A server's model, scripted as well."""
    assert bool(key) is server.url.startswith("https:")
    return contextlib.nullcontext(FakeBackend(lambda request: f"1. And what about {request.key.question}?"))


class Beside(FakeBackend):
    """Another model on a server, scripted, too."""

    given_up, said = False, frozenset({"large"})

    def __init__(self, server: Server, key: str, limits: object) -> None:
        super().__init__(info=FAKE_INFO.model_copy(update={"name": server.model, "stand_in": False}))
        assert bool(key) is server.url.startswith("https:")
        self.server, self.as_they_come = server, self.answer

    def version(self) -> str:
        return "1.0"

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None: ...


# --- generated pages -------------------------------------------------------------------------------------------


def test_the_help_pages_are_current() -> None:
    pinned = re.search(r"^typer==(\S+)", read(ROOT / "constraints.txt"), flags=re.MULTILINE)
    assert pinned
    if metadata.version("typer") != pinned[1]:
        pytest.skip(f"help is laid out by typer {pinned[1]}; this is {metadata.version('typer')}")
    assert read(DOCS / "commands.md") == generator().page(), "run: python docs/make_commands.py"


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_pages_of_the_audit_are_current(language: str) -> None:
    made = generator("make_audit")
    assert read(DOCS / made.NAMES[language]) == made.page(language), "run: python docs/make_audit.py"


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_pages_of_models_are_current(language: str) -> None:
    made = generator("make_models")
    assert read(made.PAGES[language]) == made.page(language), "run: python docs/make_models.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_every_guide(name: str) -> None:
    for page in (DOCS / "guide.md", DOCS / "guide.ja.md"):
        assert any(words[0] == name for words in commands(page)), page.name


def test_every_flag_stands_in_the_help_pages() -> None:
    from kurabe.cli import load
    from kurabe.texts import Texts

    text = read(DOCS / "commands.md")
    flags = [o for name in COMMANDS for p in load(name, Texts("en")).params for o in p.opts if o.startswith("--")]
    assert len(flags) > 40 and [flag for flag in flags if flag not in text] == []


# --- commands in pages -----------------------------------------------------------------------------------------

IN_PAGES = sorted({tuple(words) for page in PAGES if page.name != "commands.md" for words in commands(page)})


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader of the README has it: the examples, a prompt, a run that is finished."""
    place = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", place / "examples")
    for name, folder in (("TinyLlama-1.1B-Chat-v1.0", "base"), ("my-adapter", "adapter")):
        shutil.copytree(GOLDEN / folder, place / name)
    # The same weights with a tokenizer, as a model of the hub has them.
    model = Path(shutil.copytree(GOLDEN / "base", place / "pulled"))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(backends.embedded() / name, model)
    random_gguf.write(place / "shop-Q4_K_M.gguf")
    prices = next(block for block in blocks(read(DOCS / "servers.md"), "yaml") if "models:" in block)
    (place / "prices.yaml").write_text(prices, encoding="utf-8")
    (place / "Modelfile").write_text("FROM ./shop-Q4_K_M.gguf\nPARAMETER num_predict 4\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(place)
        patch.setattr(backends, "load", scripted)
        patch.setattr("kurabe.cli.measure.write_report", lambda results, path, language: path)
        with pytest.raises(SystemExit):
            main(["demo", "--quiet"])
    return place


@pytest.mark.parametrize("words", IN_PAGES, ids=" ".join)
def test_a_command_in_a_page_runs(words: tuple[str, ...], workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a scripted model; one that trains for a minute would say the same about the command."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setattr(backends, "load", scripted)
    monkeypatch.setattr("kurabe.remote.RemoteBackend", speaking)
    monkeypatch.setattr("kurabe.beside.RemoteBackend", Beside)
    monkeypatch.setattr("kurabe.vllm.VLLMBackend", lambda own, server, limits: contextlib.nullcontext(own))
    monkeypatch.setenv("SHOP_KEY", "a key")
    monkeypatch.setattr("webbrowser.open", lambda url: None)
    monkeypatch.setattr("kurabe.cli.measure.write_report", lambda results, path, language: path)
    monkeypatch.setattr("kurabe.report.page.page", lambda results, t: "<!doctype html>")
    # A scripted model has no weights to ship, and llama.cpp would find that the files answer otherwise.
    shipped = Winner("lora", GOLDEN / "base", GOLDEN / "adapter", "You are kind.", 1)
    monkeypatch.setattr("kurabe.cli.origin.winner", lambda run, arm: shipped)
    monkeypatch.setattr("kurabe.cli.proof.find_spec", lambda name: None)
    # No hub is asked, and no cache is looked into: a model of the hub is a folder that is there.
    monkeypatch.setattr("kurabe.fetch.offer", lambda name: Offer(name, "a" * 40, "apache-2.0", ()))
    monkeypatch.setattr("kurabe.fetch.fetch", lambda offer, bars: workplace / "pulled")
    monkeypatch.setattr("kurabe.snapshots.look_up", lambda name: Snapshot(name.repo, "a" * 40, workplace / "pulled"))
    monkeypatch.setattr("kurabe.snapshots.found", lambda: iter(()))
    # The show would wait for its presenter, and its rehearsal would train in a process of its own.
    monkeypatch.setattr("kurabe.cli.workshop._serve", lambda *given: None)
    rehearsed = Rehearsal((Timed("verdict", 1.0, 0.0),), 20, Path("runs"), ())
    monkeypatch.setattr("kurabe.workshop.rehearsal.rehearse", lambda show, length, tell: rehearsed)
    allowed = {0, 6, 7} if "--gate" in words else {0, 4} if words[0] == "doctor" else {0}
    with contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as end:
        main(list(words))
    assert int(end.value.code or 0) in allowed


def test_make_targets_in_pages_exist() -> None:
    targets = set(re.search(r"^\.PHONY:(.*)$", read(ROOT / "Makefile"), flags=re.MULTILINE)[1].split())  # type: ignore[index]
    named = {
        word for page in PAGES for block in blocks(read(page)) for word in re.findall(r"^make ([\w-]+)", block, re.M)
    }
    assert {"demo", "test"} <= named <= targets


# --- the library page ------------------------------------------------------------------------------------------


def test_the_library_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backends, "load", scripted)
    shutil.copy(ROOT / "examples" / "support-en.jsonl", "support.jsonl")
    shutil.copy(ROOT / "examples" / "tutorial.py", "tutorial.py")
    code = "\n".join(blocks(read(DOCS / "library.md"), "python"))
    page = tmp_path / "library_page.py"
    page.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("library_page", page)
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert RunFolder.open("runs/first").finished and (tmp_path / "report.md").is_file()
    assert "lora" in capsys.readouterr().out


def test_every_public_name_stands_in_the_library_page() -> None:
    import kurabe

    text = read(DOCS / "library.md")
    known = {"Fact", "Results", "Verdict", "__version__"}  # types of what the calls return
    assert [name for name in kurabe.__all__ if name not in known and not re.search(rf"\b{name}\b", text)] == []


# --- both languages, links, files ------------------------------------------------------------------------------


@pytest.mark.parametrize("twins", TWINS, ids=lambda twins: twins[0].name)
def test_both_languages_show_the_same_commands_and_sections(twins: tuple[Path, Path]) -> None:
    english, japanese = twins
    assert commands(english) == commands(japanese)
    assert blocks(read(english), "yaml") == blocks(read(japanese), "yaml")
    sections = [[line.split()[0] for line in read(page).splitlines() if re.match("#+ ", line)] for page in twins]
    assert sections[0] == sections[1]
    links = [[re.sub(r"\.ja\.md|-ja\.png|\.ja(?=\.ipynb)", "", re.sub(r"-en\.png", "", link)).removesuffix(".md")
              for link in re.findall(r"\]\(([^)]+)\)", read(page))] for page in twins]  # fmt: skip
    assert sorted(links[0]) == sorted(links[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = [re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-")
                        for h in re.findall(r"^#+ (.*)$", read(target), flags=re.MULTILINE)]  # fmt: skip
            assert anchor in headings, link


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "README.ja.md"], ids=lambda page: page.name)
def test_the_tree_in_the_readme_names_files_that_are_there(page: Path) -> None:
    tree = next(block for block in blocks(read(page), "text") if "src/kurabe/" in block)
    listed = set(re.findall(r"(?<![\w`])[\w*]+\.py(?![\w`])", tree))
    package = {p.name for p in (ROOT / "src" / "kurabe").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert [name for name in package if not any(fnmatch(name, word) for word in listed)] == [], "left out of the tree"
    assert [word for word in listed if not any(fnmatch(name, word) for name in package)] == [], "not there any more"
    folders = {word.split("/")[0] for word in re.findall(r"(?<![\w/])[\w/]+/(?= |$)", tree, flags=re.MULTILINE)}
    places = (ROOT, ROOT / "src" / "kurabe")
    assert folders and [name for name in folders if not any((place / name).is_dir() for place in places)] == []


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (DOCS / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
