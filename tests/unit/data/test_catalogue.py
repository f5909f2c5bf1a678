import re

import pytest

from crossover.data.catalogue import CATALOGUE, cache_folder, locate
from crossover.errors import DataError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.delenv("CROSSOVER_DATA", raising=False)
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path / "cache"))
    return tmp_path


def put(folder, name):
    for file in CATALOGUE[name].files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_entries_are_complete(entry):
    assert entry.files
    assert entry.summary and entry.licence and (entry.homepage.startswith("https://") or entry.files[0].url is None)
    for file in entry.files:
        assert file.path == entry.path or file.path.startswith(entry.path + "/")
        assert file.url is None or file.url.startswith("https://")
        assert file.member is not None or not str(file.url).endswith(".zip")
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_what_forbids_commercial_use_is_restricted():
    for entry in CATALOGUE.values():
        assert entry.restricted == ("commercial" in entry.licence or "research" in entry.licence)


def test_the_data_folder_comes_before_the_cache(folders, monkeypatch):
    put(folders / "cache" / "data", "forecasting/weather")
    assert locate("forecasting/weather") == folders / "cache" / "data" / "forecasting/weather"
    put(folders / "mine", "forecasting/weather")
    monkeypatch.setenv("CROSSOVER_DATA", str(folders / "mine"))
    assert locate("forecasting/weather") == folders / "mine" / "forecasting/weather"


def test_a_part_of_a_data_set_is_not_enough(folders):
    put(folders / "cache" / "data", "classification/gunpoint")
    (folders / "cache/data/classification/GunPoint/GunPoint_TEST.ts").unlink()
    with pytest.raises(DataError) as caught:
        locate("classification/gunpoint")
    message = str(caught.value)
    assert "`crossover data get classification/gunpoint --accept-licence`" in message
    assert "put GunPoint_TEST.ts from https://" in message
    assert str(folders / "cache/data/classification/GunPoint/GunPoint_TEST.ts") in message


def test_an_unknown_name_is_refused():
    with pytest.raises(DataError, match="did you mean 'forecasting/etth1'"):
        locate("forecasting/etth")


def test_the_cache_folder_follows_the_platform(monkeypatch):
    monkeypatch.delenv("CROSSOVER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setattr("sys.platform", "linux")
    assert str(cache_folder()) == "/caches/crossover"
