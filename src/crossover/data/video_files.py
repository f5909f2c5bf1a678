"""Video files through PyAV (extra `video`), and which files of a folder or table they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crossover.data.clips import Clips
from crossover.data.tables import read_table
from crossover.errors import DataError, listing

SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ogv", ".gif"})

_FILE_COLUMNS = ("file", "path", "video")


def is_video(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    return path.suffix.lower() in SUFFIXES


def read_video(path: Path, frame: tuple[int, ...]) -> Clips:
    """The one clip of a video file, bytes [T, *frame], scaled to `frame`: [H, W] grey or [H, W, 3] colours.

    DataError, one sentence, where PyAV is missing, the file cannot be decoded, or frames are no such pictures.
    """
    if len(frame) not in (2, 3) or frame[2:] not in ((), (3,)):
        raise DataError(f"{path} is a video, but the model was trained on other frames: give an .npz file of clips")
    try:
        import av
    except ImportError as error:
        raise DataError(
            f"{path} needs the package that decodes videos: pip install av, or give an .npz file"
        ) from error
    form = "gray" if len(frame) == 2 else "rgb24"
    try:
        with av.open(str(path)) as opened:
            frames = [
                picture.reformat(width=frame[1], height=frame[0], format=form).to_ndarray()
                for picture in opened.decode(video=0)
            ]
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: give a video file") from None
    except IndexError:
        raise DataError(f"{path} holds no pictures: give a video file") from None
    except (av.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be decoded as a video ({reason}): convert it to mp4") from error
    if not frames:
        raise DataError(f"{path} holds no frame: give a video with pictures")
    return Clips([np.stack(frames)])


def read_videos(path: Path, frame: tuple[int, ...], *, label: str | None = None) -> Clips:
    """Labelled videos: a folder with a subfolder for each label, or a table of files and labels beside them.

    The table has a column named file, path or video, and the one named `label` (None: ``label``). DataError as in
    `read_video`, and where there is no video.
    """
    listed = _in_subfolders(path) if path.is_dir() else _in_table(path, label or "label")
    return Clips([read_video(place, frame).rows[0] for place, _ in listed], labels=[name for _, name in listed])


def _in_subfolders(folder: Path) -> list[tuple[Path, str]]:
    found = [
        (file, part.name)
        for part in sorted(folder.iterdir())
        if part.is_dir()
        for file in sorted(part.iterdir())
        if is_video(file)
    ]
    if not found:
        raise DataError(f"{folder} has no video in a subfolder: put those of each label into a folder of its name")
    return found


def _in_table(path: Path, label: str) -> list[tuple[Path, str]]:
    frame = read_table(path, columns=[label]).frame
    file = next((name for name in _FILE_COLUMNS if name in frame.columns), None)
    if file is None:
        raise DataError(f"{path} has no column of files: name it {listing(_FILE_COLUMNS)}, or give an .npz file")
    listed = [(path.parent / str(name), str(word)) for name, word in zip(frame[file], frame[label], strict=True)]
    missing = next((place for place, _ in listed if not place.is_file()), None)
    if missing is not None:
        raise DataError(f"{missing}, which {path.name} lists, does not exist: its files are sought beside the table")
    return listed
