from __future__ import annotations

import json
import subprocess
import sys

import pytest

from crossover.cli import main

SMALL = ["plan", "gpt[layers=8,width=512,heads=8]", "--length", "512", "--batch", "32"]
CONFIG = {
    "model_type": "llama",
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "num_hidden_layers": 8,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("crossover: ") and "\n" not in told
    return told


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    return json.loads(said(capsys, *arguments, "--json"))


def test_the_first_line_says_everything_that_was_assumed(capsys):
    first = said(capsys, *SMALL, "--devices", "8").splitlines()[0]
    for part in (
        "gpt[layers=8,width=512,heads=8]",
        "32 rows of 512 steps",
        "bf16",
        "8 x NVIDIA H100",
        "nvlink 343 GB/s (8)",
    ):
        assert part in first


def test_a_document_has_the_fields_of_the_interface(capsys):
    found = document(capsys, *SMALL, "--devices", "8", "--top", "3")
    assert {"model", "parameters", "hardware", "layouts", "rejected", "sweep", "crossings"} <= found.keys()
    assert len(found["layouts"]) == 3 and found["sweep"] is None
    for layout in found["layouts"]:
        assert layout["step_seconds"]["low"] < layout["step_seconds"]["value"] < layout["step_seconds"]["high"]
        assert layout["parts"].keys() == {"parameters", "gradients", "optimizer", "activations", "buffers"}
        assert layout["peak_bytes"] == pytest.approx(sum(layout["parts"].values()))
        assert all({"operation", "axis", "count", "bytes"} == set(sent) for sent in layout["traffic"])
        assert layout["fits"] and layout["layout"]["data"] >= 1


def test_what_is_pinned_stays_and_the_rest_is_searched(capsys):
    found = document(capsys, *SMALL, "--devices", "8", "--layout", "tensor=2")
    assert {layout["layout"]["tensor"] for layout in found["layouts"]} == {2}
    assert len({layout["layout"]["data"] for layout in found["layouts"]}) > 1


def test_what_does_not_fit_is_listed_with_what_is_missing(capsys):
    found = document(capsys, *SMALL, "--devices", "8", "--memory", "300MB")
    assert any("more than the 0.3 GB" in reason for entry in found["rejected"] for reason in entry["reasons"])


def test_where_nothing_fits_the_answer_says_what_is_missing(capsys):
    assert (
        "no layout of 2 devices fits" in refused(capsys, *SMALL, "--devices", "2", "--memory", "1MB").splitlines()[-1]
    )


def test_every_term_of_the_best_layout_is_explained(capsys):
    told = said(capsys, *SMALL, "--devices", "8", "--why")
    for name in ("feed-forward", "scores", "head", "update", "step", "memory: activations"):
        assert f"\n{name} " in told


def test_two_families_are_set_beside_one_another_over_devices(capsys):
    found = document(capsys, *SMALL, "--versus", "lstm", "--sweep", "devices=1..8")
    assert [point["devices"] for point in found["sweep"]] == [1, 2, 4, 8] * 2
    assert {point["model"].split("[")[0] for point in found["sweep"]} == {"gpt", "lstm"}


def test_a_configuration_of_another_library_is_planned(tmp_path, capsys):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG), encoding="utf-8")
    found = document(capsys, "plan", str(file), "--devices", "4", "--batch", "32")
    attention, hidden = 1024 * (1024 + 2 * 256) + 1024**2, 3 * 1024 * 2816
    matrices = 8 * (attention + hidden) + 2 * 32000 * 1024
    assert matrices < found["parameters"] < 1.01 * matrices


def test_sizes_override_those_of_the_name(capsys):
    found = document(capsys, *SMALL, "--layers", "2", "--vocabulary", "1000")
    assert found["parameters"] < document(capsys, *SMALL)["parameters"] / 3


def test_a_budget_of_tokens_is_said_in_hours_and_money(capsys):
    told = said(capsys, *SMALL, "--devices", "8", "--tokens", "10B", "--price", "2").splitlines()[-1]
    assert told.startswith("1e+10 tokens take") and "device-hours" in told and "at 2 an hour" in told


