"""Bytes of a file to text: what is missing, compressed, binary or in another encoding is found out and said."""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from crossover.errors import DataError

MAXIMUM_BYTES = 4 << 30
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
_COMMON_CHINESE = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")
_HIGH = re.compile(rb"[\x80-\xff]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x19\x1b\x7f-\x84\x86-\x9f]")


@dataclass(frozen=True)
class Decoded:
    """The text of a file; `notes` name its encoding where that is not plain UTF-8."""

    text: str
    notes: tuple[str, ...]


def read_bytes(path: Path) -> bytes:
    """The content of `path`, unpacked if it is gzip or xz.

    Raises DataError where it is missing, a folder, unreadable, empty, or broken or huge when unpacked.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: give a file in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist: give an existing file (the current folder is {Path.cwd()})"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): check the path and its permissions") from error
    if content.startswith((_GZIP, _XZ)):
        content = _unpack(content, path)
    if not content.strip():
        raise DataError(f"{path} is empty: give a file with data")
    return content


def _unpack(content: bytes, path: Path) -> bytes:
    packed = io.BytesIO(content)
    try:
        with gzip.GzipFile(fileobj=packed) if content.startswith(_GZIP) else lzma.LZMAFile(packed) as stream:
            unpacked = stream.read(MAXIMUM_BYTES + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is compressed and damaged ({error}): get it again") from error
    if len(unpacked) > MAXIMUM_BYTES:
        raise DataError(f"{path} unpacks to more than {MAXIMUM_BYTES >> 30} GiB: split it into smaller files")
    return unpacked


def decode(content: bytes, path: Path) -> Decoded:
    """`content` as text: by its byte order mark, else as UTF-8, GB18030, Windows-1252 or ISO-8859-1, as it fits.

    Raises DataError for binary content.
    """
    for mark, codec, name in _MARKS:
        if content.startswith(mark):
            try:
                text = content.decode(codec)
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path} begins as {name} and breaks it at byte {error.start}: save it again"
                ) from error
            return Decoded(_checked(text, path), () if codec == "utf-8-sig" else (f"{path.name} is read as {name}.",))
    if b"\x00" in content:
        offset = content.index(b"\x00")
        raise DataError(
            f"{path} is binary (a NUL byte at offset {offset}): give CSV, TSV, JSONL, Parquet or plain text"
        )
    try:
        return Decoded(_checked(content.decode("utf-8"), path), ())
    except UnicodeDecodeError as error:
        broken = error.start
    for codec, name in (("gb18030", "GB18030"), ("cp1252", "Windows-1252"), ("latin-1", "ISO-8859-1")):
        if codec == "gb18030" and not _looks_chinese(content):
            continue
        try:
            text = _checked(content.decode(codec), path)
        except UnicodeDecodeError:
            continue
        if name == "Windows-1252" and not re.search(rb"[\x80-\x9f]", content):
            name = "ISO-8859-1"
        return Decoded(text, (f"{path.name} is not UTF-8 (byte {broken}) and is read as {name}.",))
    raise DataError(f"{path} is in no known text encoding: save it as UTF-8")


def read_text(path: Path) -> Decoded:
    """`read_bytes`, then `decode`."""
    return decode(read_bytes(path), path)


def _looks_chinese(content: bytes) -> bool:
    """Most bytes above ASCII stand in pairs of the GB2312 plane; in Western text they stand alone."""
    return 4 * len(_COMMON_CHINESE.findall(content)) > len(_HIGH.findall(content))


def _checked(text: str, path: Path) -> str:
    controls = len(_CONTROL.findall(text))
    if controls * 20 > len(text):
        raise DataError(
            f"{path} is binary ({controls} control characters): give CSV, TSV, JSONL, Parquet or plain text"
        )
    return text
