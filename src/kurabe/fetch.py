"""Fetch a model of the hub into the Hugging Face cache: what would come and what speaks against it, then the files.

Knows no screen and downloads nothing itself: huggingface_hub does, and its `HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` and
`HF_HUB_OFFLINE` hold. Only safetensors, tokenizer and configuration are asked for, and what came is held against the
hashes that the hub names, which that library leaves out.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kurabe import chat, hub, snapshots
from kurabe.errors import InterruptedRun, MissingError
from kurabe.snapshots import Name

CONFIGS = ("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja")
# The card is fetched for its licence. What stands in no list stays where it is: pickles, code, other formats.
WANTED = (*CONFIGS, "tokenizer.json", "special_tokens_map.json", "README.md")
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
MARGIN = 1.05  # of the size that has to be free
PATIENCE = 10.0  # seconds until the hub is taken for silent


class File(NamedTuple):
    """One file of a model as the hub lists it."""

    name: str
    size: int
    digest: str  # SHA-256, or of small files git's SHA-1
    there: bool  # in the cache already


class Offer(NamedTuple):
    """What a pull would bring."""

    name: Name
    commit: str
    licence: str  # "" where the card names none
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def left(self) -> int:
        """Bytes that are not in the cache yet."""
        return sum(file.size for file in self.files if not file.there)


def offer(name: Name) -> Offer:
    """What the hub has under that name. Raises MissingError for a model that kurabe could not run or would not open:
    by the list of its files and by its configuration, of which a copy is read and thrown away."""
    import huggingface_hub

    with _asking(name):
        info = _api().model_info(name.repo, revision=name.revision or None, files_metadata=True, timeout=PATIENCE)
        names = {sibling.rfilename for sibling in info.siblings or ()}
        wanted = _wanted(name, names)
        commit = str(info.sha)
        files = tuple(
            File(
                sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "",
                isinstance(huggingface_hub.try_to_load_from_cache(name.repo, sibling.rfilename, revision=commit), str),
            )
            for sibling in info.siblings or ()
            if sibling.rfilename in wanted
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            for config in sorted(names & {*CONFIGS}):
                huggingface_hub.hf_hub_download(
                    name.repo, config, revision=commit, local_dir=folder, etag_timeout=PATIENCE
                )
            _check_configs(name, Path(folder))
    licence = (info.card_data or {}).get("license")
    return Offer(name, commit, licence if isinstance(licence, str) else "", files)


def fetch(wanted: Offer, *, bars: bool = False) -> Path:
    """The files of an offer, in the cache: those that are there already are not fetched again, and one that is cut goes
    on where it stopped. `bars` shows the library's progress on stderr. Raises MissingError where the disk is too small
    or a file came damaged, which is then thrown away."""
    import huggingface_hub
    from huggingface_hub import utils

    _check_space(wanted)
    bars_were_off = utils.are_progress_bars_disabled()
    (utils.enable_progress_bars if bars else utils.disable_progress_bars)()
    try:
        with _asking(wanted.name):
            folder = huggingface_hub.snapshot_download(
                wanted.name.repo,
                revision=wanted.name.revision or None,
                etag_timeout=PATIENCE,
                allow_patterns=[file.name for file in wanted.files],
            )
    except KeyboardInterrupt:
        raise InterruptedRun(
            "The download was stopped; the files that had come are kept.", fix=f"To go on: {wanted.name.pull}"
        ) from None
    finally:
        (utils.disable_progress_bars if bars_were_off else utils.enable_progress_bars)()
    _check_arrived(wanted, Path(folder))
    return Path(folder)


def _check_configs(name: Name, folder: Path) -> None:
    try:
        hub.supported(folder)
        chat.find_template(folder)
    except MissingError as error:
        _refuse(name, error.what, error.why, error.fix)


def _check_space(wanted: Offer) -> None:
    place = snapshots.cache()
    free = shutil.disk_usage(next(path for path in (place, *place.parents) if path.is_dir())).free
    if free < wanted.left * MARGIN:
        raise MissingError(
            f"The disk has not enough room for {wanted.name}.", where=str(place),
            why=f"{wanted.left:,} bytes are still to come; {free:,} are free.",
            fix="Free some space, or point HF_HOME at a larger disk.",
        )  # fmt: skip


def _check_arrived(wanted: Offer, folder: Path) -> None:
    """A file whose bytes are not those that the hub names is removed from the cache, so that it is fetched again."""
    if folder.name != wanted.commit:
        raise MissingError(
            f"{wanted.name} was published anew while it was fetched.", where=str(folder),
            why=f"It was {wanted.commit[: snapshots.SHORT]} before, and came as {folder.name[: snapshots.SHORT]}.",
            fix=f"Look at it again: {wanted.name.pull}",
        )  # fmt: skip
    absent = [f.name for f in wanted.files if not (folder / f.name).is_file()]
    if absent:
        raise MissingError(
            f"{len(absent)} of {len(wanted.files)} files did not come: {', '.join(absent)}.", where=str(folder),
            fix=wanted.name.pull,
        )  # fmt: skip
    damaged = [f.name for f in wanted.files if f.digest and not snapshots.has_digest(folder / f.name, f.digest)]
    for name in damaged:
        (folder / name).resolve().unlink()
        (folder / name).unlink(missing_ok=True)
    if damaged:
        raise MissingError(
            f"{len(damaged)} of {len(wanted.files)} files came damaged and were thrown away: {', '.join(damaged)}.",
            where=str(folder), why="Their bytes do not have the hash that the hub names for them.",
            fix=f"Fetch them again: {wanted.name.pull}",
        )  # fmt: skip


def _wanted(name: Name, names: set[str]) -> set[str]:
    """The files that are asked for; MissingError where the list shows that they would not make a model."""
    weights = {hub.SINGLE} if hub.SINGLE in names else {n for n in names if _SHARD.fullmatch(n) or n == hub.INDEX}
    other = "Use a version of the model that has model.safetensors."
    if "adapter_config.json" in names:
        _refuse(name, "It is an adapter, not a whole model.", "adapter_config.json is there.", "Name its base model.")
    if not weights:
        pickles = sorted(n for n in names if n.endswith(hub.PICKLES))
        ggufs = sorted(n for n in names if n.endswith(".gguf"))
        if pickles:
            _refuse(name, f"Its weights are pickle files ({pickles[0]}), which can run code when opened.", "", other)
        why = f"It has GGUF files ({ggufs[0]}), which cannot be trained." if ggufs else f"It has {len(names)} files."
        _refuse(name, "It has no weights in safetensors.", why, other)
    for needed in ("config.json", "tokenizer.json"):
        if needed not in names:
            _refuse(name, f"It has no {needed}.", "", "Name a version of the model that transformers loads by itself.")
    return weights | (names & {*WANTED})


def _refuse(name: Name, what: str, why: str, fix: str) -> None:
    raise MissingError(f"{name} cannot be used. {what}", where=f"{_endpoint()}/{name.repo}", why=why, fix=fix)


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _api() -> Any:
    from huggingface_hub import HfApi, constants

    constants.HF_HUB_DISABLE_TELEMETRY = True  # the library would ask the hub for more than the model
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it goes on by itself; stderr belongs to kurabe
    return HfApi(endpoint=_endpoint())


@contextlib.contextmanager
def _asking(name: Name) -> Iterator[None]:
    """What the hub or the way to it can do wrong, as a MissingError with the act that helps."""
    from huggingface_hub import errors

    try:
        yield
    except errors.LocalEntryNotFoundError as error:  # the library looked into the cache after this had failed
        raise _told(name, error.__cause__ or error) from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled, errors.FileMetadataError, ConnectionError) as error:
        raise _told(name, error) from error
    except OSError as error:
        if "Consistency check failed" not in str(error):
            raise
        raise _told(name, error) from error


def _told(name: Name, error: BaseException) -> MissingError:
    from huggingface_hub import errors, get_token

    page, status = f"{_endpoint()}/{name.repo}", getattr(getattr(error, "response", None), "status_code", 0)
    log_in = "log in with `hf auth login` (or set HF_TOKEN)"
    if isinstance(error, errors.OfflineModeIsEnabled):
        what, why, fix = "HF_HUB_OFFLINE is set.", "Nothing is fetched then.", f"HF_HUB_OFFLINE=0 {name.pull}"
    elif isinstance(error, errors.GatedRepoError):
        what = f"{name.repo} is given only to people who agreed to its terms."
        why = "This token's account has not, or was not let in yet." if get_token() else "No token was sent."
        fix = f"Agree on {page}, {log_in}, then: {name.pull}"
    elif isinstance(error, errors.RevisionNotFoundError):
        what, why = f"{name.repo} has no revision {name.revision!r}.", ""
        fix = f"kurabe models pull {name.repo}, or one of {page}/commits"
    elif status == 401 and get_token():
        what, why = "The hub does not take this token.", str(error).strip().split("\n")[0]
        fix = f"Make a new one, {log_in}, then: {name.pull}"
    elif isinstance(error, errors.RepositoryNotFoundError) or status in (401, 404):
        what, why = f"The hub has no model {name.repo}, or it is private.", ""
        fix = f"Check the name ({page}); for a private one {log_in}."
    elif status == 403:
        what, why, fix = f"This token may not read {name.repo}.", "", f"Give it the right on {page}, or {log_in}."
    elif status == 429:
        what, why, fix = "The hub asks for fewer requests.", "Status 429.", f"In some minutes: {name.pull}"
    elif status:
        what, why = f"The hub answered with an error ({status}).", "The fault is on its side."
        fix = f"In some minutes: {name.pull}"
    else:
        what, why = f"The hub cannot be reached ({_endpoint()}).", str(error).strip().split("\n")[0]
        fix = f"With a network: {name.pull}. Without one, copy the model's folder and give that to --model."
    return MissingError(what, where=page, why=why, fix=fix)
