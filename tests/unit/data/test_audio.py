from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crossover.data import audio
from crossover.data.audio import audio_files, read_at, read_recording
from crossover.errors import DataError

SOUND = np.sin(np.arange(800) / 10).astype(np.float32) / 2


def test_wav_and_flac_are_read_as_they_were_written(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, SOUND, 8000)
        recording = read_recording(tmp_path / name, name)
        assert (recording.rate, recording.channels, recording.samples.dtype) == (8000, 1, np.float32)
        np.testing.assert_allclose(recording.samples, SOUND, atol=1e-4)


def test_bytes_are_read_like_a_file() -> None:
    content = io.BytesIO()
    soundfile.write(content, SOUND, 16_000, format="WAV")
    assert len(read_recording(content.getvalue(), "bytes").samples) == len(SOUND)


def test_channels_are_mixed_down_and_rates_resampled_and_both_counted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "stereo.wav", np.stack([SOUND, -SOUND], 1), 8000)
    soundfile.write(tmp_path / "fast.wav", SOUND, 16_000)
    soundfile.write(tmp_path / "plain.wav", SOUND, 8000)
    (fast, plain, stereo), notes = read_at(audio_files(tmp_path), 8000)
    assert [len(sound) for sound in (fast, plain, stereo)] == [400, 800, 800]
    np.testing.assert_allclose(stereo, np.zeros(800), atol=1e-4)
    assert notes == (
        "1 of 3 files have several channels, which are mixed down to one.",
        "1 of 3 files have another rate and are resampled to 8000 Hz.",
    )


def test_resampling_keeps_a_tone() -> None:
    time = np.arange(16_000) / 16_000
    recording = audio.Recording(np.sin(2 * np.pi * 440 * time).astype(np.float32), 16_000)
    expected = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    np.testing.assert_allclose(recording.at(8000)[200:-200], expected[200:-200], atol=0.01)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all" * 40])
def test_what_is_no_sound_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"^broken.wav cannot be read as audio \([^()]+\): give a WAV or FLAC"):
        read_recording(tmp_path / "broken.wav", "broken.wav")


def test_a_missing_file_an_empty_one_and_one_that_is_not_finite_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.wav does not exist"):
        read_recording(tmp_path / "absent.wav", "absent.wav")
    soundfile.write(tmp_path / "empty.wav", SOUND[:0], 8000)
    with pytest.raises(DataError, match=r"empty.wav holds no sound"):
        read_recording(tmp_path / "empty.wav", "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(8, np.nan), 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"nan.wav holds values that are not finite"):
        read_recording(tmp_path / "nan.wav", "nan.wav")


def test_a_rate_or_a_loudness_that_no_sound_has_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.full(8, 1e30), 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"loud.wav holds values that are not finite, or no sound's"):
        read_recording(tmp_path / "loud.wav", "loud.wav")
    soundfile.write(tmp_path / "fast.wav", SOUND, 2**31 - 1)
    with pytest.raises(DataError, match=r"fast.wav says that it has 2147483647 Hz"):
        read_recording(tmp_path / "fast.wav", "fast.wav")
    soundfile.write(tmp_path / "counts.wav", SOUND * 2**31, 192_000, subtype="FLOAT")
    assert read_recording(tmp_path / "counts.wav", "counts.wav").rate == 192_000


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no WAV or FLAC file"):
        audio_files(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        audio_files(tmp_path / "absent")


def test_missing_packages_are_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(audio, "find_spec", lambda package: None)
    with pytest.raises(DataError, match=r"pip install soundfile kaldi-native-fbank$"):
        read_recording(tmp_path / "any.wav", "any.wav")
