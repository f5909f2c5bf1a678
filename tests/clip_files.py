"""Small files of the kinds that video tasks read: videos and skeletons."""

from __future__ import annotations

import tarfile
from io import BytesIO

import av
import numpy as np


def film(path, *, frames=6, side=32, moves="right"):
    """A bright square that moves over a dark picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as opened:
        stream = opened.add_stream("mpeg4", rate=10)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for t in range(frames):
            pixels = np.zeros((side, side, 3), dtype=np.uint8)
            at = 3 * t if moves == "right" else side - 10 - 3 * t
            pixels[12:20, at : at + 8] = 255
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                opened.mux(packet)
        for packet in stream.encode():
            opened.mux(packet)
    return path


def text(joints_TJD):
    rows = np.concatenate([joints_TJD, np.ones((*joints_TJD.shape[:2], 1))], axis=2).reshape(-1, 4)
    return "\n".join("  ".join(f"{value:.7e}" for value in row) for row in rows).encode()


def archive(path, files):
    with tarfile.open(path, "w:xz") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"msraction3d/{name}_skeleton.txt")
            entry.size = len(content)
            opened.addfile(entry, BytesIO(content))
    return path
