import pytest

from crossover.report import quantities
from crossover.report.quantities import MINUS, NBSP


def spaced(text: str) -> str:
    return text.replace(NBSP, " ").replace(MINUS, "-")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.91234, "0.912"),
        (1.2946, "1.295"),
        (23.456, "23.46"),
        (312.0, "312.0"),
        (0.0042, "0.0042"),
        (0.00012, "0.00012"),
        (-0.02, "-0.020"),
        (0.0, "0.000"),
        (None, "n/a"),
        (float("nan"), "n/a"),
    ],
)
def test_score(value: float | None, said: str) -> None:
    assert spaced(quantities.score(value)) == said


def test_an_interval_has_one_number_of_decimals() -> None:
    assert spaced(quantities.with_bounds({"value": 0.003, "low": -0.007, "high": 0.013})) == "0.003 (-0.007 – 0.013)"
    assert quantities.with_bounds({"value": 0.912, "low": 0.9, "high": 0.924}) == "0.912 (0.900–0.924)"
    assert quantities.with_bounds(0.5) == "0.500"
    assert quantities.with_bounds(None) == "n/a"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3.2e-9, "3.20 ns"),
        (4.5e-5, "45.0 µs"),
        (0.0123, "12.3 ms"),
        (1.24, "1.24 s"),
        (99.0, "99.0 s"),
        (125.0, "2 min 05 s"),
        (3725.0, "1 h 02 min"),
        (0.0, "0 s"),
        (None, "n/a"),
    ],
)
def test_seconds(value: float | None, said: str) -> None:
    assert spaced(quantities.seconds(value)) == said


@pytest.mark.parametrize(
    ("value", "said"), [(512, "512 B"), (4096, "4.10 kB"), (182_400_000, "182 MB"), (16.8e9, "16.8 GB"), (0, "0 B")]
)
def test_size(value: float, said: str) -> None:
    assert spaced(quantities.size(value)) == said


def test_counts_and_shares() -> None:
    assert spaced(quantities.count(788_480)) == "788 k"
    assert quantities.count(12) == "12"
    assert quantities.whole(48_312.4) == "48,312"
    assert spaced(quantities.operations(1.01e8)) == "101 MFLOP"
    assert spaced(quantities.share(0.41)) == "41.0 %"
    assert quantities.plain(0.003) == "0.003"
    assert quantities.plain(2048.0) == "2,048"


@pytest.mark.parametrize(
    ("value", "unit", "said"), [(0.02, "s", "20 ms"), (5000, "", "5 k"), (1e8, "B", "100 MB"), (0.1, "", "0.1")]
)
def test_ticks_are_round(value: float, unit: str, said: str) -> None:
    assert spaced(quantities.tick(value, unit)) == said


@pytest.mark.parametrize(
    ("typed", "said"),
    [("60s", "60 s"), ("2Mtokens", "2 Mtokens"), ("1e15flops", "1e15 flops"), ("its own", "its own")],
)
def test_a_budget_is_spaced(typed: str, said: str) -> None:
    assert spaced(quantities.budget(typed)) == said


def test_what_rounds_to_nothing_has_no_sign():
    assert quantities.score(-1e-17, beside=1.0) == "0.000"
    assert quantities.score(-0.4) == "−0.400"
