"""A model by its name: found whole in the cache, or refused at once with what is missing and how it is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
import scripted_hub
from scripted_hub import COMMIT, REPO

from kurabe import snapshots
from kurabe.errors import MissingError, SettingsError
from kurabe.snapshots import Name

OTHER = "b" * 40


@pytest.fixture
def cache(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the random model, as a pull leaves it."""
    folder = scripted_hub.use_cache(tmp_path, monkeypatch)
    scripted_hub.write(tiny_folder, folder)
    return folder


@pytest.fixture
def snapshot(cache: Path) -> Path:
    return cache / "models--small--chat" / "snapshots" / COMMIT


def refusal(text: str) -> MissingError:
    with pytest.raises(MissingError) as caught:
        snapshots.locate(text)
    return caught.value


def test_names_and_what_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert snapshots.parse("org/name") == Name("org/name")
    assert snapshots.parse("org/name@v1.0") == Name("org/name", "v1.0")
    assert snapshots.parse("org/name@refs/pr/1") == Name("org/name", "refs/pr/1")
    for text in ("tiny", "org/name/deeper", "../name", "/org/name", "org/name@../../x", "org/name@", "~/models/x"):
        assert snapshots.parse(text) is None
        with pytest.raises(SettingsError):
            snapshots.named(text)
    monkeypatch.chdir(tmp_path)
    Path("org/name").mkdir(parents=True)
    assert snapshots.parse("org/name") is None  # a folder that is there is meant


def test_a_name_its_commit_and_its_first_digits_are_the_same_model(cache: Path, snapshot: Path) -> None:
    for text in (REPO, f"{REPO}@main", f"{REPO}@{COMMIT}", f"{REPO}@{COMMIT[:12]}"):
        assert snapshots.locate(text) == snapshot
        assert snapshots.pinned(text) == f"{REPO}@{COMMIT}"
    assert snapshots.of(snapshot) == snapshots.Snapshot(REPO, COMMIT, snapshot)
    assert list(snapshots.found()) == [snapshots.Snapshot(REPO, COMMIT, snapshot)]


def test_a_pinned_name_stays_when_main_moves(cache: Path, tiny_folder: Path, snapshot: Path) -> None:
    before = snapshots.pinned(REPO)
    scripted_hub.write(tiny_folder, cache, commit=OTHER)
    assert snapshots.locate(REPO).name == OTHER
    assert snapshots.locate(before) == snapshot


def test_other_text_is_a_folder(tiny_folder: Path) -> None:
    assert snapshots.locate(str(tiny_folder)) == tiny_folder
    assert snapshots.pinned(str(tiny_folder)) == str(tiny_folder)
    assert snapshots.of(tiny_folder) is None


def test_a_model_that_is_not_there(cache: Path) -> None:
    error = refusal("org/other")
    assert "not on this machine" in error.what
    assert error.fix == "kurabe models pull org/other"
    assert refusal("org/other@v2").fix == "kurabe models pull org/other --revision v2"


def test_a_revision_that_is_not_there_names_those_that_are(cache: Path) -> None:
    error = refusal(f"{REPO}@v2")
    assert COMMIT[:12] in error.why
    assert f"kurabe models pull {REPO} --revision v2" in error.fix


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_hole_is_named(snapshot: Path, missing: str) -> None:
    (snapshot / missing).resolve().unlink()  # the blob: its link leads nowhere
    error = refusal(REPO)
    assert missing in error.why
    assert error.fix == f"kurabe models pull {REPO}"
    described = snapshots.describe(snapshot, Name(REPO))
    assert missing in described.fault
    assert described.parameters == 0


def test_a_missing_shard_is_named(snapshot: Path) -> None:
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    weights = (snapshot / "model.safetensors").resolve().read_bytes()
    (snapshot / "model.safetensors").unlink()
    (snapshot / shards["a"]).write_bytes(weights)
    (snapshot / "model.safetensors.index.json").write_text(f'{{"weight_map": {str(shards).replace(chr(39), chr(34))}}}')
    assert refusal(REPO).why == f"{shards['b']} is missing."


def test_a_description_is_of_headers_and_the_card(snapshot: Path) -> None:
    (snapshot / "README.md").write_bytes(scripted_hub.CARD)
    described = snapshots.describe(snapshot)
    assert (described.fault, described.licence) == ("", "apache-2.0")
    assert described.memory == 4 * described.parameters
    weights = (snapshot / "model.safetensors").stat().st_size
    assert weights * 0.9 < described.memory < weights  # float32 and a header
    assert described.size > weights


@pytest.mark.parametrize(
    "card",
    ["", "no head", "---\n[\n---\n", "---\nlicense:\n---\n", "---\n- a list\n---\n", "---\nlicense: [mit]\n---\n"],
)
def test_a_card_without_a_licence_names_none(snapshot: Path, card: str) -> None:
    (snapshot / "README.md").write_text(card, encoding="utf-8")
    assert snapshots.licence(snapshot) == ""


def test_every_file_is_held_against_the_name_of_its_blob(snapshot: Path) -> None:
    assert set(dict(snapshots.prove(snapshot)).values()) == {True}
    blob = (snapshot / "model.safetensors").resolve()
    raw = blob.read_bytes()
    blob.write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    assert [name for name, right in snapshots.prove(snapshot) if not right] == ["model.safetensors"]


def test_outside_a_cache_no_hash_is_known(tiny_folder: Path) -> None:
    assert set(dict(snapshots.prove(tiny_folder)).values()) == {None}


def test_tokenizer_and_template_are_tried(snapshot: Path) -> None:
    assert snapshots.rehearse(snapshot) > 5
    (snapshot / "chat_template.jinja").unlink()
    (snapshot / "chat_template.jinja").write_text("{{ 1 / 0 }}", encoding="utf-8")
    with pytest.raises(MissingError):
        snapshots.rehearse(snapshot)
