from pathlib import Path

import polars

from crossover.report.table import flat_table, write_table
from unit.report.example_study import compare_study, row


def test_intervals_and_latencies_lie_flat() -> None:
    frame = flat_table(compare_study())
    first = frame.row(0, named=True)
    assert (first["score_low"], first["score_value"], first["score_high"]) == (0.9, 0.912, 0.924)
    assert first["latency_sequence_p99"] == 0.0034
    assert first["latency_step_p50"] == 0.00031
    assert frame.height == len(compare_study()["table"])


def test_what_was_not_measured_is_null_and_keeps_its_column() -> None:
    baseline = row("t", "linear", "baseline", 0.5)
    frame = flat_table({"table": [baseline]})
    assert frame["latency_step_p99"].to_list() == [None]
    assert frame["tokens_per_second_low"].dtype == polars.Float64
    assert set(frame.columns) == set(flat_table({"table": [row("t", "lstm", "recurrent", 0.5)]}).columns)


def test_the_file_gives_the_table_back(tmp_path: Path) -> None:
    write_table(compare_study(), tmp_path / "table.parquet")
    assert polars.read_parquet(tmp_path / "table.parquet").equals(flat_table(compare_study()))


def test_a_study_without_rows_has_an_empty_table(tmp_path: Path) -> None:
    write_table({"table": []}, tmp_path / "table.parquet")
    assert polars.read_parquet(tmp_path / "table.parquet").height == 0
