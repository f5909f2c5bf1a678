"""Commands as a user types them, on files of a user's own: what they print, where, and with which exit code."""

from __future__ import annotations

import json
import math
import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest

from crossover.cli import main

LSTM, TRANSFORMER = "lstm[width=8,layers=1]", "transformer[width=16,layers=1,heads=2]"
QUICK = ("--budget", "3steps", "--precision", "fp32")

Run = Callable[..., Any]


def labelled_texts(rows: int = 60) -> list[tuple[str, str]]:
    """Sentences with a word that tells their label."""
    draw = random.Random(0)
    words = {"up": ("gain", "rise", "growth"), "down": ("loss", "fall", "decline")}
    return [
        (f"firm {i} reports a {draw.choice(words[label])} of {draw.randint(1, 99)} %", label)
        for i in range(rows)
        for label in (("up", "down")[i % 2],)
    ]


def write_csv(path: Path, header: str, rows: list[tuple[Any, ...]], delimiter: str = ",") -> Path:
    lines = [delimiter.join(header.split(",")), *(delimiter.join(str(value) for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("texts") / "texts.csv", "text,label", labelled_texts())


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [(f"2020-{1 + i // 28:02d}-{1 + i % 28:02d}", math.sin(i / 3), i % 7) for i in range(200)]
    return write_csv(tmp_path_factory.mktemp("series") / "series.csv", "day,load,weekday", rows)


@pytest.fixture(scope="module")
def study(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison of two models on texts, in a folder."""
    folder = tmp_path_factory.mktemp("studies") / "study"
    flags = ("--data", str(texts), "--models", f"{LSTM},{TRANSFORMER}", "--seeds", "2", "--no-memory")
    assert main(["compare", "text-classification", *flags, *QUICK, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def trained(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "text-classification", LSTM, "--data", str(texts), *QUICK, "--out", str(folder)]) == 0
    return folder


TABLE_KEYS = {
    *("task", "model", "family", "mixer", "parameters", "parameters_without_embedding", "seeds", "metric", "score"),
    *("validation", "baseline", "steps", "train_seconds", "tokens_per_second", "step_seconds", "latency"),
    *("higher_is_better", "tuning_seconds", "learning_rate", "dropout", "peak_bytes", "state_bytes"),
    *("flops_forward", "flops_backward", "precision", "layout", "run"),
}
INTERVAL = {"value", "low", "high"}


def test_compare_prints_the_study_as_one_document(study: Path, run: Run, texts: Path) -> None:
    flags = ("--data", texts, "--models", f"{LSTM},{TRANSFORMER}", "--seeds", 2, "--no-memory", *QUICK)
    document = run("compare", "text-classification", *flags, "--out", study)
    assert document["study"] == str(study) and Path(document["report"]).is_file()
    rows = {row["model"]: row for row in document["table"]}
    assert rows.keys() == {LSTM, TRANSFORMER, "majority", "TF-IDF + linear SVM"}
    for row in rows.values():
        assert row.keys() >= TABLE_KEYS
        assert row["score"].keys() >= INTERVAL
    assert rows[LSTM]["step_seconds"].keys() >= INTERVAL and rows[LSTM]["tokens_per_second"].keys() >= INTERVAL
    assert rows[LSTM]["latency"]["sequence"].keys() >= {"p50", "p99"}
    assert rows[LSTM]["latency"]["step"] is None, "an encoder does not stream"
    assert rows[LSTM]["peak_bytes"] is None, "--no-memory leaves it unmeasured"
    verdict = document["verdicts"][0]
    assert {"task", "a", "b", "metric", "verdict", "difference", "margin", "seeds_needed"} <= verdict.keys()
    assert document["recommendation"][0].keys() >= {"task", "model", "run", "reason", "meets"}


def test_a_study_that_is_there_is_read_back_and_not_trained_again(study: Path, run: Run, texts: Path) -> None:
    records = {path: path.stat().st_mtime_ns for path in study.rglob("record.json")}
    assert len(records) == 4
    flags = ("--data", texts, "--models", f"{LSTM},{TRANSFORMER}", "--no-memory", *QUICK, "--out", study)
    document = run("compare", "text-classification", *flags, "--seeds", 3)
    assert len(document["runs"]) == 6
    assert {path: path.stat().st_mtime_ns for path in records} == records


def test_the_command_is_kept_as_it_was_typed(study: Path) -> None:
    document = json.loads((study / "study.json").read_text(encoding="utf-8"))
    assert document["command"].startswith("crossover compare text-classification --data ")
    assert "'lstm[width=8,layers=1],transformer" in document["command"]


def test_the_command_of_a_row_trains_its_run_again(study: Path, run: Run, tmp_path: Path) -> None:
    document = json.loads((study / "study.json").read_text(encoding="utf-8"))
    for index, row in enumerate(row for row in document["table"] if row["command"]):
        _, *tokens = shlex.split(row["command"])
        again = run(*tokens, "--out", tmp_path / str(index))
        first = json.loads((Path(row["run"]) / "record.json").read_text(encoding="utf-8"))
        assert again["losses"] == first["losses"] and again["summary"] == first["summary"]


def test_a_study_holds_its_files(study: Path) -> None:
    assert {"study.json", "table.parquet", "report.html", "report.md"} <= {path.name for path in study.iterdir()}
    for folder in (path.parent for path in study.rglob("record.json")):
        found = {path.name for path in folder.iterdir()}
        assert {"config.toml", "environment.json", "metrics.jsonl", "model.safetensors", "items.npz"} <= found
        assert "checkpoint" not in found, "a finished run has nothing left to resume"


def test_the_report_is_written_again_in_another_language(study: Path, run: Run, tmp_path: Path) -> None:
    document = run("report", study, "--lang", "zh")
    assert "模型" in Path(document["report"]).read_text(encoding="utf-8")


def test_the_summary_for_people_names_the_models_and_the_report(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    capsys.readouterr()
    assert main(["report", str(study), "--lang", "en"]) == 0
    printed = capsys.readouterr().out
    assert LSTM in printed and "report.html" in printed


def test_train_prints_the_record(run: Run, texts: Path, tmp_path: Path) -> None:
    record = run("train", "text-classification", LSTM, "--data", texts, *QUICK, "--out", tmp_path / "run")
    assert record.keys() >= TABLE_KEYS | {"ranks", "device_seconds", "traffic", "prediction", "losses"}
    assert [step for step, _ in record["losses"]] == [1, 2, 3]
    (rank,) = record["ranks"]
    spent = 3 * (rank["compute_seconds"] + rank["data_seconds"])
    assert spent == pytest.approx(record["device_seconds"])
    assert record["traffic"] == [] and record["prediction"] is None


def test_train_says_the_score_to_people(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--data", str(texts), *QUICK, "--out", str(tmp_path / "run"))
    assert main(["train", "text-classification", LSTM, *flags]) == 0
    printed = capsys.readouterr()
    assert "accuracy" in printed.out and "3 steps in" in printed.out
    assert "step 3" in printed.err and "step 3" not in printed.out, "progress goes to stderr"


def test_settings_of_task_model_and_training_are_taken(run: Run, texts: Path, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("[train]\nclip = 0.5\nbatch = 4\n[task]\nmax_length = 3\n[model]\ndropout = 0.25\n")
    flags = ("--data", texts, *QUICK, "--config", config, "--set", "train.batch=8", "--out", tmp_path / "run")
    record = run("train", "text-classification", LSTM, *flags)
    assert (record["batch"], record["dropout"]) == (8, 0.25)
    written = (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
    assert "clip = 0.5" in written
    artifacts = json.loads((tmp_path / "run" / "artifacts.json").read_text(encoding="utf-8"))
    assert artifacts["artifacts"]["max_length"] == 3


def test_predict_reads_a_text_or_a_file_from_a_run_or_a_study(
    study: Path, trained: Path, run: Run, tmp_path: Path
) -> None:
    one = run("predict", trained, "firm 7 reports a gain")["predictions"]
    assert one[0]["label"] in ("up", "down") and sum(one[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    (tmp_path / "lines.txt").write_text("firm 7 reports a gain\n\nfirm 8 reports a loss\n", encoding="utf-8")
    out = tmp_path / "out" / "predictions.jsonl"
    several = run("predict", trained, "--file", tmp_path / "lines.txt", "--out", out)["predictions"]
    assert several[0]["label"] == one[0]["label"] and len(several) == 2
    # A processor may sum a row's products in another order where it has two rows.
    assert several[0]["probabilities"] == pytest.approx(one[0]["probabilities"], rel=1e-6)
    assert [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] == several
    table = tmp_path / "table.csv"
    table.write_text("label,text\n?,firm 7 reports a gain\n?,\n?,firm 8 reports a loss\n", encoding="utf-8")
    rows = run("predict", trained, "--file", table)["predictions"]
    assert [rows[0], rows[2]] == several and len(rows) == 3
    document = json.loads((study / "study.json").read_text(encoding="utf-8"))
    model = next(iter(study.rglob("model.safetensors"))).parent
    recommended = document["recommendation"][0]["run"]
    assert run("predict", recommended or model, "firm 7 reports a gain")["predictions"][0]["label"] in ("up", "down")


def test_a_study_stands_for_the_run_that_it_recommends(study: Path, run: Run, tmp_path: Path) -> None:
    document = json.loads((study / "study.json").read_text(encoding="utf-8"))
    chosen = next(entry for entry in document["runs"] if entry["status"] == "done")
    document["recommendation"][0] |= {"model": chosen["model"], "run": chosen["folder"]}
    copy = tmp_path / "study"
    copy.mkdir()
    (copy / "study.json").write_text(json.dumps(document), encoding="utf-8")
    (copy / "runs").symlink_to(study / "runs")
    text = "firm 7 reports a gain"
    assert run("predict", copy, text) == run("predict", chosen["folder"], text)


def test_export_writes_what_predict_reads(trained: Path, run: Run, tmp_path: Path) -> None:
    path = run("export", trained, "--to", "safetensors", "--out", tmp_path / "model")["path"]
    text = "firm 7 reports a gain"
    assert run("predict", path, text) == run("predict", trained, text)


def test_export_to_onnx_gives_the_probabilities_that_predict_gives(study: Path, run: Run, tmp_path: Path) -> None:
    import numpy as np
    import onnxruntime

    from crossover.inference.predictor import load

    (folder,) = (path.parent for path in study.rglob("seed0/record.json") if "transformer" in str(path))
    path = run("export", folder, "--to", "onnx", "--out", tmp_path / "model.onnx")["path"]
    text = "firm 7 reports a gain"
    (ids,) = load(folder).reader().encode([text]).inputs.tolist()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(["outputs"], {"inputs": np.array([ids])})
    shares = np.exp(outputs[0]) / np.exp(outputs[0]).sum()
    expected = run("predict", folder, text)["predictions"][0]["probabilities"]
    np.testing.assert_allclose(shares, list(expected.values()), atol=1e-4)


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "parquet"])
def test_texts_are_read_from_every_kind_of_table(kind: str, run: Run, tmp_path: Path) -> None:
    rows, path = labelled_texts(), tmp_path / f"texts.{kind}"
    frame = polars.DataFrame({"said": [text for text, _ in rows], "mood": [label for _, label in rows]})
    if kind == "parquet":
        frame.write_parquet(path)
    elif kind == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path, separator="\t")
    flags = ("--data", path, "--text", "said", "--label", "mood", *QUICK, "--out", tmp_path / "run")
    record = run("train", "text-classification", LSTM, *flags)
    assert record["details"]["labels"] == ["down", "up"]


def test_a_numeric_label_of_many_values_is_a_regression(run: Run, tmp_path: Path) -> None:
    rows = [(text, 1.5 * i) for i, (text, _) in enumerate(labelled_texts())]
    path = write_csv(tmp_path / "rated.csv", "review,rating", rows)
    record = run("train", "text-classification", LSTM, "--data", path, *QUICK, "--out", tmp_path / "run")
    assert record["metric"] == "mse"
    (prediction,) = run("predict", tmp_path / "run", "firm 7 reports a gain")["predictions"]
    assert -1000 < prediction["value"] < 1000


def test_part_of_speech_tags_are_a_second_input(run: Run, texts: Path, tmp_path: Path) -> None:
    record = run("train", "sentiment", LSTM, "--data", texts, "--tags", *QUICK, "--out", tmp_path / "run")
    plain = run("train", "sentiment", LSTM, "--data", texts, *QUICK, "--out", tmp_path / "plain")
    assert record["parameters"] > plain["parameters"]
    assert record["parameters_without_embedding"] == plain["parameters_without_embedding"]
    assert run("predict", tmp_path / "run", "a gain")["predictions"][0]["label"] in ("up", "down")


def test_a_series_is_forecast_from_its_file(run: Run, series: Path, tmp_path: Path) -> None:
    flags = ("--data", series, "--time", "day", "--target", "load", "--horizon", 4, "--window", 24, "--patch", 4)
    record = run("train", "forecasting", LSTM, *flags, *QUICK, "--out", tmp_path / "run")
    assert record["metric"] == "mse" and len(record["details"]["by_step"]) == 4
    (prediction,) = run("predict", tmp_path / "run", "--file", series)["predictions"]
    assert list(prediction["values"]) == ["load"] and len(prediction["values"]["load"]) == 4


def test_a_language_model_of_the_users_text_writes_on(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "rhyme.txt"
    text.write_text("the cat sat on the mat and the dog ate the hat. " * 60, encoding="utf-8")
    flags = ("--data", text, "--set", "task.block=16", *QUICK, "--out", tmp_path / "run")
    record = run("train", "language-modeling", LSTM, *flags)
    assert record["metric"] == "bits_per_character" and record["latency"] is None
    (said,) = run("predict", tmp_path / "run", "the cat", "--tokens", 12)["predictions"]
    assert said["text"].startswith("the cat") and len(said["text"]) == len("the cat") + 12
    assert run("predict", tmp_path / "run", "the cat", "--tokens", 12)["predictions"] == [said], "the seed decides"


def write_ts(path: Path, rows: int) -> Path:
    head = "@problemName waves\n@timeStamps false\n@univariate true\n@classLabel true slow fast\n@data\n"
    lines = [
        ",".join(f"{math.sin(i * step):.3f}" for i in range(12 + row % 3)) + f":{label}"
        for row in range(rows)
        for label, step in (("slow", 0.3), ("fast", 1.1 + 0.01 * row))
    ]
    path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_labelled_series_come_as_a_pair_of_ts_files(run: Run, tmp_path: Path) -> None:
    train, test = write_ts(tmp_path / "train.ts", 12), write_ts(tmp_path / "test.ts", 4)
    flags = ("--train", train, "--test", test, *QUICK, "--out", tmp_path / "run")
    record = run("train", "classification", LSTM, *flags)
    assert record["details"]["labels"] == ["fast", "slow"]
    predictions = run("predict", tmp_path / "run", "--file", test)["predictions"]
    assert len(predictions) == 8 and {p["label"] for p in predictions} <= {"fast", "slow"}


def test_models_can_be_searched_matched_and_limited(run: Run, texts: Path, tmp_path: Path) -> None:
    limits = ("--max-latency", "10s", "--max-memory", "100GiB", "--trials", 2, "--match", "flops")
    flags = ("--data", texts, "--models", f"{LSTM},elman[layers=1]", "--seeds", 1, "--no-memory", *limits, *QUICK)
    document = run("compare", "text-classification", *flags, "--out", tmp_path / "study")
    assert [len(entry["trials"]) for entry in document["trials"]] == [2, 2]
    assert document["settings"]["max_latency"] == 10.0 and document["settings"]["max_memory"] == 100 * 2**30
    flops = {row["model"]: row["flops_forward"] for row in document["table"] if row["family"] == "recurrent"}
    assert max(flops.values()) / min(flops.values()) < 1.5


def test_every_data_set_a_seed_has_its_own_split_with_resplit(run: Run, texts: Path, tmp_path: Path) -> None:
    flags = ("--data", texts, "--models", LSTM, "--seeds", 2, "--resplit", "--no-memory", *QUICK)
    document = run("compare", "text-classification", *flags, "--out", tmp_path / "study")
    assert [run["status"] for run in document["runs"]] == ["done", "done"]
    assert len(list((tmp_path / "study").rglob("baselines.json"))) == 2


def test_a_time_limit_leaves_the_rest_of_the_runs_for_another_call(run: Run, texts: Path, tmp_path: Path) -> None:
    flags = ("--data", texts, "--models", LSTM, "--seeds", 3, "--no-memory", *QUICK, "--out", tmp_path / "study")
    assert main(["compare", "text-classification", *map(str, flags), "--time-limit", "1us"]) == 1, "no run finished"
    limited = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert limited["settings"]["unfinished"] == 3 and limited["runs"] == []
    assert len(run("compare", "text-classification", *flags)["runs"]) == 3


def test_a_run_that_diverges_is_told_and_the_others_go_on(texts: Path, tmp_path: Path) -> None:
    hopeless = "elman[width=8,layers=1]"
    flags = ("--data", texts, "--models", f"{LSTM},{hopeless}", "--seeds", 1, "--no-memory", "--precision", "fp32")
    wild = ("--budget", "40steps", "--optimizer", "sgd", "--lr", "1e30", "--set", "train.clip=0")
    code = main(
        ["compare", "text-classification", *map(str, flags), *wild, "--out", str(tmp_path / "wild"), "--json"]
    )
    assert code == 1, "no run finished"
    document = json.loads((tmp_path / "wild" / "study.json").read_text(encoding="utf-8"))
    for entry in document["runs"]:
        assert entry["status"] == "failed"
        assert "at step" in entry["error"] and "learning rate" in entry["error"] and "--lr" in entry["error"]
    assert {row["family"] for row in document["table"]} == {"baseline"}


def test_scale_prints_curves_and_crossings(run: Run, tmp_path: Path) -> None:
    flags = ("--models", "lstm,transformer", "--axis", "length=16,32,64", "--batch", 2, "--width", 16, "--layers", 1)
    document = run(
        "scale", *flags, "--no-memory", "--precision", "fp32", "--time-limit", "4s", "--out", tmp_path / "s"
    )
    assert [curve["model"] for curve in document["curves"]] == ["lstm", "transformer"]
    for curve in document["curves"]:
        assert curve.keys() >= {"model", "axis", "pass", "points", "exponents"}
        assert curve["exponents"].keys() >= {"time", "memory", "flops"}
        for point in curve["points"]:
            assert point.keys() >= {"x", "step_seconds", "peak_bytes", "flops_forward", "flops_backward", "solver"}
    for crossing in document["crossings"]:
        assert crossing.keys() >= {"a", "b", "measure", "at", "searched"}
    assert document["crossings"]


def test_a_plugin_adds_a_model_for_one_command(run: Run, texts: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plain_presets.py"
    plugin.write_text(
        "from crossover.models.presets import PRESETS\n"
        "from crossover.models.settings import ModelSettings\n"
        "PRESETS.add('tiny-elman', ModelSettings(name='tiny-elman', mixers=('elman',), width=8, layers=1), 'small')\n"
    )
    flags = ("--data", texts, *QUICK, "--plugin", plugin, "--out", tmp_path / "run")
    assert run("train", "text-classification", "tiny-elman", *flags)["mixer"] == "elman"
