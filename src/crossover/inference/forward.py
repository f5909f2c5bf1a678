"""One batch through a model: what training, evaluation and prediction have in common."""

from __future__ import annotations

from torch import Tensor, nn

from crossover.measure.numerics import Numerics
from crossover.models.mixers.base import Span
from crossover.tasks.base import Batch


def batch_outputs(model: nn.Module, batch: Batch, numerics: Numerics) -> tuple[Tensor, Batch]:
    """The model's outputs in float32, [B, size] or [B, T, size], and `batch` on the model's device.

    The forward pass runs under the numerics policy's autocast. Rows of one length take the unmasked path; lengths
    are read before the batch moves, so a device is never waited for.
    """
    full = bool((batch.lengths_B == batch.inputs.shape[1]).all())
    batch = batch.to(numerics.device) if numerics.device != "cpu" else batch
    span = Span(lengths_B=None if full else batch.lengths_B, carry=False)
    with numerics.autocast():
        outputs, _ = model(batch.inputs, features=batch.features or None, span=span)
    return outputs.float(), batch
