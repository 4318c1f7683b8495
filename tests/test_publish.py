"""A folder of exported files holds whole files with their records, or nothing of them; nothing is overwritten."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kurabe import storage
from kurabe.errors import DataError, MissingError, SettingsError
from kurabe.export import modelfile
from kurabe.export import publish as publishing
from kurabe.export.plan import Plan, make_plan
from kurabe.export.publish import publish

GOLDEN = Path(__file__).parent / "data/golden"


def plan(*formats: str, adapter: bool = True) -> Plan:
    return make_plan(GOLDEN / "base", GOLDEN / "adapter" if adapter else None, formats or ["Q8_0"], "golden")


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {storage.LOCK, storage.HOLDER}


def test_files_stand_beside_their_records_and_the_manifest(tmp_path: Path) -> None:
    records = publish(plan("Q8_0", "F16"), tmp_path / "out")
    assert listing(tmp_path / "out") == {
        "golden-Q8_0.gguf", "golden-Q8_0.json", "golden-F16.gguf", "golden-F16.json", storage.MANIFEST,
        "golden-Q8_0.Modelfile", "golden-F16.Modelfile",
    }  # fmt: skip
    for record in records:
        data = (tmp_path / "out" / record.file).read_bytes()
        assert (record.size, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        listed = storage.read_manifest(tmp_path / "out")[record.file]
        assert storage.is_intact(tmp_path / "out", record.file, listed)


def test_the_modelfile_reads_back_as_the_file_and_the_message(tmp_path: Path) -> None:
    system = 'You are "helpful".\nQ: Price?\nA: $6.99'
    publish(plan(), tmp_path, system=system)
    found = modelfile.read_file(tmp_path / "golden-Q8_0.Modelfile")
    assert (tmp_path / str(found.last("FROM"))).is_file()
    assert found.last("SYSTEM") == system and found.parameters == {"temperature": ["0"]}


def test_a_message_that_no_modelfile_can_hold_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written into a Modelfile"):
        publish(plan(), tmp_path / "out", system='three """ quotes')
    assert not (tmp_path / "out").exists()


def test_a_rerun_writes_only_what_is_missing(tmp_path: Path) -> None:
    (first,) = publish(plan("Q8_0"), tmp_path)
    stamp = (tmp_path / first.file).stat().st_mtime_ns
    again, _ = publish(plan("Q8_0", "F16"), tmp_path)
    assert again == first and (tmp_path / first.file).stat().st_mtime_ns == stamp


def test_a_file_of_another_origin_is_never_overwritten(tmp_path: Path) -> None:
    publish(plan("Q8_0"), tmp_path)
    before = (tmp_path / "golden-Q8_0.gguf").read_bytes()
    with pytest.raises(SettingsError, match="nothing is overwritten"):
        publish(plan("Q8_0", adapter=False), tmp_path)
    assert (tmp_path / "golden-Q8_0.gguf").read_bytes() == before
    (tmp_path / "golden-F16.gguf").write_bytes(b"mine")
    with pytest.raises(SettingsError, match="nothing is overwritten"):
        publish(plan("F16"), tmp_path)


def test_a_damaged_file_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    publish(plan("Q8_0"), tmp_path)
    path = tmp_path / "golden-Q8_0.gguf"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    with pytest.raises(SettingsError):
        publish(plan("Q8_0"), tmp_path)


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing.storage, "free_space", lambda folder: 1000)
    with pytest.raises(MissingError, match="too little room"):
        publish(plan(), tmp_path)
    assert listing(tmp_path) == set()


KILL = """
import os, signal, sys
from pathlib import Path
from kurabe.export.plan import make_plan
from kurabe.export.publish import publish
golden, out, at = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
def tell(done, total):
    if done >= at * total:
        os.kill(os.getpid(), signal.SIGKILL)
publish(make_plan(golden / "base", golden / "adapter", ["F16", "Q8_0"], "golden"), out, tell)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_a_kill_leaves_nothing_that_exists_and_a_rerun_finishes(at: float, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILL, str(GOLDEN), str(tmp_path), str(at)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not storage.read_manifest(tmp_path) and not list(tmp_path.glob("*.gguf"))
    records = publish(plan("F16", "Q8_0"), tmp_path)
    assert all(storage.sha256(tmp_path / record.file) == record.sha256 for record in records)
    assert not list(tmp_path.glob(f"{storage.STAGING}*"))


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kurabe.errors import StoppedError
    from kurabe.export import stream

    whole: Callable[..., None] = stream._Output.take

    def full(self: object, job: Any, block: object) -> None:
        if job.source.name == "blk.2.ffn_up.weight":
            raise OSError(28, "No space left on device")
        whole(self, job, block)

    monkeypatch.setattr(stream._Output, "take", full)
    with pytest.raises(StoppedError):
        publish(plan(), tmp_path)
    assert listing(tmp_path) == set()


def test_the_record_names_base_and_adapter(tmp_path: Path) -> None:
    (record,) = publish(plan(), tmp_path)
    stored = json.loads((tmp_path / "golden-Q8_0.json").read_text(encoding="utf-8"))
    assert stored["adapter_sha256"] == storage.sha256(GOLDEN / "adapter" / "adapter_model.safetensors")
    assert stored["base_sha256"] == record.base_sha256 and len(record.base_sha256) == 64


@pytest.mark.parametrize("name", ["../evil", "/evil", "a\\b", "a\nb", ".hidden", "-flag", "C:x", "n" * 201])
def test_a_name_that_leaves_the_folder_or_no_system_takes_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be named"):
        make_plan(GOLDEN / "base", None, ["Q8_0"], name)


def test_a_name_in_any_script_is_taken(tmp_path: Path) -> None:
    [record] = publish(make_plan(GOLDEN / "base", None, ["Q8_0"], "お店 1"), tmp_path)
    assert (tmp_path / record.file).is_file()


def test_the_same_weights_under_another_message_are_another_export(tmp_path: Path) -> None:
    publish(plan(), tmp_path, system="one")
    with pytest.raises(SettingsError, match="nothing is overwritten"):
        publish(plan(), tmp_path, system="two")
    recipe = tmp_path / "golden-Q8_0.Modelfile"
    recipe.write_text("FROM ./golden-Q8_0.gguf\n", encoding="utf-8")
    publish(plan(), tmp_path, system="one")  # an edited Modelfile is the user's
    assert recipe.read_text(encoding="utf-8") == "FROM ./golden-Q8_0.gguf\n"


def test_a_file_without_its_record_is_another_file(tmp_path: Path) -> None:
    publish(plan(), tmp_path)
    (tmp_path / "golden-Q8_0.json").unlink()
    with pytest.raises(SettingsError, match="nothing is overwritten"):
        publish(plan(), tmp_path)


def test_a_folder_that_takes_no_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(storage, "FolderLock", refuse)
    with pytest.raises(MissingError, match="cannot be written"):
        publish(plan(), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 1}, {"num_hidden_layers": 99}, {"hidden_size": 64}, {"num_attention_heads": 7},
        {"vocab_size": 10_000}, {"num_key_value_heads": "x"}, {"head_dim": "a"}, {"rms_norm_eps": "x"},
        {"rope_parameters": [1]}, {"rope_parameters": {"rope_type": "llama3", "factor": "x"}},
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_the_weights_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    base = Path(shutil.copytree(GOLDEN / "base", tmp_path / "base"))
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(MissingError):
        make_plan(base, None, ["Q8_0"])
