"""Models that transformers wrote: the same hidden states, their own tokenizers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.implementations import BertWordPieceTokenizer
from transformers import BertConfig, BertForMaskedLM, BertModel, GPT2Config, GPT2LMHeadModel, GPT2Model

from crossover import api
from crossover.data.options import DataOptions
from crossover.errors import ConfigError, FolderError
from crossover.inference.checkpoints import checkpoint_folder
from crossover.inference.export import export
from crossover.inference.origins import find_origin, start_from
from crossover.inference.predictor import load
from crossover.models.counting import count_parameters
from crossover.models.mixers.base import Span
from crossover.models.model import build_model
from crossover.models.ports import PerRow, PerStep, Tokens
from crossover.study.contest import prepare_model, read_task
from crossover.train.settings import TrainSettings

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["profit", "loss", "##es", "rose", "fell", "the", "sales", "##s", "of", "."]
SIZES = {"vocab_size": 30, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}


def bert_config(**changes) -> BertConfig:
    given = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "max_position_embeddings": 32,
    }
    return BertConfig(**{**SIZES, **given, **changes})


def gpt2_config(**changes) -> GPT2Config:
    return GPT2Config(**{**SIZES, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 32, **changes})


def draw(model: torch.nn.Module) -> torch.nn.Module:
    """Every parameter drawn, so that no zero bias and no norm of ones hides a mistake."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.copy_(parameter + 0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def write_bert(folder: Path, model: torch.nn.Module | None = None) -> str:
    (model or draw(BertForMaskedLM(bert_config()))).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join([*SPECIALS, *PIECES]) + "\n", encoding="utf-8")
    return f"bert:{folder}"


