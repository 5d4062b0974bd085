"""Encoder weights of fewer bits, for inference: less to read for every spike, at some accuracy.

    bf16    w' = w to 8 significant bits, to nearest, ties to even       |w - w'| <= 2^-8 |w|
    int8    w' = s q,   q = round(w / s) in -127..127                    |w - w'| <= s / 2
            s = max |w| / 127, at most 2^-15 of itself more

with one s for each output neuron (or channel) and basis function of its response. Only synapses
are rounded: biases, feedback weights, responses, potentials and the decoder stay as they were.
Rounding twice is rounding once: s has 16 significant bits, so that s q is a float32 without error.

Memory: tensors stay float32. The compiled loops keep rows of dense layers in 2 or 1 bytes a weight
and sum them in float32, which gives the spikes of float32 rows of the same rounded weights, bit for
bit. Convolutions, float64 and the torch backend read the rounded weights at full width.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError

if TYPE_CHECKING:
    from streamvdib.model import Model

FLOAT32, BF16, INT8 = WEIGHT_TYPES = ("float32", "bf16", "int8")
LARGEST = 127
SMALLEST_SCALE = 2.0**-100


def with_reduced_weights(model: Model, weight_type: str) -> Model:
    """The model with rounded synapses; its description says so, so that files and logs do.

    Args:
        model: unchanged; the decoder is shared with it.
        weight_type: one of ``WEIGHT_TYPES``; that of the model gives the model itself.

    Raises:
        ConfigurationError: the weights are rounded to another type already, or there is no such
            type.
    """
    check_weight_type(weight_type)
    now = model.encoder.weight_type
    if weight_type == now:
        return model
    if now != FLOAT32:
        raise ConfigurationError(
            f"weights must be float32 to be rounded to another type; those of {model.name} are "
            f"rounded to {now} and {weight_type} was asked for. Use the model they came from."
        )
    return replace(
        model,
        description={**model.description, "weights": weight_type},
        encoder=replace(model.encoder, weight_type=weight_type),
        weights=tuple(
            replace(layer, synapses=rounded(layer.synapses, weight_type)) for layer in model.weights
        ),
    )


def check_weight_type(weight_type: str) -> None:
    """Raise ``ConfigurationError`` where there is no such type."""
    if weight_type not in WEIGHT_TYPES:
        raise ConfigurationError(
            f"weights must be one of {', '.join(WEIGHT_TYPES)}; got {weight_type!r}"
        )


def check_can_learn(model: Model) -> None:
    """Raise ``ConfigurationError`` for a model whose weights are rounded."""
    if model.encoder.weight_type != FLOAT32:
        raise ConfigurationError(
            f"learning requires float32 weights; those of {model.name} are rounded to "
            f"{model.encoder.weight_type}. Learn with the float32 model, then round."
        )


def rounded(synapses: Tensor, weight_type: str) -> Tensor:
    """Rounded synapses as float numbers of the type that came.

    Args:
        synapses: w, (n_basis, n_inputs, n_neurons) or a convolution's (n_basis, n_outputs,
            n_inputs, kernel, kernel).
        weight_type: one of ``WEIGHT_TYPES``.
    """
    if weight_type == BF16:
        return synapses.to(torch.bfloat16).to(synapses.dtype)
    if weight_type == INT8:
        scales = int8_scales(synapses)
        return (_integers(synapses, scales) * scales.double()).to(synapses.dtype)
    return synapses


def int8_scales(synapses: Tensor) -> Tensor:
    """Steps s of every output and basis function, with ones for the other dimensions."""
    inputs = (1,) if synapses.ndim == 3 else (2, 3, 4)
    mantissas, exponents = torch.frexp(synapses.detach().abs().amax(inputs, keepdim=True) / LARGEST)
    scales = torch.ldexp(torch.ceil(mantissas * 2**16) / 2**16, exponents)
    return scales.clamp(min=SMALLEST_SCALE)  # no division by zero where all weights are


def int8_weights(synapses: Tensor) -> tuple[Tensor, Tensor]:
    """q, int8, of the synapses' shape; and s."""
    scales = int8_scales(synapses)
    return _integers(synapses, scales).to(torch.int8), scales


def _integers(synapses: Tensor, scales: Tensor) -> Tensor:
    ratios = synapses.double() / scales.double()  # so that rounding errs by s / 2 and no more
    return ratios.round().clamp(-LARGEST, LARGEST)
