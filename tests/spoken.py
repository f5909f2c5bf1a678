"""Small genuine recordings that tests write: words that are tones, and strings of them with silence between."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from crossover.tasks.speech.sources import DIGITS, SPEAKERS

TONES = {"low": 400.0, "mid": 900.0, "high": 1800.0}
RATE = 8000


def said(words: Sequence[str], rng: np.random.Generator, rate: int = RATE) -> np.ndarray:
    """Float samples of these words, each 120 ms long, 80 ms of quiet around them, in a little noise."""
    quiet = np.zeros(rate * 80 // 1000)
    time = np.arange(rate * 120 // 1000) / rate
    parts = [quiet]
    for word in words:
        parts += [0.3 * np.sin(2 * np.pi * TONES[word] * time), quiet]
    sound = np.concatenate(parts)
    return (sound + 0.003 * rng.standard_normal(len(sound))).astype(np.float32)


def write_folder(folder: Path, count: int = 60, *, most: int = 3, rate: int = RATE) -> list[str]:
    """Recordings of one to `most` words with transcripts.csv (file, text, kind, speaker); gives the transcripts."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    texts, lines = [], ["file,text,kind,speaker"]
    for number in range(count):
        words = [list(TONES)[i] for i in rng.integers(len(TONES), size=1 + number % most)]
        soundfile.write(folder / f"{number}.wav", said(words, rng, rate), rate)
        texts.append(" ".join(words))
        lines.append(f"{number}.wav,{texts[-1]},{words[0]},speaker {number % 5}")
    (folder / "transcripts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return texts


def write_digits(path: Path, numbers: int = 12) -> None:
    """A tar file in the form of the Free Spoken Digit Dataset: each digit a tone of its own, so many recordings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    with tarfile.open(path, "w:xz") as opened:
        for place, speaker in enumerate(SPEAKERS):
            for digit in range(len(DIGITS)):
                for number in range(numbers):
                    time = np.arange(int(rng.integers(1200, 2400))) / RATE
                    sound = (0.05 + 0.05 * place) * np.sin(2 * np.pi * (300 + 250 * digit) * time)
                    content = io.BytesIO()
                    soundfile.write(content, sound + 0.002 * rng.standard_normal(len(time)), RATE, format="WAV")
                    member = tarfile.TarInfo(f"recordings/{digit}_{speaker}_{number}.wav")
                    member.size = content.tell()
                    content.seek(0)
                    opened.addfile(member, content)
