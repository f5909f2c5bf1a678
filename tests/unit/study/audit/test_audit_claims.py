from pathlib import Path

import pytest

from crossover.errors import ConfigError
from crossover.study.audit.claim import Claim, built_in_claims, find_claims, load_claim

OWN = """
id = "mine"
statement = "A GRU's parameters do not grow"
experiments = ["parameters"]
rule = "constant"

[parameters]
measure = "parameters"
subjects = ["gru"]

[quick.parameters]
models = ["gru"]
lengths = [8, 16]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_claims_stand_in_the_order_of_their_numbers() -> None:
    numbers = [int(name.removeprefix("C")) for name in built_in_claims()]
    assert numbers == sorted(numbers) and {1, 2, 3, 4, 5, 9, 10, 12, 13, 14, 18, 33, 36, 39, 49} <= set(numbers)


@pytest.mark.parametrize("level", ["quick", "full"])
def test_every_built_in_claim_can_be_measured_and_decided(level: str) -> None:
    assert [claim.id for claim in find_claims([], level)] == list(built_in_claims())


def test_the_numbers_that_decide_are_fixed_in_the_claims() -> None:
    claims = built_in_claims()
    assert {**claims["C1"].parameters}.items() >= {"distance": 100, "vanishes": 1e-3, "explodes": 1e3}.items()
    assert claims["C2"].parameters["factor"] == 100
    assert [claims["C4"].parameters[key] for key in ("low", "high", "widest")] == [0.9, 1.1, 0.1]
    assert [claims["C9"].parameters[key] for key in ("low", "high")] == [0.9, 1.1]
    assert claims["C33"].parameters["threshold"] == 0.99
    assert claims["C41"].parameters["margin"] == 0.05


def test_a_claim_of_ones_own_is_read_with_its_settings(tmp_path: Path) -> None:
    claim = find_claims([str(write(tmp_path, OWN))], "quick")[0]
    assert claim.id == "mine"
    assert claim.settings("parameters", "quick").lengths == (8, 16)
    assert len([line for line in OWN.splitlines() if line]) <= 20


def test_settings_of_either_level_are_told_once_and_a_level_may_differ(tmp_path: Path) -> None:
    text = OWN.replace("[quick.parameters]", "[both.parameters]") + "\n[full.parameters]\nlengths = [32, 64]\n"
    (claim,) = find_claims([str(write(tmp_path, text))], "full")
    assert [claim.settings("parameters", level).lengths for level in ("quick", "full")] == [(8, 16), (32, 64)]
    assert {claim.settings("parameters", level).models for level in ("quick", "full")} == {("gru",)}


def test_an_id_may_be_written_in_small_letters() -> None:
    assert find_claims(["c5"], "quick")[0].id == "C5"


def test_an_unknown_claim_is_refused_with_the_nearest_or_with_all() -> None:
    with pytest.raises(ConfigError, match="unknown claim 'C05': did you mean 'C5'"):
        find_claims(["C05"], "quick")
    with pytest.raises(ConfigError, match="C33"):
        find_claims(["folklore"], "quick")


def test_a_claim_given_twice_or_an_unknown_level_is_refused() -> None:
    with pytest.raises(ConfigError, match="'C5' is given twice"):
        find_claims(["C5", "c5"], "quick")
    with pytest.raises(ConfigError, match="unknown level"):
        find_claims(["C5"], "slow")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('rule = "constant"', "", "lacks 'rule': use constant"),
        ('rule = "constant"', 'rule = "constnat"', "did you mean 'constant'"),
        ('experiments = ["parameters"]', 'experiments = ["paramters"]', "did you mean 'parameters'"),
        ('experiments = ["parameters"]', "experiments = []", "names no experiment: use parameters"),
        ('statement = "A GRU\'s parameters do not grow"', "", "lacks 'statement'"),
        ('subjects = ["gru"]', 'subjets = ["gru"]', "did you mean 'mine.parameters.subjects'"),
        ('subjects = ["gru"]', 'subjects = ["lstm"]', "unknown model 'lstm'"),
        ('measure = "parameters"', 'measure = "time"', "reads 'time'.*give parameters"),
        ("lengths = [8, 16]", "lengths = [16, 8]", "increasing order"),
        ("lengths = [8, 16]", "length = 8", "did you mean 'mine.quick.parameters.lengths'"),
        ('models = ["gru"]', 'models = ["grue"]', "unknown model 'grue'"),
        ("[quick.parameters]", "[quick.memory]", "unknown experiment in its settings 'memory'"),
        ("[quick.parameters]", "[both.memory]", "unknown experiment in its settings 'memory'"),
        ('id = "mine"', 'id = "../mine"', "names a file"),
    ],
)
def test_a_claim_that_cannot_be_is_refused_before_anything_is_measured(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert old in OWN
    with pytest.raises(ConfigError, match=sentence):
        find_claims([str(write(tmp_path, OWN.replace(old, new)))], "quick")


def test_a_missing_or_malformed_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_claim(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_claim(write(tmp_path, "id ="))


def test_settings_of_one_level_leave_the_other_alone() -> None:
    claim = Claim(
        id="x",
        statement="x",
        experiments=("parameters",),
        rule="constant",
        parameters={"measure": "parameters"},
        quick={"parameters": {"lengths": [8, 16]}},
    )
    assert claim.settings("parameters", "quick").lengths == (8, 16)
    assert claim.settings("parameters", "full").lengths[-1] == 4096
