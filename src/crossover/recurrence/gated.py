"""The cells of Elman networks, GRU and LSTM, whose gates see the h of their own system through a linear map.

With systems of one unit the recurrent matrix is diagonal, with one system of all units it is dense.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from crossover.recurrence.cells import Cell, Linearised, State, Weights, sigmoid_backward, tanh_backward
from crossover.recurrence.marks import Marks


class GatedCell(Cell):
    """Each gate sees its input and a linear map of its own system's h; the first weight is U, [G, k, k, N]."""

    apart: ClassVar[int] = 0
    """How many gates, the last ones, do not simply add the map to what enters; its bias is a weight of the cell."""

    def recurrent(
        self,
        h_kSN: Tensor,
        columns: Sequence[Tensor],
        x_GkSN: Tensor | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        """U h, added to x where that is given, [G, k, S, N]; `columns` are those of U, what each unit of h gives."""
        numbers = h_kSN.unbind(0) if len(columns) > 1 else (h_kSN,)
        first = (columns[0], numbers[0])
        found = torch.mul(*first, out=out) if x_GkSN is None else torch.addcmul(x_GkSN, *first, out=out)
        for column, number in zip(columns[1:], numbers[1:], strict=True):
            found.addcmul_(column, number)
        return found

    def through(self, slopes_GkSN: Sequence[Tensor], u_GkkSN: Tensor) -> Tensor:
        """The derivative by h of what moves with each gate at these slopes: the sum of slope U, [k, k, S, N]."""
        first, *others = zip(slopes_GkSN, u_GkkSN, strict=True)
        found = first[0][:, None] * first[1]
        for slope_kSN, u_kkSN in others:
            found.addcmul_(slope_kSN[:, None], u_kkSN)
        return found

    def of_maps(self, into_maps_GkSN: Tensor, h_kSN: Tensor) -> Tensor:
        """The gradient of U, [G, k, k, N]."""
        return (into_maps_GkSN[:, :, None] * h_kSN).sum((-3, -2))

    def on_diagonal(self, jacobian_kkSN: Tensor, slope_kSN: Tensor) -> Tensor:
        """Add in place what moves a unit with itself."""
        jacobian_kkSN.diagonal(dim1=0, dim2=1).add_(slope_kSN.movedim(0, -1))
        return jacobian_kkSN


class ElmanCell(GatedCell):
    """h_t = tanh(x_t + U h_{t-1})."""

    gates = 1

    def step(self, x_GkSN: Tensor, state: State, weights: Weights) -> State:
        """See `Cell.step`."""
        return (self.recurrent(state[0], weights[0].unbind(2), x_GkSN)[0].tanh(),)

    def march(self, x_GkBTN: Tensor, state: State, weights: Weights, marks: Marks) -> State:
        """See `Cell.march`; where no step is marked, steps are written where they stay."""
        if marks.marked:
            return super().march(x_GkBTN, state, weights, marks)
        (h_kBN,), columns, found_GkBTN = state, weights[0].unbind(2), torch.empty_like(x_GkBTN)
        for x_GkBN, slot_GkBN in zip(x_GkBTN.unbind(3), found_GkBTN.unbind(3), strict=True):
            h_kBN = self.recurrent(h_kBN, columns, x_GkBN, out=slot_GkBN).tanh_()[0]
        return (found_GkBTN[0],)

    def linearise(self, x_GkSN: Tensor, state: State, weights: Weights, after: State | None = None) -> Linearised:
        """See `Cell.linearise`."""
        (h_kSN,) = after or self.step(x_GkSN, state, weights)
        slope_kSN = 1 - h_kSN.square()
        return Linearised((h_kSN,), self.through([slope_kSN], weights[0]), (slope_kSN,))

    def pullback(
        self, found: Linearised, state: State, mu_KSN: Tensor, weights: Weights, into_GkSN: Tensor
    ) -> list[Tensor]:
        """See `Cell.pullback`."""
        torch.mul(mu_KSN, found.kept[0], out=into_GkSN[0])
        return [self.of_maps(into_GkSN, state[0])]


class GRUCell(GatedCell):
    """r, z = sigmoid(x + U h); n = tanh(x_n + r (U_n h + c)); h_t = (1-z) n + z h_{t-1}.

    The second weight, c, [1, k, N], may be left out.
    """

    gates = 3
    apart = 1

    def step(self, x_GkSN: Tensor, state: State, weights: Weights) -> State:
        """See `Cell.step`."""
        h_kSN = state[0]
        r_kSN, z_kSN = self.recurrent(h_kSN, weights[0][:2].unbind(2), x_GkSN[:2]).sigmoid()
        n_kSN = torch.addcmul(x_GkSN[2], r_kSN, self._candidate_map(h_kSN, weights)).tanh()
        return (torch.lerp(n_kSN, h_kSN, z_kSN),)

    def _candidate_map(self, h_kSN: Tensor, weights: Weights) -> Tensor:
        mapped_kSN = self.recurrent(h_kSN, weights[0][2].unbind(1))
        return mapped_kSN + weights[1][0] if len(weights) > 1 else mapped_kSN

    def march(self, x_GkBTN: Tensor, state: State, weights: Weights, marks: Marks) -> State:
        """See `Cell.march`; where no step is marked, all steps share one place for their gates."""
        if marks.marked:
            return super().march(x_GkBTN, state, weights, marks)
        (h_kBN,), found_kBTN = state, torch.empty_like(x_GkBTN[2])
        gates, candidate, offset = weights[0][:2].unbind(2), weights[0][2].unbind(1), weights[1:]
        rz_2kBN, n_kBN = h_kBN.new_empty(2, *h_kBN.shape), h_kBN.new_empty(h_kBN.shape)
        r_kBN, z_kBN = rz_2kBN.unbind(0)
        steps = zip(x_GkBTN[:2].unbind(3), x_GkBTN[2].unbind(2), found_kBTN.unbind(2), strict=True)
        for x_2kBN, x_kBN, slot_kBN in steps:
            self.recurrent(h_kBN, gates, x_2kBN, out=rz_2kBN).sigmoid_()
            self.recurrent(h_kBN, candidate, out=n_kBN)
            if offset:
                n_kBN += offset[0][0]
            torch.addcmul(x_kBN, r_kBN, n_kBN, out=n_kBN).tanh_()
            h_kBN = torch.lerp(n_kBN, h_kBN, z_kBN, out=slot_kBN)
        return (found_kBTN,)

    def linearise(self, x_GkSN: Tensor, state: State, weights: Weights, after: State | None = None) -> Linearised:
        """See `Cell.linearise`."""
        h_kSN = state[0]
        r_kSN, z_kSN = self.recurrent(h_kSN, weights[0][:2].unbind(2), x_GkSN[:2]).sigmoid_()
        mapped_kSN = self._candidate_map(h_kSN, weights)
        n_kSN = torch.addcmul(x_GkSN[2], r_kSN, mapped_kSN).tanh_()
        value = after or (torch.lerp(n_kSN, h_kSN, z_kSN),)
        by_z_kSN = sigmoid_backward(h_kSN - n_kSN, z_kSN)
        by_n_kSN = tanh_backward(1 - z_kSN, n_kSN)
        by_map_kSN = by_n_kSN * r_kSN
        by_r_kSN = sigmoid_backward(mapped_kSN.mul_(by_n_kSN), r_kSN)
        slopes = (by_r_kSN, by_z_kSN, by_map_kSN)
        jacobian_kkSN = self.on_diagonal(self.through(slopes, weights[0]), z_kSN)
        return Linearised(value, jacobian_kkSN, (*slopes, by_n_kSN))

    def pullback(
        self, found: Linearised, state: State, mu_KSN: Tensor, weights: Weights, into_GkSN: Tensor
    ) -> list[Tensor]:
        """See `Cell.pullback`."""
        by_r_kSN, by_z_kSN, by_map_kSN, by_n_kSN = found.kept
        for gate_kSN, slope_kSN in zip(into_GkSN, (by_r_kSN, by_z_kSN, by_n_kSN), strict=True):
            torch.mul(slope_kSN, mu_KSN, out=gate_kSN)
        of_map_kSN = by_map_kSN * mu_KSN
        of_maps = torch.cat([self.of_maps(part, state[0]) for part in (into_GkSN[:2], of_map_kSN[None])])
        return [of_maps, of_map_kSN[None].sum((-3, -2))] if len(weights) > 1 else [of_maps]


class LSTMCell(GatedCell):
    """i, f, o = sigmoid(x + U h); g = tanh(x_g + U_g h); c_t = f c_{t-1} + i g; h_t = o tanh(c_t).

    The gates' order is PyTorch's: i, f, g, o.
    """

    gates = 4
    parts = 2

    def step(self, x_GkSN: Tensor, state: State, weights: Weights) -> State:
        """See `Cell.step`."""
        entering_GkSN = self.recurrent(state[0], weights[0].unbind(2), x_GkSN)
        i_kSN, f_kSN = entering_GkSN[:2].sigmoid()
        c_kSN = torch.addcmul(f_kSN * state[1], i_kSN, entering_GkSN[2].tanh())
        return entering_GkSN[3].sigmoid() * c_kSN.tanh(), c_kSN

    def march(self, x_GkBTN: Tensor, state: State, weights: Weights, marks: Marks) -> State:
        """See `Cell.march`; where no step is marked, all steps share one place for their gates."""
        if marks.marked:
            return super().march(x_GkBTN, state, weights, marks)
        (h_kBN, c_kBN), columns = state, weights[0].unbind(2)
        hidden_kBTN, kept_kBTN = torch.empty_like(x_GkBTN[0]), torch.empty_like(x_GkBTN[0])
        gates_GkBN, shown_kBN = h_kBN.new_empty(4, *h_kBN.shape), h_kBN.new_empty(h_kBN.shape)
        (i_kBN, f_kBN, g_kBN, o_kBN), if_2kBN = gates_GkBN.unbind(0), gates_GkBN[:2]
        steps = zip(x_GkBTN.unbind(3), hidden_kBTN.unbind(2), kept_kBTN.unbind(2), strict=True)
        for x_GkBN, h_slot_kBN, c_slot_kBN in steps:
            self.recurrent(h_kBN, columns, x_GkBN, out=gates_GkBN)
            if_2kBN.sigmoid_()
            g_kBN.tanh_()
            o_kBN.sigmoid_()
            c_kBN = torch.mul(f_kBN, c_kBN, out=c_slot_kBN).addcmul_(i_kBN, g_kBN)
            h_kBN = torch.mul(o_kBN, torch.tanh(c_kBN, out=shown_kBN), out=h_slot_kBN)
        return hidden_kBTN, kept_kBTN

    def linearise(self, x_GkSN: Tensor, state: State, weights: Weights, after: State | None = None) -> Linearised:
        """See `Cell.linearise`."""
        before_kSN = state[1]
        entering_GkSN = self.recurrent(state[0], weights[0].unbind(2), x_GkSN)
        i_kSN, f_kSN = entering_GkSN[:2].sigmoid_()
        g_kSN, o_kSN = entering_GkSN[2].tanh_(), entering_GkSN[3].sigmoid_()
        c_kSN = after[1] if after else torch.addcmul(f_kSN * before_kSN, i_kSN, g_kSN)
        shown_kSN = c_kSN.tanh()
        value = after or (o_kSN * shown_kSN, c_kSN)
        by_i, by_f = sigmoid_backward(g_kSN, i_kSN), sigmoid_backward(before_kSN, f_kSN)
        by_g, by_o = tanh_backward(i_kSN, g_kSN), sigmoid_backward(shown_kSN, o_kSN)
        h_by_c_kSN = tanh_backward(o_kSN, shown_kSN)
        u_GkkSN = weights[0]
        c_by_h = self.through((by_i, by_f, by_g), u_GkkSN[:3])
        h_by_h = torch.addcmul(h_by_c_kSN[:, None] * c_by_h, by_o[:, None], u_GkkSN[3])
        c_by_c = _diagonal(f_kSN)
        h_by_c = _diagonal(h_by_c_kSN * f_kSN)
        jacobian_KKSN = torch.cat([torch.cat([h_by_h, h_by_c], 1), torch.cat([c_by_h, c_by_c], 1)])
        return Linearised(value, jacobian_KKSN, (by_i, by_f, by_g, by_o, h_by_c_kSN))

    def pullback(
        self, found: Linearised, state: State, mu_KSN: Tensor, weights: Weights, into_GkSN: Tensor
    ) -> list[Tensor]:
        """See `Cell.pullback`."""
        of_h_kSN, of_c_kSN = mu_KSN.chunk(2)
        *into_c, by_o, h_by_c_kSN = found.kept
        whole_kSN = torch.addcmul(of_c_kSN, of_h_kSN, h_by_c_kSN)
        for gate_kSN, slope_kSN in zip(into_GkSN[:3], into_c, strict=True):
            torch.mul(slope_kSN, whole_kSN, out=gate_kSN)
        torch.mul(by_o, of_h_kSN, out=into_GkSN[3])
        return [self.of_maps(into_GkSN, state[0])]


def _diagonal(values_kSN: Tensor) -> Tensor:
    """[k, k, S, N] with these values where both are equal, else zero."""
    if len(values_kSN) == 1:
        return values_kSN[None]
    return torch.diag_embed(values_kSN.movedim(0, -1)).movedim((-2, -1), (0, 1))
