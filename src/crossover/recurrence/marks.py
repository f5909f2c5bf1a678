"""Steps that are not like the others: those that start anew, and those that change nothing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crossover.recurrence.cells import Linearised, State


class Marks(NamedTuple):
    """`starts_BT`: before such a step the state is zero. `holds_BT`: such a step leaves the state as it was."""

    starts_BT: Tensor | None = None
    holds_BT: Tensor | None = None

    def steps(self, some: slice) -> Marks:
        """Those of some steps."""
        return Marks(*(part if part is None else part[:, some] for part in self))

    def rows(self, some_R: Tensor) -> Marks:
        """Those of some rows."""
        return Marks(*(part if part is None else part[some_R] for part in self))

    def before(self, states_KBTN: Tensor, boundary_KBN: Tensor) -> Tensor:
        """The state before every step, from those after them and that before the first."""
        shifted_KBTN = torch.cat([boundary_KBN[..., None, :], states_KBTN[..., :-1, :]], dim=-2)
        return shifted_KBTN if self.starts_BT is None else shifted_KBTN.masked_fill_(self.starts_BT[..., None], 0)

    def linearised(self, found: Linearised, state: State) -> Linearised:
        """A cell linearised at `state`, the states before the steps, as these steps are."""
        if self.starts_BT is not None:
            jacobian_KKBTN = found.jacobian_KKSN.masked_fill(self.starts_BT[..., None], 0)
            found = found._replace(jacobian_KKSN=jacobian_KKBTN)
        if self.holds_BT is not None:
            held_BT1 = self.holds_BT[..., None]
            like = found.jacobian_KKSN
            unit_KK = torch.eye(len(like), dtype=like.dtype, device=like.device)[:, :, None, None, None]
            found = found._replace(
                value=tuple(torch.where(held_BT1, old, new) for old, new in zip(state, found.value, strict=True)),
                jacobian_KKSN=torch.where(held_BT1, unit_KK, found.jacobian_KKSN),
            )
        return found

    def recurrence(self, a_KBTN: Tensor, b_KBTN: Tensor) -> tuple[Tensor, Tensor]:
        """The recurrence h_t = a h_{t-1} + b as these steps are."""
        if self.starts_BT is not None:
            a_KBTN = a_KBTN.masked_fill(self.starts_BT[..., None], 0)
        if self.holds_BT is not None:
            held_BT1 = self.holds_BT[..., None]
            a_KBTN, b_KBTN = a_KBTN.masked_fill(held_BT1, 1), b_KBTN.masked_fill(held_BT1, 0)
        return a_KBTN, b_KBTN

    def felt(self, mu_KBTN: Tensor) -> Tensor:
        """Of a gradient of the states after the steps, what reaches inputs and weights."""
        return mu_KBTN if self.holds_BT is None else mu_KBTN.masked_fill(self.holds_BT[..., None], 0)

    @property
    def marked(self) -> bool:
        """Whether there are any."""
        return self.starts_BT is not None or self.holds_BT is not None

    def entering(self, number: int, state: State) -> State:
        """The state that step `number` begins with."""
        if self.starts_BT is None:
            return state
        return tuple(part.masked_fill(self.starts_BT[:, number, None], 0) for part in state)

    def after(self, number: int, before: State, stepped: State) -> State:
        """The state after step `number`."""
        if self.holds_BT is None:
            return stepped
        held_B1 = self.holds_BT[:, number, None]
        return tuple(torch.where(held_B1, old, new) for old, new in zip(before, stepped, strict=True))
