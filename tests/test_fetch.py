"""A pull from a hub that misbehaves: what comes is whole and as the hub names it, or nobody takes it for a model."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import scripted_hub
from scripted_hub import COMMIT, REPO, Hub

from kurabe import fetch, hub, snapshots
from kurabe.errors import EXIT_MISSING, MissingError
from kurabe.snapshots import Name

NAME = Name(REPO)


@pytest.fixture
def served(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with scripted_hub.hub_at(scripted_hub.of_folder(tiny_folder), tmp_path, monkeypatch) as state:
        yield state


def refusal(name: Name = NAME) -> MissingError:
    """What a pull ends with; every such end names what helps and leaves nothing that a run would take."""
    with pytest.raises(MissingError) as caught:
        fetch.fetch(fetch.offer(name))
    assert caught.value.exit_code == EXIT_MISSING
    assert caught.value.fix
    with pytest.raises(MissingError):
        snapshots.locate(str(name))
    return caught.value


def change_config(served: Hub, **changes: object) -> None:
    served.files["config.json"] = json.dumps(json.loads(served.files["config.json"]) | changes).encode()


def test_an_offer_names_size_commit_and_licence_and_stores_nothing(served: Hub, tmp_path: Path) -> None:
    offer = fetch.offer(NAME)
    assert (offer.commit, offer.licence) == (COMMIT, "apache-2.0")
    assert offer.size == offer.left == sum(len(served.files[file.name]) for file in offer.files)
    assert not {"pytorch_model.bin", "modeling_own.py", "model.gguf"} & {file.name for file in offer.files}
    assert not (tmp_path / "hub").exists()
    assert not [path for _, path, _ in served.asked if path.endswith(".safetensors")]


def test_what_is_fetched_is_the_model_at_its_commit_and_nothing_else(served: Hub, tiny_folder: Path) -> None:
    folder = fetch.fetch(fetch.offer(NAME))
    assert folder == snapshots.locate(REPO) == snapshots.locate(f"{REPO}@{COMMIT}")
    assert snapshots.pinned(REPO) == f"{REPO}@{COMMIT}"
    assert hub.verify(folder).sha256 == hub.verify(tiny_folder).sha256
    assert {path.name for path in folder.iterdir()} == {file.name for file in fetch.offer(NAME).files}
    asked = {path for _, path, _ in served.asked}
    assert all(path.startswith((f"/api/models/{REPO}", f"/{REPO}/resolve/")) for path in asked)  # no telemetry


def test_a_second_pull_fetches_no_file(served: Hub) -> None:
    fetch.fetch(fetch.offer(NAME))
    served.asked.clear()
    offer = fetch.offer(NAME)
    assert offer.left == 0 < offer.size
    fetch.fetch(offer)
    assert not [path for method, path, _ in served.asked if method == "GET" and path.endswith("model.safetensors")]


def test_a_file_cut_in_the_middle_goes_on_where_it_stopped(
    served: Hub, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)  # what it writes at once, and goes on from
    served.cut["model.safetensors"] = 1000
    folder = fetch.fetch(fetch.offer(NAME))
    assert ("GET", f"/{REPO}/resolve/{COMMIT}/model.safetensors", "bytes=1000-") in served.asked
    assert (folder / "model.safetensors").read_bytes() == (tiny_folder / "model.safetensors").read_bytes()


def test_a_slow_hub_is_waited_for(served: Hub) -> None:
    served.slow = 0.05
    assert fetch.fetch(fetch.offer(NAME)).is_dir()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_of_another_hash_is_thrown_away_and_comes_again(served: Hub, name: str) -> None:
    served.wrong = {name}
    error = refusal()
    assert name in error.what
    assert "kurabe models pull" in error.fix
    served.wrong = set()
    fetch.fetch(fetch.offer(NAME))
    assert all(right for _, right in snapshots.prove(snapshots.locate(REPO)))


@pytest.mark.parametrize(
    ("status", "code", "says", "helps"),
    [
        (404, "RepoNotFound", "no model", "Check the name"),
        (401, "", "no model", "hf auth login"),
        (403, "GatedRepo", "agreed to its terms", "Agree on"),
        (403, "", "may not read", "right"),
        (404, "RevisionNotFound", "no revision", "commits"),
        (429, "", "fewer requests", "kurabe models pull"),
        (500, "", "error (500)", "kurabe models pull"),
    ],
)
def test_an_error_of_the_hub_names_the_act_that_helps(
    served: Hub, status: int, code: str, says: str, helps: str
) -> None:
    served.status, served.code = {"api": status}, code
    error = refusal()
    assert says in error.what
    assert helps in error.fix


def test_a_gated_model_whose_list_is_public_is_refused_before_its_weights(served: Hub) -> None:
    served.status, served.code = {"config.json": 401}, "GatedRepo"
    error = refusal()
    assert "agreed to its terms" in error.what
    assert error.why == "No token was sent."


def test_a_token_is_sent_and_a_wrong_one_is_told(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    served.status = {"api": 401}
    assert "does not take this token" in refusal().what
    assert served.tokens == {"Bearer hf_wrong"}


def test_what_came_of_another_commit_or_in_part_is_not_taken_for_the_offer(
    served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    offer = fetch.offer(NAME)
    for commit, says in (("b" * 40, "published anew"), (COMMIT, "did not come")):
        (tmp_path / commit).mkdir()
        monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, c=commit, **__: str(tmp_path / c))
        with pytest.raises(MissingError, match=says) as caught:
            fetch.fetch(offer)
        assert "kurabe models pull" in caught.value.fix


def test_an_error_in_the_middle_keeps_what_came(served: Hub) -> None:
    served.status = {"model.safetensors": 500}
    assert "500" in refusal().what
    served.status = {}
    offer = fetch.offer(NAME)
    assert 0 < offer.left < offer.size
    fetch.fetch(offer)


def test_no_network_is_told_at_once(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in refusal().what


def test_nothing_is_asked_offline(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refusal().what
    assert not served.asked


def test_code_pickles_and_adapters_are_refused_by_list_and_config(served: Hub) -> None:
    config = served.files["config.json"]
    change_config(served, auto_map={"AutoModelForCausalLM": "modeling_own.Model"})
    assert "program code" in refusal().what
    served.files["config.json"] = config
    weights = served.files.pop("model.safetensors")
    assert "pickle" in refusal().what
    del served.files["pytorch_model.bin"]
    assert "GGUF" in refusal().why
    served.files["adapter_config.json"] = b"{}"
    assert "adapter" in refusal().what
    del served.files["adapter_config.json"]
    served.files["model.safetensors"] = weights
    change_config(served, architectures=["StrangeForCausalLM"])
    error = refusal()
    assert "StrangeForCausalLM" in error.what
    assert not [path for _, path, _ in served.asked if path.endswith(".safetensors")]


@pytest.mark.parametrize("missing", ["tokenizer.json", "config.json", "chat_template.jinja"])
def test_a_model_that_lacks_a_part_is_refused_before_its_weights(served: Hub, missing: str) -> None:
    del served.files[missing]
    assert refusal().what
    assert not [path for _, path, _ in served.asked if path.endswith(".safetensors")]


def test_a_full_disk_is_seen_before(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "enough room" in refusal().what
    assert not [path for _, path, _ in served.asked if path.endswith(".safetensors")]


def test_an_error_of_this_machine_is_no_fault_of_the_hub(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(OSError, match="No space left"):
        fetch.fetch(fetch.offer(NAME))
