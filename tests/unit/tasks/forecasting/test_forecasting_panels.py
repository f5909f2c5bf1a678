from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.models.ports import Continuous, PerRow, PerStep, SourceTarget
from crossover.tasks import RESTORERS
from crossover.tasks.forecasting.errors import QuantileError
from crossover.tasks.forecasting.shops import PLANNED, SHOPS, sales, shops
from crossover.tasks.forecasting.task import own, panel
from unit.tasks.forecasting.panels import panel_csv

ROLES = {"target": "sales", "id": "shop", "past": "visitors", "future": "promo,price", "static": "kind"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("panel") / "shops.csv"
    path.write_text(panel_csv(shops()), encoding="utf-8")
    return path


def own_panel(path, **changes):
    return own(DataOptions(**{"data": str(path), **ROLES, "window": 14, "horizon": 6, **changes}))


def reader_of(task):
    return RESTORERS.get("forecasting")(json.loads(json.dumps(task.artifacts())))


def batch_of(task, split="test", rows=64):
    return next(iter(task.batches(split, seed=0, epoch=0, batch=rows)))


def test_worked_example_of_the_shops():
    saturday = np.array([5])
    one, ten = np.ones(1), np.full(1, 10.0)
    assert sales(100, "city", saturday, 0 * one, ten, one).item() == pytest.approx(150)
    assert sales(100, "city", saturday, one, ten, one).item() == pytest.approx(240)
    assert sales(100, "city", saturday, one, 1.2 * ten, one).item() == pytest.approx(166.67, abs=0.01)


def test_all_series_are_cut_at_the_same_dates():
    task = panel(DataOptions())
    found = shops()
    cuts = {"valid": [], "test": []}
    for split, dates in cuts.items():
        rows = task.splits[split]
        for number, series in enumerate(found.series):
            origins = rows.origins_N[rows.series_N == number] - rows.data.begins_S[number]
            dates.append(series.timestamps[origins[0]] if len(origins) else None)
    assert set(cuts["valid"]) == {"2023-01-14"}
    assert set(cuts["test"]) - {None} == {"2023-03-09"}


def test_every_series_has_scores_of_its_own():
    task = panel(DataOptions())
    found = shops()
    train = task.splits["train"]
    for number, series in enumerate(found.series):
        rows = slice(train.data.begins_S[number], train.data.begins_S[number] + len(series))
        scores = train.data.values_TC[rows] * task.scaling.deviation_SC[number] + task.scaling.mean_SC[number]
        assert np.allclose(scores, series.values_TC, rtol=1e-4)
        trained = train.data.values_TC[rows.start : train.origins_N[train.series_N == number][-1] + 14]
        assert abs(trained.mean()) < 1e-5
        assert trained.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("head", ["direct", "autoregressive", "seq2seq"])
def test_each_step_holds_what_is_known_by_then(head):
    task = panel(DataOptions(window=14, horizon=14, settings={"head": head, "patch": 7}))
    rows = task.splits["test"]
    batch = batch_of(task, rows=3)
    origin = int(rows.origins_N[2])
    past = rows.data.covariates.past_TK[origin - 14 : origin, 0]
    future = rows.data.covariates.future_TK[origin - 14 : origin + 14]
    steps = batch.inputs[2].numpy()
    if head == "seq2seq":
        steps = np.concatenate([batch.source.inputs[2, :1].numpy(), steps])
    assert np.array_equal(steps[1, 7:14], past[7:])
    lead = 0 if head == "direct" else 1
    assert np.array_equal(steps[1, 14:28], future[7 * (1 + lead) : 7 * (2 + lead)].ravel())
    assert np.array_equal(steps[1, 28:], [1, *rows.data.covariates.static_SF[0]])
    if head == "direct":
        assert np.array_equal(steps[2:, :14], np.zeros((2, 14)))
        assert np.array_equal(steps[2:, 14:28], future[14:].reshape(2, 14))
        assert steps[2:, 28].tolist() == [0, 0]
    else:
        ahead = batch.extra["ahead"][2].numpy()
        assert np.array_equal(ahead[:, :7], np.zeros((1, 7)))
        assert np.array_equal(ahead[:, 7:21], future[21:].reshape(1, 14))


def test_the_ports_of_each_head():
    spec = {
        head: panel(DataOptions(settings={"head": head}, quantiles="0.1,0.5,0.9")).spec
        for head in ("direct", "seq2seq")
    }
    step = Continuous(channels=7 + 7 * 3 + 1 + 3)
    assert spec["direct"].inputs == step
    assert spec["direct"].outputs == PerRow(size=14 * 3, pool="flatten", steps=4 + 2)
    assert spec["seq2seq"].inputs == SourceTarget(source=step, target=step)
    assert spec["seq2seq"].outputs == PerStep(size=7 * 3)
    assert (spec["seq2seq"].causal, spec["seq2seq"].decoding) == (True, "rollout")


def test_a_decoder_is_fed_what_it_said_before_and_trained_on_what_came():
    task = panel(DataOptions(window=14, horizon=10, settings={"head": "seq2seq", "patch": 7, "normalise": "train"}))
    forced, batch = batch_of(task, "train"), batch_of(task)
    assert forced.inputs.shape[1] == 2
    assert task.count(forced) == forced.size * 10
    said = []

    def step(inputs):
        said.append(inputs)
        return inputs[:, :, :7] + 1

    outputs = task.rollout(step, batch)
    assert outputs.shape == (batch.size, 10, 1)
    assert torch.equal(said[1][:, 0, :7], said[0][:, 0, :7] + 1)
    assert torch.equal(said[1][:, :, 7:], batch.extra["ahead"])


def test_of_quantiles_the_median_goes_on():
    settings = {"head": "autoregressive", "patch": 7, "normalise": "train"}
    task = panel(DataOptions(window=14, horizon=14, quantiles="0.9,0.5,0.1", settings=settings))
    batch, said = batch_of(task), []

    def step(inputs):
        said.append(inputs)
        median = inputs[:, :, :7]
        return torch.stack([median + 1, median - 1, median], dim=-1).flatten(2)

    outputs = task.rollout(step, batch)
    assert outputs.shape == (batch.size, 14, 1, 3)
    assert torch.equal(said[1][:, 0, :7], said[0][:, -1, :7])
    decoded = task.decode(outputs, batch)[0]
    low, high = (np.array(decoded["quantiles"]["sales"][level]) for level in ("0.1", "0.9"))
    assert np.all(low < decoded["values"]["sales"]) and np.all(high > decoded["values"]["sales"])


def test_pinball_loss_and_coverage_of_known_errors():
    objective = QuantileError((0.1, 0.5, 0.9))
    forecasts = torch.tensor([[[[-1.0, 0.0, 1.0]], [[-1.0, 0.0, 1.0]]]])
    targets = torch.tensor([[[2.0], [float("nan")]]])
    items = objective.items(forecasts, targets)
    scores = objective.summarise({name: values.sum(0) for name, values in items.items()})
    assert items["loss"].item() == pytest.approx(0.1 * 3 + 0.5 * 2 + 0.9 * 1)
    assert scores["pinball"] == pytest.approx(2.2 / 3)
    assert (scores["mae"], scores["coverage"], scores["below_0.9"]) == (2.0, 0.0, 0.0)
    inside = objective.items(forecasts, torch.tensor([[[0.5], [-0.5]]]))
    assert (inside["inside"].item(), inside["below"].tolist()) == (2.0, [[0.0, 1.0, 2.0]])


def test_known_covariates_help_the_linear_baseline(table):
    def ridge(**changes):
        task = own_panel(table, quantiles="0.5", **changes)
        return next(b for b in task.baselines("test") if b.kind == "strong")

    whole, bare = ridge(), ridge(past=None, static=None, settings={})
    blind = own(DataOptions(data=str(table), target="sales", id="shop", window=14, horizon=6, fill_gaps=True))
    assert whole.score < bare.score
    assert whole.name == "ridge on the window and covariates"
    assert blind.spec.inputs.channels < own_panel(table).spec.inputs.channels


def test_the_ridge_reads_all_that_is_known_at_an_origin_and_no_more():
    rows = panel(DataOptions(window=14, horizon=6)).splits["test"]
    known, origin, number = rows.data.covariates, int(rows.origins_N[-1]), int(rows.series_N[-1])
    parts = known.past_TK[origin - 14 : origin], known.future_TK[origin - 14 : origin + 6], known.static_SF[number]
    flat = known.flat(rows.origins_N[-1:], rows.series_N[-1:], window=14, horizon=6)[0]
    assert flat.tolist() == np.concatenate([part.ravel() for part in parts]).tolist()


def test_series_are_told_worst_first_and_bootstrapped_apart():
    task = panel(DataOptions(quantiles="0.5"))
    ridge = next(b for b in task.baselines("test") if b.kind == "strong")
    told = task.details(ridge.items)["by_series"]
    assert len(told) == SHOPS
    assert [entry["score"] for entry in told] == sorted((entry["score"] for entry in told), reverse=True)
    batch = batch_of(task, rows=task.size("test"))
    assert np.array_equal(batch.extra["series"].numpy(), ridge.items["group"])
    assert len(task.samples(batch.targets.flatten(1), batch, 5)) == 5
    assert task.samples(batch.targets.flatten(1), batch, 2)[1]["input"].startswith("shop02 sales")


def test_folds_follow_each_other_and_never_train_on_what_they_test():
    folds = [panel(DataOptions(backtest=3, settings={"fold": fold})) for fold in range(3)]
    first = [int(task.splits["test"].origins_N[0]) for task in folds]
    train = [int(task.splits["train"].origins_N[task.splits["train"].series_N == 0][-1]) + 14 for task in folds]
    assert first[1] - first[0] == first[2] - first[1] == 36
    assert all(t < f for t, f in zip(train, first, strict=True))
    assert train[1] - train[0] == 36
    with pytest.raises(ConfigError, match="at most 7 spans of a horizon of 14: give a number up to 7"):
        panel(DataOptions(backtest=8))


def test_short_series_are_left_out_and_named(tmp_path, table):
    lines = table.read_text(encoding="utf-8").splitlines()
    short = [line.replace("shop01", "tiny") for line in lines if line.startswith("shop01")][:5]
    path = tmp_path / "with_tiny.csv"
    path.write_text("\n".join([*lines, *short]), encoding="utf-8")
    notes = own_panel(path).spec.notes
    assert "1 of 13 series are too short for a window of 14 and a horizon of 6 and are left out: tiny." in notes


def test_a_run_forecasts_beyond_its_last_row(table):
    task = own_panel(table, quantiles="0.1,0.5,0.9")
    ahead = reader_of(task).encode_ahead()
    assert [label["id"] for label in ahead.labels] == [f"shop{n:02d}" for n in range(1, SHOPS + 1)]
    found = shops().series[0]
    assert ahead.labels[0]["timestamps"] == found.timestamps[len(found) : len(found) + 6]
    outputs = torch.zeros(SHOPS, 6 * 3)
    told = task.decode(outputs, ahead.batch)[0]
    assert told["values"]["sales"] == pytest.approx([found.values_TC[-14:].mean()] * 6, rel=1e-4)
    future = ahead.batch.inputs[0, 2:, 14:28].reshape(-1, 2)[:6].numpy()
    known = (found.future_LK[len(found) : len(found) + 6] - task.scaling.future[0]) / task.scaling.future[1]
    assert np.allclose(future, known, atol=1e-5)


def test_covariates_ahead_may_come_from_a_file_of_their_own(tmp_path, table):
    bare = tmp_path / "bare.csv"
    bare.write_text(panel_csv(shops(), ahead=False), encoding="utf-8")
    reader = reader_of(own_panel(bare))
    with pytest.raises(DataError, match=r"promo, price at the 6 steps ahead of series 'shop01' .*--future-values"):
        reader.encode_ahead()
    lines = ["shop,day,promo,price"]
    for series in shops().series:
        for day, (promo, price) in zip(
            series.timestamps[-PLANNED - 5 :], series.future_LK[-PLANNED - 5 :], strict=True
        ):
            lines.append(f"{series.id},{day},{promo},{price}")
    plan = tmp_path / "plan.csv"
    plan.write_text("\n".join(lines), encoding="utf-8")
    from_plan, from_table = reader.encode_ahead(None, plan), reader_of(own_panel(table)).encode_ahead()
    assert torch.equal(from_plan.batch.inputs, from_table.batch.inputs)
    assert torch.equal(reader.encode_ahead(table).batch.inputs, from_table.batch.inputs)
    plan.write_text("\n".join([lines[0], *(line for line in lines[1:] if "shop03" not in line)]), encoding="utf-8")
    with pytest.raises(DataError, match=r"series 'shop03' .* lacks 6 of them"):
        reader.encode_ahead(None, plan)


def test_an_unknown_static_value_is_named(tmp_path, table):
    path = tmp_path / "new.csv"
    path.write_text(table.read_text(encoding="utf-8").replace(",station", ",airport"), encoding="utf-8")
    with pytest.raises(DataError, match="unknown value of static column 'kind' 'airport'"):
        reader_of(own_panel(table)).encode_ahead(path)


def test_a_series_that_train_does_not_have_is_scaled_by_its_own_values(table):
    task = own_panel(table)
    (series, *_) = shops().series
    found = replace(shops(), series=(replace(series, id="new", values_TC=1000 * series.values_TC),))
    scaled, unknown = task.scaling.apply(found, 14)
    assert not unknown
    assert abs(scaled.values_TC[:14].mean()) < 1e-3
