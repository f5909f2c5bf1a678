"""Fetching data sets by name from their owners: licence first, then download, checksum, and a rename into place."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urljoin, urlsplit

from crossover.data.catalogue import DataFile, Dataset, cache_folder, dataset
from crossover.errors import DataError

Progress = Callable[[str, int, int | None], None]
"""Told a file's name, the bytes so far, and how many there will be where that is known."""

TIMEOUT_SECONDS = 30.0
_CHUNK = 1 << 16


def get(
    name: str,
    *,
    source: Path | str | None = None,
    accept_licence: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Fetch a data set into the cache folder; gives what `locate` gives, `Dataset.path` below that folder.

    `source` stands in for the owner's address: a file, a folder or an archive on this machine, or the address of one
    (a folder's address ends in ``/``). Files that lie there already, with the right checksum, are not fetched again.

    Raises DataError for an unknown name, a licence that restricts use and is not accepted, an address that is out of
    reach (naming the file and where to put it), and a wrong SHA-256 (both sums; nothing is kept).
    """
    wanted = dataset(name)
    if wanted.restricted and not accept_licence:
        raise DataError(f"{wanted.notice().rstrip('.')}: read it and add --accept-licence to fetch the data")
    folder = cache_folder() / "data"
    missing = [file for file in wanted.files if not _is_there(folder / file.path, file, trusted=source is None)]
    if len(wanted.files) > 1 and source is not None and not _holds_several(source):
        names = ", ".join(Path(file.path).name for file in wanted.files)
        raise DataError(f"{name} has {len(wanted.files)} files ({names}): give their folder or a .zip, not {source}")
    archives: dict[str, Path] = {}
    with TemporaryDirectory(prefix="crossover-") as temporary:
        for file in missing:
            _place(file, wanted, source, folder / file.path, archives, Path(temporary), progress)
    return folder / wanted.path


def _is_there(path: Path, file: DataFile, *, trusted: bool) -> bool:
    """Whether the file lies there with its checksum; one without is `trusted` unless the user names a source."""
    return path.is_file() and (trusted if file.sha256 is None else checksum(path) == file.sha256)


def _place(
    file: DataFile,
    wanted: Dataset,
    source: Path | str | None,
    target: Path,
    archives: dict[str, Path],
    temporary: Path,
    progress: Progress | None,
) -> None:
    """Bring one file to `target`, from an archive that is fetched once for all its members."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source is not None and not _is_address(source):
        _copy_local(Path(source).expanduser(), file, target)
        return
    url = _address(file, None if source is None else str(source))
    if not _is_archive(url):
        download(url, target, sha256=file.sha256, progress=progress)
        return
    if url not in archives:
        archives[url] = temporary / f"{len(archives)}-{Path(urlsplit(url).path).name}"
        download(url, archives[url], put_at=target, progress=progress)
    _write(_member(archives[url], file), file, target, url)


def _is_address(source: Path | str) -> bool:
    return isinstance(source, str) and "://" in source


def _is_archive(name: str) -> bool:
    return urlsplit(name).path.lower().endswith(".zip")


def _holds_several(source: Path | str) -> bool:
    if _is_address(source):
        return urlsplit(str(source)).path.endswith("/") or _is_archive(str(source))
    return Path(source).expanduser().is_dir() or _is_archive(str(source))


def _address(file: DataFile, source: str | None) -> str:
    if source is None and file.url is None:
        raise DataError(f"no address of {Path(file.path).name} is known: give the file or its folder to --from")
    if source is None:
        return str(file.url)
    return urljoin(source, Path(file.path).name) if urlsplit(source).path.endswith("/") else source


def _copy_local(source: Path, file: DataFile, target: Path) -> None:
    name = Path(file.path).name
    if source.is_dir():
        source = source / file.path if (source / file.path).is_file() else source / name
    if not source.is_file():
        raise DataError(f"{source} does not exist: give the file {name}, its folder, or the archive that holds it")
    content = _member(source, file) if _is_archive(source.name) else source.read_bytes()
    _write(content, file, target, str(source))


def _member(archive: Path, file: DataFile) -> bytes:
    """The file inside a zip archive: by its full name, else by its last part wherever it lies."""
    name = file.member or Path(file.path).name
    try:
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
            last = name.rpartition("/")[2]
            inside = name if name in names else next((n for n in names if n.rpartition("/")[2] == last), None)
            if inside is None:
                raise DataError(f"the archive {archive.name} holds no {last}: give another source")
            return opened.read(inside)
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError) as error:
        raise DataError(f"the archive {archive.name} is damaged ({error}): fetch it again") from error


def _write(content: bytes, file: DataFile, target: Path, origin: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if file.sha256 is not None and found != file.sha256:
        raise DataError(_mismatch(origin, file.sha256, found))
    partial = _partial(target)
    partial.write_bytes(content)
    partial.replace(target)


def _mismatch(origin: str, wanted: str, found: str) -> str:
    return f"{origin} has the SHA-256 {found} and {wanted} is wanted: it was changed or damaged, nothing is kept"


def _partial(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    put_at: Path | None = None,
    progress: Progress | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> None:
    """Fetch `url` to `target`, through a file beside it that is renamed when whole and right.

    An interrupted transfer with a known checksum goes on where it stopped when asked again. `put_at` is the path
    that the message of a failure names, `target` without it. Raises DataError.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url} is no http or https address: give one, or a file on this machine")
    partial = _partial(target)
    if sha256 is None:
        partial.unlink(missing_ok=True)
    elif partial.exists() and checksum(partial) == sha256:
        partial.replace(target)
        return
    try:
        for done, total in _transfer(url, partial, timeout):
            if progress is not None:
                progress(target.name, done, total)
    except urllib.error.HTTPError as error:
        partial.unlink(missing_ok=True)
        raise DataError(_unreachable(url, f"HTTP {error.code} {error.reason}", put_at or target)) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(_unreachable(url, str(reason) or type(error).__name__, put_at or target)) from error
    found = checksum(partial)
    if sha256 is not None and found != sha256:
        partial.unlink()
        raise DataError(_mismatch(url, sha256, found))
    partial.replace(target)


def _unreachable(url: str, reason: str, target: Path) -> str:
    return (
        f"{url} could not be fetched ({reason}): try again, give a copy with --from, or put {target.name} at {target}"
    )


def _transfer(url: str, partial: Path, timeout: float) -> Iterator[tuple[int, int | None]]:
    """Append to `partial` what it lacks; yields (bytes so far, bytes in all)."""
    start = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "crossover", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as response:
        if response.status != 206:
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        done = start
        with partial.open("ab" if start else "wb") as stream:
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                done += len(chunk)
                yield done, total
    if total is not None and done < total:
        raise ConnectionError(f"the transfer ended after {done} of {total} bytes")
