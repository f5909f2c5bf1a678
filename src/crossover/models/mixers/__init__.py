"""The registered mixers: one file and one line each."""

from __future__ import annotations

from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.registry import Registry

MIXERS: Registry[type[MixerSettings]] = Registry("mixer", group="crossover.mixers")

_HERE = "crossover.models.mixers"
MIXERS.add("elman", f"{_HERE}.elman:ElmanSettings", "plain recurrent network, h_t = tanh(W x_t + U h_{t-1} + b)")
MIXERS.add("lstm", f"{_HERE}.lstm:LSTMSettings", "long short-term memory: a gated cell beside the hidden state")
MIXERS.add("gru", f"{_HERE}.gru:GRUSettings", "gated recurrent unit: two gates, one state")
MIXERS.add("mingru", f"{_HERE}.mingru:MinGRUSettings", "GRU whose gates see only the input: parallel over time")
MIXERS.add("minlstm", f"{_HERE}.minlstm:MinLSTMSettings", "LSTM whose gates see only the input: parallel over time")
MIXERS.add(
    "diagonal-elman",
    f"{_HERE}.diagonal_elman:DiagonalElmanSettings",
    "Elman network whose units do not see one another: solved by Newton's method or in steps",
)
MIXERS.add(
    "diagonal-gru",
    f"{_HERE}.diagonal_gru:DiagonalGRUSettings",
    "GRU whose gates see their own unit alone: solved by Newton's method or in steps",
)
MIXERS.add(
    "diagonal-lstm",
    f"{_HERE}.diagonal_lstm:DiagonalLSTMSettings",
    "LSTM whose gates see their own unit alone: solved by Newton's method or in steps",
)
MIXERS.add(
    "linear-attention",
    f"{_HERE}.linear_attention:LinearAttentionSettings",
    "gated linear attention: a matrix-valued state, computed chunk by chunk",
)
MIXERS.add("attention", f"{_HERE}.attention:AttentionSettings", "softmax attention over all keys")
MIXERS.add(
    "window-attention",
    f"{_HERE}.window_attention:WindowAttentionSettings",
    "softmax attention over the last `window` keys",
)
MIXERS.add(
    "xl-attention",
    f"{_HERE}.xl_attention:XLAttentionSettings",
    "softmax attention over the last `memory` steps by relative positions",
)
MIXERS.add(
    "convolution", f"{_HERE}.convolution:ConvolutionSettings", "causal depthwise convolution with a pointwise gate"
)

__all__ = ["MIXERS", "Mixer", "MixerSettings", "Span", "State"]