def write_gpt2(folder: Path, model: torch.nn.Module | None = None) -> str:
    (model or draw(GPT2LMHeadModel(gpt2_config()))).save_pretrained(folder)
    alphabet = {letter: number for number, letter in enumerate("profitlse.Ġa")}
    tokenizer = Tokenizer(models.BPE({**alphabet, "<|endoftext|>": len(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return f"gpt2:{folder}"


WRITERS = {"bert": write_bert, "gpt2": write_gpt2}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    parent = tmp_path_factory.mktemp("checkpoints")
    return {kind: write(parent / kind) for kind, write in WRITERS.items()}


def rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, lengths, and which steps are real."""
    lengths_B = torch.tensor([11, 6, 1])
    ids_BT = torch.randint(0, 12, (3, 11), generator=torch.Generator().manual_seed(1))
    return ids_BT, lengths_B, torch.arange(11) < lengths_B[:, None]


def hidden(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Our hidden states of `rows`, and those of the padding's complement."""
    origin = find_origin(name)
    inputs, outputs = Tokens(vocabulary=origin.vocabulary.size), PerStep(size=origin.vocabulary.size)
    model = build_model(origin.settings, inputs, outputs, causal=origin.causal, seed=5).eval()
    start_from(model, origin)
    ids_BT, lengths_B, real_BT = rows()
    with torch.no_grad():
        x_BTD, _ = model.backbone(model.embedding(ids_BT, None, 0), None, Span(lengths_B=lengths_B, carry=False))
    return x_BTD[real_BT], real_BT


def theirs(name: str) -> torch.Tensor:
    kind, _, folder = name.partition(":")
    model = {"bert": BertModel, "gpt2": GPT2Model}[kind].from_pretrained(folder).eval()
    ids_BT, _, real_BT = rows()
    with torch.no_grad():
        return model(input_ids=ids_BT, attention_mask=real_BT.long()).last_hidden_state[real_BT]


@pytest.mark.parametrize("kind", WRITERS)
def test_hidden_states_are_those_of_transformers(saved, kind):
    ours, _ = hidden(saved[kind])
    torch.testing.assert_close(ours, theirs(saved[kind]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_other_activations_and_norms_are_read(tmp_path, activation):
    model = draw(BertModel(bert_config(hidden_act=activation, layer_norm_eps=1e-3)))
    name = write_bert(tmp_path / "bert", model)
    torch.testing.assert_close(hidden(name)[0], theirs(name), rtol=1e-5, atol=1e-5)
    inner = draw(GPT2Model(gpt2_config(activation_function=activation, n_inner=32)))
    name = write_gpt2(tmp_path / "gpt2", inner)
    torch.testing.assert_close(hidden(name)[0], theirs(name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_of_gpt2_predicts_as_it_did(tmp_path, tied):
    name = write_gpt2(tmp_path, draw(GPT2LMHeadModel(gpt2_config(tie_word_embeddings=tied))))
    origin = find_origin(name)
    size = origin.vocabulary.size
    model = build_model(origin.settings, Tokens(vocabulary=size), PerStep(size=size), causal=True, seed=5).eval()
    assert start_from(model, origin).anew == ()
    reference = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    ids_BT = rows()[0][:1]
    with torch.no_grad():
        ours, expected = model(ids_BT)[0], reference(input_ids=ids_BT).logits[..., :size]
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", WRITERS)
def test_costs_count_its_parameters_exactly(saved, kind):
    origin = find_origin(saved[kind])
    ports = Tokens(vocabulary=origin.vocabulary.size), PerRow(size=3)
    model = build_model(origin.settings, *ports, causal=False, seed=0)
    counted = count_parameters(origin.settings, *ports, causal=False).total
    assert counted == sum(parameter.numel() for parameter in model.parameters())


def test_its_own_tokenizer_reads_the_texts(saved):
    bert, gpt2 = (find_origin(saved[kind]).vocabulary for kind in WRITERS)
    assert bert.encode(["Profits ROSE", "[MASK]"]) == [[2, 5, 12, 8, 3], [2, 1, 1, 1, 3]]
    assert bert.encode_gaps("profit [MASK] .") == [2, 5, bert.mask, 14, 3]
    assert bert.encode_gaps("[MASK] \ud800") == [2, bert.mask, bert.unknown, 3]
    assert bert.decode([2, 5, 12, 8, 3]) == "profits rose"
    assert (bert.unknown, bert.mask, bert.special) == (1, 4, frozenset(range(5)))
    assert gpt2.encode(["to a"]) == [[5, 2, 10, 11]]
    assert gpt2.mask == gpt2.unknown == 12


def test_texts_are_read_whole_whatever_its_tokenizer_was_saved_with(tmp_path):
    name = write_bert(tmp_path)
    tokenizer = BertWordPieceTokenizer(str(tmp_path / "vocab.txt"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert find_origin(name).vocabulary.encode(["profit rose the", "."]) == [[2, 5, 8, 10, 3], [2, 14, 3]]


def write_table(folder: Path) -> Path:
    path = folder / "news.csv"
    moves = (("rose", "up"), ("fell", "down"))
    padded = [f"{'the ' * (i // 8)}{'of ' * (i % 8)}." for i in range(40)]
    said = [f"profit {move} {rest},{label}" for rest in padded for move, label in moves]
    path.write_text("\n".join(["text,label", *said]), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", WRITERS)
def test_it_is_fine_tuned_and_predicts_without_its_folder(kind, tmp_path):
    name = WRITERS[kind](tmp_path / kind)
    data = DataOptions(data=str(write_table(tmp_path)), settings={"max_length": 32})
    settings = TrainSettings(budget="2steps", batch=8)
    given = {"data": data, "settings": settings, "device": "cpu", "precision": "fp32"}
    record = api.train("text-classification", name, out=tmp_path / "run", **given)
    assert record.model == name
    assert record.dropout == 0.1
    assert record.start["anew"] == ("head.project.weight", "head.project.bias")
    for file in (tmp_path / kind).iterdir():
        file.unlink()
    (prediction,) = load(tmp_path / "run").predict(["profit rose"])
    assert prediction["label"] in ("up", "down")
    export(tmp_path / "run", to="safetensors", out=tmp_path / "copy")
    assert load(tmp_path / "copy").predict(["profit rose"]) == [prediction]


def test_a_run_goes_on_from_one_that_was_a_checkpoint(saved, tmp_path):
    data = DataOptions(data=str(write_table(tmp_path)), settings={"max_length": 32})
    given = {"data": data, "settings": TrainSettings(budget="1steps"), "device": "cpu", "precision": "fp32"}
    api.train("text-classification", saved["bert"], out=tmp_path / "first", **given)
    name = f"{saved['bert']}[from={tmp_path / 'first'}]"
    record = api.train("text-classification", name, out=tmp_path / "second", **given)
    assert record.start["origin"] == str(tmp_path / "first")


def test_a_text_longer_than_its_positions_is_refused(saved, tmp_path):
    task = read_task("text-classification", DataOptions(data=str(write_table(tmp_path))), (saved["bert"],))
    with pytest.raises(ConfigError, match=r"256 steps, more than the 32 positions.*task.max_length"):
        prepare_model(saved["bert"], task.spec)


def change(folder: Path, **values) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **values}), encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "values", "sentence"),
    [
        ("bert", {"model_type": "gpt2"}, "model_type 'gpt2', not 'bert': write gpt2:PATH"),
        ("bert", {"model_type": "albert"}, "model_type 'albert', not 'bert': bert or gpt2 can be read"),
        ("bert", {"hidden_act": "silu"}, "activation 'silu': gelu, gelu_new"),
        (
            "bert",
            {"position_embedding_type": "relative_key"},
            "position_embedding_type='relative_key': only 'absolute'",
        ),
        ("bert", {"is_decoder": True}, "is_decoder=True: only False"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True: only False"),
        ("gpt2", {"n_layer": 3}, "holds no whole gpt2 ('h.2.attn.c_attn.weight' is missing)"),
        ("gpt2", {"n_layer": 1}, "more layers than the 1 of config.json"),
        ("bert", {"num_hidden_layers": 1}, "more layers than the 1 of config.json"),
        ("bert", {"hidden_size": "24"}, "hidden_size='24', which is no whole number"),
        ("bert", {"hidden_dropout_prob": "x"}, "hidden_dropout_prob='x', which is no number"),
        ("bert", {"hidden_act": ["gelu"]}, "activation ['gelu']: gelu, gelu_new"),
        ("bert", {"intermediate_size": 41}, "feed_forward.enter.weight is [41, 24], and by its weights [40, 24]"),
        ("gpt2", {"n_inner": 7}, "feed_forward.enter.weight is [7, 24], and by its weights [96, 24]"),
    ],
)
def test_a_configuration_that_we_do_not_compute_is_named(tmp_path, kind, values, sentence):
    name = WRITERS[kind](tmp_path)
    change(tmp_path, **values)
    with pytest.raises((ConfigError, FolderError)) as caught:
        find_origin(name)
    assert sentence in str(caught.value)


def test_missing_files_are_named(tmp_path):
    name = write_bert(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(FolderError, match=r"holds no tokenizer: .*vocab.txt"):
        find_origin(name)
    (tmp_path / "config.json").unlink()
    checkpoint_folder.cache_clear()
    with pytest.raises(FolderError, match=r"holds no config.json"):
        find_origin(name)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    checkpoint_folder.cache_clear()
    with pytest.raises(FolderError, match=r"only pytorch_model.bin, a pickle that could carry code"):
        find_origin(name)


def test_damaged_weights_are_refused(tmp_path):
    name = write_bert(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(FolderError, match="cannot be read"):
        find_origin(name)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("vocab.txt", b""),
        ("vocab.txt", b"profit\nloss\n"),
        ("vocab.txt", b"\xff\xfe"),
        ("tokenizer.json", b"\xff\xfe"),
        ("tokenizer.json", b"{}"),
    ],
)
def test_a_damaged_tokenizer_is_refused(tmp_path, file, content):
    name = write_bert(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(FolderError, match="tokenizer"):
        find_origin(name)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    name = write_bert(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, *(f"w{i}" for i in range(40))]), encoding="utf-8")
    with pytest.raises(FolderError, match="its tokenizer has 45 ids and its model 30"):
        find_origin(name)


def test_a_path_that_is_no_folder_is_refused_without_the_network():
    with pytest.raises(FolderError, match="is no folder"):
        find_origin("bert:./nowhere/at/all")
