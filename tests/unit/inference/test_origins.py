"""Starting from a trained model: what is taken, in both families, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch

from crossover import api
from crossover.data.options import DataOptions
from crossover.errors import CheckpointError, ConfigError, FolderError
from crossover.inference.origins import borrowed_vocabulary, find_origin, start_from, with_origins
from crossover.inference.predictor import load
from crossover.inference.saved import SavedModel, load_model, save_model
from crossover.models.mixers.base import Span
from crossover.models.model import build_model
from crossover.models.ports import PerRow, Tokens
from crossover.models.presets import parse_model
from crossover.study.contest import enter, origin_note, prepare_model, read_task
from crossover.tasks import TASKS
from crossover.tasks.text.headlines import generate_headlines
from crossover.train.settings import TrainSettings
from crossover.train.tune import proposals

SMALL = {"width": 16, "layers": 2, "dropout": 0.0, "max_length": 300}
MASKED = [
    "lstm",
    "gru",
    "elman",
    "mingru",
    "linear-attention",
    "convolution",
    "transformer",
    "bert",
    "lstm+attention",
]
CAUSAL = ["gpt", "lstm", "mingru", "linear-attention", "window-transformer", "lstm+attention"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "news.txt"
    drawn = generate_headlines(200, seed=1)
    path.write_text("\n".join(row.text for row in drawn), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pretraining(texts):
    """The two tasks that models are pre-trained on."""
    causal = DataOptions(data=str(texts), settings={"units": "subwords", "vocabulary": 300, "block": 8})
    return {
        "masked-language-modeling": TASKS.get("masked-language-modeling")(DataOptions(data=str(texts))),
        "language-modeling": TASKS.get("language-modeling")(causal),
    }


@pytest.fixture(scope="module")
def pretrained(pretraining, tmp_path_factory):
    """Writes the folder of a small model with weights of its own, as a run would leave it."""
    parent = tmp_path_factory.mktemp("runs")

    def write(name: str, family: str = "masked-language-modeling"):
        folder = parent / f"{family}-{name}"
        if not folder.exists():
            task = pretraining[family]
            settings = prepare_model(name, task.spec, SMALL)
            model = build_model(settings, task.spec.inputs, task.spec.outputs, causal=task.spec.causal, seed=9)
            save_model(folder, model.state_dict(), SavedModel.of(task.spec, settings, task.artifacts()))
        return folder

    return write


def headlines(*models: str):
    return read_task("sentiment/headlines", DataOptions(), models)


def hidden(model, ids: torch.Tensor) -> torch.Tensor:
    x_BTD, _ = model.backbone(model.embedding(ids, None, 0), None, Span(carry=False))
    return x_BTD


@pytest.mark.parametrize(
    ("name", "family"),
    [*((name, "masked-language-modeling") for name in MASKED), *((name, "language-modeling") for name in CAUSAL)],
)
def test_embedding_and_blocks_compute_what_the_origin_does(pretrained, name, family):
    folder = pretrained(name, family)
    named = f"{name}[from={folder}]"
    task = headlines(named)
    settings = prepare_model(named, task.spec)
    origin = find_origin(str(folder))
    assert settings.causal == origin.causal == (family == "language-modeling")
    assert (settings.width, settings.layers) == (16, 2)
    model = build_model(settings, task.spec.inputs, task.spec.outputs, causal=task.spec.causal, seed=1)
    start = start_from(model, origin)
    assert start.anew == ("head.project.weight", "head.project.bias")
    theirs = build_model(origin.settings, task.spec.inputs, origin.outputs, causal=origin.causal, seed=2)
    theirs.load_state_dict(dict(origin.weights))
    ids = torch.randint(4, origin.vocabulary.size, (3, 7), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(hidden(model.eval(), ids), hidden(theirs.eval(), ids), rtol=1e-5, atol=1e-5)


def test_the_task_reads_by_the_vocabulary_of_the_origin(pretrained):
    folder = pretrained("lstm")
    task = headlines(f"lstm[from={folder}]")
    assert task.reader.vocabulary.to_json() == find_origin(str(folder)).vocabulary.to_json()
    size = task.reader.vocabulary.size
    assert f"Texts are read by the vocabulary of {folder} ({size} units)." in task.spec.notes
    assert task.artifacts()["vocabulary"] == task.reader.vocabulary.to_json()


def test_a_head_over_the_same_vocabulary_is_taken_too(pretraining, pretrained):
    spec = pretraining["masked-language-modeling"].spec
    folder = pretrained("transformer")
    settings = prepare_model(f"transformer[from={folder}]", spec)
    model = build_model(settings, spec.inputs, spec.outputs, causal=False, seed=1)
    assert start_from(model, find_origin(str(folder))).anew == ()


def test_features_that_the_origin_lacks_are_new(pretrained):
    origin = find_origin(str(pretrained("lstm")))
    inputs = Tokens(vocabulary=origin.vocabulary.size, features={"tags": 12})
    model = build_model(origin.settings, inputs, PerRow(size=3), causal=False, seed=1)
    assert "embedding.features.tags.weight" in start_from(model, origin).anew


def test_a_search_leaves_the_origins_depth_alone(pretrained):
    name = f"lstm[from={pretrained('lstm')}]"
    spec = headlines(name).spec
    for chosen in (name, name.replace("]", ",fresh=true]")):
        tried = proposals(spec, prepare_model(chosen, spec), TrainSettings(), 6, 0)
        assert {(model.layers, model.width) for model, _ in tried} == {(2, 16)}
        assert len({model.dropout for model, _ in tried}) > 1


def test_a_note_says_what_is_taken(pretrained):
    folder = pretrained("lstm")
    started, fresh = f"lstm[from={folder}]", f"lstm[from={folder},fresh=true]"
    spec = headlines(started).spec
    note = origin_note(prepare_model(started, spec), spec)
    assert note.startswith(f"{started} starts from {folder}: ")
    assert note.endswith("weights are taken, new are head.project.weight and head.project.bias.")
    assert origin_note(prepare_model(fresh, spec), spec) == f"{fresh} has the sizes of {folder}, and new weights."
    assert origin_note(prepare_model("lstm", spec), spec) is None


def test_matching_leaves_the_origins_sizes_alone(pretrained):
    started = f"lstm[from={pretrained('lstm')}]"
    task = headlines(started)
    contest = enter(task, ("transformer[width=32]", started), "params", lambda model: 0.0)
    assert [model.width for model in contest.models] == [32, 16]


def test_an_origin_is_read_anew_when_its_weights_change(pretrained, tmp_path):
    source = pretrained("lstm")
    for name in ("artifacts.json", "model.safetensors"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    before = find_origin(str(tmp_path)).weights["head.project.bias"]
    model, saved = load_model(tmp_path)
    save_model(tmp_path, {**model.state_dict(), "head.project.bias": before + 1}, saved)
    assert torch.equal(find_origin(str(tmp_path)).weights["head.project.bias"], before + 1)


def refused(name: str, task: str = "sentiment/headlines", **options) -> str:
    with pytest.raises(ConfigError) as caught:
        prepare_model(name, read_task(task, DataOptions(**options), (name,)).spec)
    return str(caught.value)


def test_another_model_than_the_origin_is_refused(pretrained):
    folder = pretrained("transformer")
    assert "which is a transformer: name that model" in refused(f"lstm[from={folder}]")
    assert "layers is 3, but" in refused(f"transformer[layers=3,from={folder}]")
    assert "heads is 2, but" in refused(f"transformer[heads=2,from={folder}]")


def test_another_kind_of_task_is_refused(pretrained):
    folder = pretrained("transformer")
    assert f"no model can start from {folder} on task 'recall'" in refused(
        f"transformer[from={folder}]", task="recall"
    )
    said = refused(f"transformer[from={folder}]", task="language-modeling/python-docs")
    assert "sees the steps after each one, which language-modeling/python-docs hides" in said
    said = refused(f"transformer[from={folder}]", task="translation/names")
    assert f"no model can start from {folder} on task 'translation/names'" in said


def test_questions_are_read_by_the_vocabulary_of_the_origin_and_their_features_are_new(pretrained):
    named = f"transformer[from={pretrained('transformer')}]"
    task = read_task("qa/stories", DataOptions(), [named])
    origin = find_origin(str(pretrained("transformer")))
    assert task.reader.vocabulary.to_json() == origin.vocabulary.to_json()
    settings = prepare_model(named, task.spec)
    model = build_model(settings, task.spec.inputs, task.spec.outputs, causal=False, seed=1)
    features = {f"embedding.features.{name}.weight" for name in ("part", "distance", "place")}
    assert set(start_from(model, origin).anew) == {*features, "head.project.weight", "head.project.bias"}


def test_a_recurrence_in_one_direction_is_no_start_for_one_in_both(pretrained):
    folder = pretrained("lstm", "language-modeling")
    assert "cannot start from" in refused(f"lstm[causal=false,from={folder}]")


def test_settings_of_a_vocabulary_are_refused_beside_an_origin(pretrained):
    name = f"lstm[from={pretrained('lstm')}]"
    assert "units cannot be set" in refused(name, settings={"units": "characters"})


def test_texts_longer_than_the_learned_positions_are_refused(pretrained):
    name = f"bert[from={pretrained('bert')}]"
    task = read_task("sentiment/headlines", DataOptions(settings={"max_length": 400}), (name,))
    with pytest.raises(ConfigError, match=r"400 steps.*--set task.max_length=N"):
        prepare_model(name, task.spec)


def test_origins_of_two_vocabularies_are_refused(pretrained):
    names = [f"lstm[from={pretrained('lstm')}]", f"lstm[from={pretrained('lstm', 'language-modeling')}]"]
    with pytest.raises(ConfigError, match="have different vocabularies"):
        borrowed_vocabulary(names)
    assert borrowed_vocabulary(["lstm", "transformer"]) is None


def test_a_model_without_texts_is_no_origin(tmp_path):
    task = TASKS.get("parity")(DataOptions())
    settings = parse_model("lstm[width=8,layers=1]")
    model = build_model(settings, task.spec.inputs, task.spec.outputs, causal=True, seed=0)
    save_model(tmp_path, model.state_dict(), SavedModel.of(task.spec, settings, task.artifacts()))
    with pytest.raises(ConfigError, match="trained on parity, which reads no single text"):
        find_origin(str(tmp_path))
    with pytest.raises(FolderError, match="holds no finished run"):
        find_origin(str(tmp_path / "nowhere"))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        find_origin(str(tmp_path))


def test_fresh_without_an_origin_is_refused():
    with pytest.raises(ConfigError, match="name the model by from=RUN"):
        parse_model("lstm[fresh=true]")


def test_models_are_joined_with_the_origins_of_their_kind(pretrained):
    lstm, transformer = pretrained("lstm"), pretrained("transformer")
    entered = with_origins(["gru", "lstm[dropout=0.1]", "transformer"], [str(transformer), str(lstm)])
    assert entered == [
        "gru",
        f"lstm[dropout=0.1,from={lstm}]",
        f"lstm[dropout=0.1,from={lstm},fresh=true]",
        f"transformer[from={transformer}]",
        f"transformer[from={transformer},fresh=true]",
    ]
    with pytest.raises(ConfigError, match="--models names none"):
        with_origins(["gru"], [str(lstm)])
    with pytest.raises(ConfigError, match="has an origin in its brackets"):
        with_origins([f"lstm[from={lstm}]"], [str(lstm)])
    with pytest.raises(ConfigError, match="are both a lstm"):
        with_origins(["lstm"], [str(lstm), str(lstm)])


def test_a_run_that_started_from_another_says_so_and_predicts_without_it(pretrained, tmp_path, monkeypatch):
    folder = pretrained("lstm")
    settings = TrainSettings(budget="2steps", batch=8)
    name = f"lstm[from={folder}]"
    record = api.train(
        "sentiment/headlines", name, out=tmp_path / "run", settings=settings, device="cpu", precision="fp32"
    )
    assert record.start["origin"] == str(folder)
    assert record.start["anew"] == ("head.project.weight", "head.project.bias")
    assert "embedding.tokens.weight" in record.start["taken"]
    written = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert written["start"]["origin"] == str(folder)
    monkeypatch.setattr("crossover.inference.origins.find_origin", lambda name: pytest.fail("the origin was read"))
    (prediction,) = load(tmp_path / "run").predict(["profit rose"])
    assert prediction["label"] in ("negative", "neutral", "positive")


def test_a_comparison_has_a_model_beside_its_twin(pretrained, tmp_path):
    models = with_origins(["lstm"], [str(pretrained("lstm"))])
    study = api.compare(
        ["sentiment/headlines"],
        models,
        out=tmp_path / "study",
        seeds=1,
        train=TrainSettings(budget="2steps", batch=8),
        device="cpu",
        precision="fp32",
        memory=False,
    )
    rows = {row["model"]: row for row in study.document["table"]}
    started, fresh = (rows[name] for name in models)
    assert started["parameters"] == fresh["parameters"]
    notes = study.document["tasks"]["sentiment/headlines"]["notes"]
    assert any("starts from" in note for note in notes)
    assert any("and new weights" in note for note in notes)
    assert f"from={pretrained('lstm')}" in started["command"]
