"""The same step on several machines: ``torch`` is the reference, ``numba`` compiled CPU loops.

``torch-compile`` is the reference's step through ``torch.compile``, ``cuda-graph`` the same as a
CUDA graph (no GPU has run it).

A backend owns the encoder's state in whatever form it likes, and gives and takes it as the
reference's ``EncoderState``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streamvdib.encoder import Encoder, EncoderState, Weights
from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import InputSteps

SpikeArray = npt.NDArray[np.uint8]

BACKENDS: Mapping[str, str] = {
    "torch": "streamvdib.backends.torch_backend:TorchBackend",
    "numba": "streamvdib.backends.numba_backend:NumbaBackend",
    "torch-compile": "streamvdib.backends.torch_compile:TorchCompileBackend",
    "cuda-graph": "streamvdib.backends.cuda_graph:CudaGraphBackend",
}


@dataclass(frozen=True)
class EncoderTrace:
    """What happened in a chunk of steps, for those who watch (learning, displays)."""

    inputs: InputSteps
    spikes: tuple[SpikeArray, ...]  # every layer, readout last: (n_steps, n_lanes, n_neurons)
    potentials: tuple[npt.NDArray[np.floating[Any]], ...]  # u of every layer, same shapes


class Backend(Protocol):
    """Advances the encoder over chunks of steps, and owns its state."""

    def advance(self, inputs: InputSteps) -> SpikeArray:
        """Readout spikes of every step, (n_steps, n_lanes, n_outputs)."""

    def watch(self, inputs: InputSteps) -> EncoderTrace:
        """``advance`` that also tells every layer's spikes and potentials."""

    def state(self) -> EncoderState:
        """The state after the last step, a copy."""

    def restore(self, state: EncoderState) -> None:
        """Go on from a state."""

    def set_weights(self, weights: Weights) -> None:
        """Use other weights from the next step on."""


def supports_numba(encoder: Encoder) -> bool:
    """Whether the compiled loops know every layer of this encoder."""
    if "numba" not in BACKENDS:
        return False
    module = importlib.import_module("streamvdib.backends.numba_backend")
    return bool(module.supports(encoder))


def make_backend(
    name: str,
    encoder: Encoder,
    weights: Weights,
    *,
    n_lanes: int,
    seed: int,
    **options: Any,
) -> Backend:
    """A backend with a fresh state.

    Args:
        name: one of ``BACKENDS``, or "auto": compiled loops where they know the model.
        encoder: constants.
        weights: one entry per layer.
        n_lanes: L.
        seed: of the random draws.
        options: of the backend, such as ``dtype`` or ``device``.
    """
    if name == "auto":
        name = "numba" if supports_numba(encoder) else "torch"
    if name not in BACKENDS:
        raise ConfigurationError(
            f"a backend must be one of auto, {', '.join(BACKENDS)}; got {name!r}"
        )
    module_name, class_name = BACKENDS[name].split(":")
    backend_class = getattr(importlib.import_module(module_name), class_name)
    backend: Backend = backend_class(encoder, weights, n_lanes=n_lanes, seed=seed, **options)
    return backend
