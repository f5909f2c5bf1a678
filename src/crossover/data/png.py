"""Small pictures for reports: an array to a PNG file (RFC 2083) in a data URI, with what Python brings."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

PREFIX = "data:image/png;base64,"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def png_uri(pixels_HWC: np.ndarray) -> str:
    """Bytes [H, W] or [H, W, C] (1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha) to ``data:image/png;base64,…``."""
    pixels_HWC = pixels_HWC[:, :, None] if pixels_HWC.ndim == 2 else pixels_HWC
    height, width, colours = pixels_HWC.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[colours], 0, 0, 0)
    # Every row of pixels begins with a byte that says how it is filtered: 0, not at all.
    lines = np.zeros((height, 1 + width * colours), dtype=np.uint8)
    lines[:, 1:] = pixels_HWC.reshape(height, -1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)
    return PREFIX + base64.b64encode(content).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def film_strip(frames_THWC: np.ndarray, *, gap: int = 1) -> np.ndarray:
    """Frames [T, H, W, C], uint8, side by side with lines of middle grey between them [H, …, C]."""
    frames, height, _, colours = frames_THWC.shape
    line = np.full((height, gap, colours), 128, dtype=np.uint8)
    parts = [part for frame_HWC in frames_THWC for part in (frame_HWC, line)]
    return np.concatenate(parts[: 2 * frames - 1], axis=1)
