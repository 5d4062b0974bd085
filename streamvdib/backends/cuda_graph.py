"""The reference step as one CUDA graph. Unmeasured: it has never run on a GPU.

A graph is captured once and then launched as a whole, which saves the launches of a step's many
small kernels. What is tested without a GPU: the step asks nothing of the host, and a recording of
its operations, replayed on the same buffers, gives the reference's spikes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from streamvdib.backends.torch_buffers import BufferedSteps, Run
from streamvdib.encoder import Encoder, Weights
from streamvdib.errors import ConfigurationError

N_WARM_UP = 3  # libraries choose their kernels and take their workspaces before the capture


class Recorder(Protocol):
    """Makes a step replayable."""

    def check(self, device: torch.device) -> None:
        """Raise ``ConfigurationError`` where this device cannot do it."""

    def record(self, step: Run, device: torch.device) -> Run:
        """What repeats the step's operations on the tensors that they were recorded with."""


class CudaGraphs:
    """Records with ``torch.cuda.CUDAGraph``."""

    def check(self, device: torch.device) -> None:
        """See ``Recorder``."""
        if device.type != "cuda" or not torch.cuda.is_available():
            found = "a CUDA device" if torch.cuda.is_available() else "no CUDA device"
            raise ConfigurationError(
                f"the backend cuda-graph requires a CUDA device; got device {str(device)!r}, and "
                f"torch finds {found}. Use the backend torch-compile, numba or torch."
            )

    def record(self, step: Run, device: torch.device) -> Run:
        """See ``Recorder``; the warm-up changes what the step writes."""
        with torch.cuda.device(device):
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(N_WARM_UP):
                    step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
        return graph.replay


class CudaGraphBackend(BufferedSteps):
    """Replays the captured step. Memory: see ``BufferedSteps``, and the graph's own pool.

    Args:
        encoder: constants.
        weights: one entry per layer.
        n_lanes: L.
        seed: of the random draws.
        dtype: of state and weights.
        device: a CUDA device.
        recorder: what captures and replays.

    Raises:
        ConfigurationError: there is no CUDA device, or ``device`` is another.
    """

    def __init__(
        self,
        encoder: Encoder,
        weights: Weights,
        *,
        n_lanes: int,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cuda",
        recorder: Recorder | None = None,
    ) -> None:
        place, graphs = torch.device(device), recorder or CudaGraphs()
        graphs.check(place)

        def prepare(step: Callable[..., None], tensors: Sequence[Tensor]) -> Run:
            return graphs.record(lambda: step(*tensors), place)

        super().__init__(
            encoder, weights, prepare, n_lanes=n_lanes, seed=seed, dtype=dtype, device=place
        )
