import sys
from types import ModuleType

import polars
import pytest

from crossover.data.hub import load_hub, parse_source
from crossover.data.tables import load_frame
from crossover.errors import DataError


@pytest.mark.parametrize(
    ("source", "parsed"),
    [
        ("hf://owner/name", ("owner/name", None)),
        ("hf://owner/na-me.2:validation", ("owner/na-me.2", "validation")),
        ("hf://name", ("name", None)),
    ],
)
def test_sources(source, parsed):
    assert parse_source(source) == parsed


@pytest.mark.parametrize("source", ["hf://", "hf://a/b/c", "hf://a/b:", "hf://../x y"])
def test_what_is_no_source_is_refused(source):
    with pytest.raises(DataError, match="write hf://OWNER/NAME"):
        load_hub(source)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install datasets"):
        load_frame("hf://owner/name", ["text"])


class Rows:
    """What the reader needs of a split of the hub's client."""

    def __init__(self, frame):
        self.frame = frame

    def __len__(self):
        return self.frame.height

    def to_polars(self):
        return self.frame


@pytest.fixture
def hub(monkeypatch):
    def load_dataset(name):
        if name == "owner/gone":
            raise ConnectionError("\nCould not reach the hub\nmany more lines")
        return {"train": Rows(polars.DataFrame({"text": ["a"]})), "test": Rows(polars.DataFrame({"text": []}))}

    module = ModuleType("datasets")
    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_rows_of_a_split(hub):
    table = load_frame("hf://owner/name", ["text"])
    assert table.frame.rows() == [("a",)]
    assert "split 'train' of owner/name" in table.notes[0]


@pytest.mark.parametrize(
    ("source", "columns", "message"),
    [
        ("hf://owner/gone", [], "ConnectionError: Could not reach the hub)"),
        ("hf://owner/name:tset", [], "did you mean 'test'"),
        ("hf://owner/name:test", [], "has no rows in its split 'test'"),
        ("hf://owner/name", ["txt"], "txt"),
    ],
)
def test_what_the_hub_cannot_give_is_one_sentence(hub, source, columns, message):
    with pytest.raises(DataError) as caught:
        load_frame(source, columns)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
