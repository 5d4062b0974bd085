"""Tiny models for the learning tests, in float64 so that comparisons are sharp."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from streamvdib.encoder import LayerWeights
from streamvdib.model import Model, new_model


def srm(stochastic: bool, tau_e: int = 4, n_basis: int = 2) -> dict[str, Any]:
    """A neuron description: raised cosines for the readout, cascaded exponentials if hidden."""
    if stochastic:
        return {
            "kind": "srm",
            "stochastic": True,
            "learns_feedback": True,
            "response": {"kind": "raised_cosines", "n_basis": n_basis, "tau_e": tau_e},
            "feedback": {"kind": "raised_cosines", "n_basis": 1, "tau_e": tau_e},
        }
    return {
        "kind": "srm",
        "surrogate": "sigmoid",
        "response": {
            "kind": "cascaded_exponentials",
            "membrane_decay": 0.8,
            "synapse_decay": 0.6,
            "tau_e": tau_e,
        },
        "feedback": {"kind": "exponential", "decay": 0.65, "tau_e": tau_e},
    }


def dense(n_neurons: int, *, stochastic: bool = False, **options: int) -> dict[str, Any]:
    """A dense layer."""
    return {
        "connection": {"kind": "dense", "n_neurons": n_neurons},
        "neuron": srm(stochastic, **options),
    }


def tiny_model(
    hidden: tuple[int, ...] = (),
    n_readout: int = 3,
    *,
    n_inputs: int = 4,
    tau_d: int = 3,
    decoder: dict[str, Any] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    input_shape: list[int] | None = None,
    layers: list[dict[str, Any]] | None = None,
) -> Model:
    """A model with a linear decoder to (2, 2) images unless told otherwise."""
    made = layers or [*(dense(n) for n in hidden), dense(n_readout, stochastic=True)]
    model = new_model(
        {
            "dt_us": 1000,
            "input_shape": input_shape or [n_inputs],
            "layers": made,
            "decoder": {"kind": "linear", "tau_d": tau_d, "output_shape": [2, 2]} | (decoder or {}),
        },
        seed,
    )
    return cast(model, dtype)


def cast(model: Model, dtype: torch.dtype) -> Model:
    """The same model in another number type."""
    model.decoder.to(dtype)
    weights = tuple(
        LayerWeights(w.synapses.to(dtype), w.feedback.to(dtype), w.bias.to(dtype))
        for w in model.weights
    )
    return replace(model, weights=weights)


def random_spikes(*shape: int, seed: int = 0, rate: float = 0.4) -> torch.Tensor:
    """Zeros and ones in float64."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) < rate).to(torch.float64)
