from __future__ import annotations

from functools import partial

import pytest
import torch

from crossover.errors import ConfigError
from crossover.models.mixers.diagonal_elman import DiagonalElmanSettings
from crossover.models.mixers.diagonal_gru import DiagonalGRUSettings
from crossover.models.mixers.diagonal_lstm import DiagonalLSTMSettings
from crossover.models.mixers.elman import ElmanSettings
from crossover.models.mixers.gru import GRUSettings
from crossover.models.mixers.lstm import LSTMSettings
from crossover.testing import behaviour, exactness
from crossover.testing.conformance import check_mixer
from crossover.testing.probes import draw_mixer, draw_rows

DIAGONAL = [DiagonalElmanSettings, DiagonalGRUSettings, DiagonalLSTMSettings]
PAIRS = list(zip(DIAGONAL, [ElmanSettings, GRUSettings, LSTMSettings], strict=True))


@pytest.mark.parametrize("block", [1, 2, 4])
@pytest.mark.parametrize(("diagonal", "dense"), PAIRS)
def test_it_is_the_dense_cell_with_blocks_on_the_diagonal(diagonal, dense, block):
    mixer, whole = draw_mixer(diagonal(width=8, block=block)), draw_mixer(dense(width=8))
    with torch.no_grad():
        whole.rnn.weight_ih_l0.copy_(mixer.projection.weight)
        whole.rnn.bias_ih_l0.copy_(mixer.projection.bias)
        whole.rnn.bias_hh_l0.zero_()
        for gate, blocks in zip(whole.rnn.weight_hh_l0.chunk(diagonal.gates), mixer.weights(0)[0], strict=True):
            gate.copy_(torch.block_diag(*blocks.permute(2, 0, 1)))
    x_BTD = draw_rows(mixer.settings, 50)
    for ours, theirs in zip(mixer(x_BTD), whole(x_BTD), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", [{"solver": "newton"}, {"block": 2}, {"block": 4, "solver": "newton"}], ids=str)
@pytest.mark.parametrize("settings", DIAGONAL)
def test_every_solver_and_every_block_pass_the_conformance_suite(settings, options):
    failed = [result for result in check_mixer(partial(settings, **options)) if not result.passed]
    assert not failed


DENSE_CHECKS = [
    exactness.check_fast_path,
    behaviour.check_chunks,
    behaviour.check_padding,
    behaviour.check_ragged_chunks,
    behaviour.check_resets,
    behaviour.check_strides,
    behaviour.check_empty_batch,
]


@pytest.mark.parametrize("check", DENSE_CHECKS)
@pytest.mark.parametrize("settings", [ElmanSettings, GRUSettings, LSTMSettings])
def test_a_dense_cell_by_newton_is_what_it_is_by_steps(settings, check):
    check(settings(width=6, solver="newton"))


def test_newton_of_a_dense_cell_counts_its_iterations():
    mixer = draw_mixer(GRUSettings(width=6, solver="newton"))
    mixer(draw_rows(mixer.settings, 40))
    assert mixer.tally.solves == 1 and mixer.tally.iterations > 1 and mixer.tally.rows == 4


@pytest.mark.parametrize("settings", DIAGONAL)
def test_auto_takes_short_rows_step_by_step_and_others_as_was_measured(settings):
    mixer = draw_mixer(settings(width=4))
    mixer.fastest = "newton"
    mixer(draw_rows(mixer.settings, 15))
    assert mixer.tally.solves == 0
    mixer(draw_rows(mixer.settings, 16))
    assert mixer.tally.solves == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"solver": "scan"}, "no solver 'scan': use one of auto, sequential, newton"),
        ({"block": 3}, "block=3 of 8 hidden units"),
        ({"block": 8}, "use one of 1, 2, 3, 4"),
        ({"iterations": 0}, "iterations=0"),
        ({"damping": 1.5}, "damping=1.5"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        DiagonalGRUSettings(width=8, **options)


@pytest.mark.parametrize(("settings", "width"), [(GRUSettings, 33), (LSTMSettings, 17)])
def test_a_dense_jacobian_too_large_for_newton_is_refused(settings, width):
    with pytest.raises(ConfigError, match="at most 32 are admissible"):
        settings(width=width, solver="newton")
    assert settings(width=width - 1, solver="newton").solver == "newton"


@pytest.mark.parametrize("block", [1, 2, 3])
def test_blocks_start_orthogonal(block):
    rule = DiagonalGRUSettings(width=6, block=block).build().init_rules["recurrent"]
    values = torch.empty(18, block)
    rule(values, torch.Generator().manual_seed(1))
    for one in values.view(-1, block, block):
        torch.testing.assert_close(one @ one.T, torch.eye(block))
