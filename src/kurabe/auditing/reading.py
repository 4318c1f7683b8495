"""A path -> what it is, what is configured there, and what is wrong with it: the audit of what people have.

Knows no file format: it picks the reader. Prints nothing and runs nothing.
"""

from __future__ import annotations

from pathlib import Path

from kurabe.auditing import folder, run, script, yaml_data, yaml_file
from kurabe.auditing.configured import Configured, Rows
from kurabe.auditing.data import Counter, read_rows
from kurabe.auditing.files import read_json, read_yaml
from kurabe.auditing.rules import judge
from kurabe.errors import DataError, MissingError
from kurabe.runs import REQUEST
from kurabe.schema import SCHEMA_VERSION, Finding, Record
from kurabe.storage import MANIFEST

KINDS = {".yaml": "YAML", ".yml": "YAML", ".py": "script", ".ipynb": "notebook", ".json": "JSON"}


class AuditReport(Record):
    """What was read, what is configured, and the findings, the gravest first."""

    version: int = SCHEMA_VERSION
    path: str
    kind: str  # "run", "folder", "YAML", "JSON", "script", "notebook"
    configured: Configured
    rows: Rows | None  # of the data, where there was some
    findings: tuple[Finding, ...]
    unread: tuple[str, ...] = ()  # settings whose values were not understood

    @property
    def clean(self) -> bool:
        """Whether nothing was found that can explain a fine-tune that learned nothing."""
        return all(finding.level == "info" for finding in self.findings)


def audit(path: str | Path, data: str | Path | None = None, *, count: Counter | None = None) -> AuditReport:
    """Audit a training script, notebook, YAML or JSON configuration, output folder, or run folder.

    `data` is the file that was trained on: with it steps, shares and lengths are worked out. `count` counts the tokens
    of messages, where a tokenizer is at hand. Raises UserError for what cannot be read, with what mends it.
    """
    place = Path(path)
    rows = read_rows(Path(data), count) if data is not None else None
    if _is_folder(place):
        if (place / MANIFEST).is_file() and (place / REQUEST).is_file():
            described, findings = run.read(place)
            return AuditReport(path=str(path), kind="run", configured=described, rows=rows, findings=findings)
        described, unread = folder.read(place)
        return _report(path, "folder", described, rows, unread)
    kind = KINDS.get(place.suffix.lower())
    if kind in ("script", "notebook"):
        found = script.read(place, count)
        return _report(path, kind, found.configured, rows or found.rows, list(found.unread))
    if kind == "YAML":
        described, unread = yaml_file.read(place)
        named = yaml_data.find_rows(place, described.tool, read_yaml(place), count) if rows is None else rows
        return _report(path, kind, described, named, unread)
    if kind == "JSON":
        return _json(place, rows, count)
    if place.name in folder.WEIGHTS and place.is_file():
        described, unread = folder.read(place.parent)
        return _report(path, "folder", described, rows, unread)
    if not place.exists():
        raise MissingError("There is no such file or folder.", where=str(path), fix="Check the path.")
    raise DataError(
        "kurabe does not know what this file is.", where=str(path),
        why="It reads .py and .ipynb, .yaml and .yml, .json, and folders.",
        fix="Give the script, the configuration or the output folder of the training.",
    )  # fmt: skip


def _json(place: Path, rows: Rows | None, count: Counter | None) -> AuditReport:
    """A single JSON file: a configuration that YAML would hold, else one of a folder's own."""
    settings = read_json(place)
    tool = yaml_file.tool_of(settings)
    if place.name in (folder.ADAPTER, folder.STATE):
        described, unread = folder.read(place.parent)
        return _report(place, "folder", described, rows, unread)
    if tool is None:
        raise DataError(
            "This JSON file is no training configuration that kurabe knows.", where=str(place),
            why=f"Its settings: {', '.join(list(settings)[:8])}.",
            fix="Give adapter_config.json or trainer_state.json, or the folder that they lie in.",
        )  # fmt: skip
    described, unread = yaml_file.configured(tool, settings, {})
    rows = yaml_data.find_rows(place, tool, settings, count) if rows is None else rows
    return _report(place, "JSON", described, rows, unread)


def _report(path: str | Path, kind: str, described: Configured, rows: Rows | None, unread: list[str]) -> AuditReport:
    return AuditReport(
        path=str(path),
        kind=kind,
        configured=described,
        rows=rows,
        findings=judge(described, rows),
        unread=tuple(unread),
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        raise MissingError(
            "There is no such file or folder.", where=repr(str(path))[:300], fix="Check the path."
        ) from None
