"""The reference step through ``torch.compile``: the same arithmetic, fused by inductor.

On the CPU inductor writes C++ and needs a compiler for it, once for every network, number of
lanes and precision; the result is kept in torch's own cache (``TORCHINDUCTOR_CACHE_DIR``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from streamvdib.backends.torch_buffers import BufferedSteps, Run
from streamvdib.encoder import Encoder, Weights
from streamvdib.errors import ConfigurationError


class TorchCompileBackend(BufferedSteps):
    """Runs the compiled step. Memory: see ``BufferedSteps``.

    Raises:
        ConfigurationError: torch cannot compile here, most often for want of a C++ compiler.
    """

    def __init__(
        self,
        encoder: Encoder,
        weights: Weights,
        *,
        n_lanes: int,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(
            encoder,
            weights,
            compiled,
            n_lanes=n_lanes,
            seed=seed,
            dtype=dtype,
            device=torch.device(device),
        )


def compiled(step: Callable[..., None], tensors: Sequence[Tensor]) -> Run:
    """One compiled graph of a step without breaks, for tensors of just these shapes.

    The step is traced first: every network then has code of its own, and none counts against the
    number of times that torch compiles the same code anew. The step is run once.
    """
    traced = make_fx(step)(*tensors)
    options: dict[str, str | int | bool | Callable[..., object]] = {"compile_threads": 1}
    fused = torch.compile(traced, fullgraph=True, dynamic=False, options=options)
    try:
        with warnings.catch_warnings():  # of torch about itself, while it compiles
            warnings.simplefilter("ignore")
            fused(*tensors)
    except Exception as error:  # which kinds there are differs between versions of torch
        why = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            "the backend torch-compile requires that torch can compile, on a CPU with a C++ "
            f"compiler; got: {why}. Install g++ or name a compiler in CXX, or use the backend "
            "numba or torch."
        ) from error
    return lambda: fused(*tensors)
