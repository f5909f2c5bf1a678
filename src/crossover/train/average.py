"""Which weights a run scores and keeps: those just trained, or an average of several."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Kept:
    """The weights just trained. A subclass averages them after each step or before each validation."""

    def __init__(self, model: nn.Module) -> None:
        self.trained = model
        self.model = model
        """What validation scores."""

    def after_step(self) -> None:
        """The optimiser has moved the trained weights."""

    def before_validation(self) -> None:
        """`model` is about to be scored."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds, besides the trained weights."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Stand where `state` was given."""


class MovingAverage(Kept):
    """An exponential moving average over all steps, from the weights after the first one on."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self._average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.model = self._average.module

    def after_step(self) -> None:
        """The average moves by 1 - decay towards the trained weights."""
        self._average.update_parameters(self.trained)

    def state(self) -> dict[str, Tensor]:
        """The average and how many steps are in it."""
        return dict(self._average.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See `Kept`."""
        self._average.load_state_dict(state)


class MeanOfLast(Kept):
    """The mean of the weights at the last `count` validations, or at those there have been (Vaswani et al. 2017,
    arXiv 1706.03762, section 6.1, of checkpoints). It takes the memory of `count` + 1 models.
    """

    def __init__(self, model: nn.Module, count: int) -> None:
        super().__init__(model)
        self.model = deepcopy(model)
        self._last: deque[list[Tensor]] = deque(maxlen=count)

    @torch.no_grad()
    def before_validation(self) -> None:
        """The trained weights take the place of the oldest."""
        self._last.append([weight.detach().clone() for weight in self.trained.parameters()])
        for mean, *weights in zip(self.model.parameters(), *self._last, strict=True):
            mean.copy_(torch.stack(weights).mean(0))
        for ours, theirs in zip(self.model.buffers(), self.trained.buffers(), strict=True):
            ours.copy_(theirs)

    def state(self) -> dict[str, Tensor]:
        """The weights that the mean is of, by their age, the oldest first, and their place."""
        return {
            f"{age}.{place}": weight for age, weights in enumerate(self._last) for place, weight in enumerate(weights)
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See `Kept`."""
        places = sum(1 for _ in self.trained.parameters())
        for age in range(len(state) // places):
            self._last.append([state[f"{age}.{place}"] for place in range(places)])


def kept_weights(model: nn.Module, average: float) -> Kept:
    """By `TrainSettings.average`: a decay below 1, a number of validations, or 0 for no average."""
    if average >= 1:
        return MeanOfLast(model, int(average))
    return MovingAverage(model, average) if average else Kept(model)
