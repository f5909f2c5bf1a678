"""The PNG files that reports carry: read back by hand."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest

from crossover.data.png import PREFIX, film_strip, png_uri


def decoded(uri):
    content = base64.b64decode(uri.removeprefix(PREFIX))
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        chunks[kind], at = data, at + 12 + size
    width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    colours = {0: 1, 2: 3}[kind]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, 1 + width * colours)
    assert depth == 8 and not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, colours)


@pytest.mark.parametrize("colours", [1, 3])
def test_pixels_come_back(colours):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, colours)).astype(np.uint8)
    assert np.array_equal(decoded(png_uri(pixels)), pixels)


def test_frames_stand_side_by_side_with_lines_between():
    strip = film_strip(np.stack([np.zeros((2, 3, 1)), np.full((2, 3, 1), 255)]).astype(np.uint8))
    assert strip[0, :, 0].tolist() == [0, 0, 0, 128, 255, 255, 255]