@pytest.mark.parametrize(("launch", "begins"), [("torchrun", "torchrun --nnodes 2"), ("slurm", "srun --nodes 2")])
def test_the_lines_that_start_the_best_layout_say_where_hosts_meet_and_the_sizes(launch, begins, capsys):
    asked = ["--layers", "6", "--devices", "2x4", "--launch", launch]
    before, line = said(capsys, *SMALL, *asked).splitlines()[-2:]
    assert line.startswith(begins) and "crossover train TASK" in line and "--layout" in line
    assert "layers=6]'" in line
    assert "--rdzv-endpoint HOST0" in line if launch == "torchrun" else "export MASTER_ADDR=" in before


@pytest.mark.parametrize(
    ("asked", "reason"),
    [(["--precision", "fp8"], "not in fp8"), (["--devices", "12"], "12 devices do not fill hosts of 8")],
)
def test_what_cannot_be_started_here_says_why(asked, reason, capsys):
    told = said(capsys, *SMALL, *asked, "--launch", "torchrun").splitlines()[-1]
    assert told.startswith("this is for planning only: ") and reason in told


def test_a_model_of_a_trillion_parameters_is_planned_without_being_built_and_without_what_trains():
    """In 100 MB above what PyTorch takes by itself; distributed tensors would cost half a second of the start."""
    model = "gpt[layers=128,width=25600,heads=160,tie_embeddings=true]"
    arguments = ["plan", model, "--devices", "64x8", "--length", "2048", "--batch", "512", "--top", "1", "--json"]
    program = (
        "import resource, sys, torch\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "from crossover.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        "print(peak() - before, 'torch.distributed.tensor' in sys.modules, file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    kilobytes, distributed = run.stderr.split()
    assert json.loads(run.stdout)["parameters"] > 1e12
    assert int(kilobytes) < 100_000 and distributed == "False"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--hardware", "h1000"], "unknown hardware"),
        (["--devices", "0"], "--devices '0' is no number of devices"),
        (["--devices", "2x2x2"], "is no number of devices"),
        (["--batch", "0"], "--batch is 0: give 1 or more"),
        (["--length", "-1"], "--length is -1: give 1 or more"),
        (["--width", "0"], "width is 0"),
        (["--devices", "7", "--layout", "data=7"], "no layout of 7 devices can be used: data=7 does not divide"),
        (["--link", "ether=1GB"], "link"),
        (["--link", "intra"], "write NAME=BYTES"),
        (["--sweep", "width=1..8"], "unknown axis 'width'"),
        (["--tokens", "many"], "is no number of tokens"),
        (["--precision", "fp7"], "precision"),
        (["--memory", "7"], "is not an amount"),
        (["--top", "0"], "--top is 0"),
        (["--layout", "tensor=3", "--devices", "3"], "no layout of 3 devices"),
        (["--versus", "lstn"], "did you mean"),
        (["--json", "--why"], "without what --why says"),
        (["--json", "--tokens", "1B"], "without what --tokens says"),
        (["--price", "2"], "add --tokens"),
        (["--pass", "decode", "--launch", "slurm"], "--launch is of a training"),
    ],
)
def test_a_wrong_request_is_one_sentence(arguments, sentence, capsys):
    assert sentence in refused(capsys, *SMALL[:2], *arguments)


def test_a_configuration_of_an_unknown_kind_is_one_sentence(tmp_path, capsys):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**CONFIG, "model_type": "t5"}), encoding="utf-8")
    assert "model_type 't5'" in refused(capsys, "plan", str(file))
    assert "does not exist: give" in refused(capsys, "plan", str(tmp_path / "elsewhere.json"))
    file.write_text(json.dumps({**CONFIG, "hidden_size": "wide"}), encoding="utf-8")
    assert "hidden_size='wide'" in refused(capsys, "plan", str(file))
    file.write_text("[]", encoding="utf-8")
    assert "no configuration" in refused(capsys, "plan", str(file))


def test_a_machine_file_that_contradicts_itself_is_one_sentence(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text(
        'like = "a100-80"\n[rates.bf16]\npeak = [1e12, "mine"]\nachievable = [2e12, "mine"]\n', encoding="utf-8"
    )
    assert "peak" in refused(capsys, *SMALL, "--hardware", str(file))


def test_a_size_that_the_model_has_not_is_refused(capsys):
    assert "unknown setting of model 'lstm' 'heads'" in refused(capsys, "plan", "lstm", "--heads", "4")
