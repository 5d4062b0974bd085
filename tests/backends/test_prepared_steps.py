"""The prepared torch step: refusals, and that a step asks nothing of the host."""

from __future__ import annotations

import pytest
import torch

from streamvdib.backends import make_backend
from streamvdib.backends.torch_buffers import make_buffers, step_in_place
from streamvdib.connections import Dense
from streamvdib.encoder import Encoder, Layer
from streamvdib.errors import ConfigurationError
from streamvdib.neurons.srm import SRM
from streamvdib.randomness import lane_keys
from streamvdib.responses import exponential, raised_cosines
from tests.backends.recorded_steps import OperationLog

NETWORK = Encoder(
    (4,),
    (
        Layer(Dense(5), SRM(exponential(0.5, 3), exponential(0.5, 3))),
        Layer(Dense(3), SRM(raised_cosines(2, 4), exponential(0.5, 3), stochastic=True)),
    ),
)
WEIGHTS = NETWORK.initial_weights(torch.Generator().manual_seed(0))
ASKS_THE_HOST = ("_local_scalar_dense", "lift_fresh", "nonzero")


def test_a_cuda_graph_without_a_cuda_device_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="requires a CUDA device; got device 'cpu'"):
        make_backend("cuda-graph", NETWORK, WEIGHTS, n_lanes=1, seed=0, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_refusal_says_that_torch_finds_no_device() -> None:
    with pytest.raises(ConfigurationError, match=r"torch finds no CUDA device\. Use the backend"):
        make_backend("cuda-graph", NETWORK, WEIGHTS, n_lanes=1, seed=0)


def test_a_step_reads_no_number_on_the_host_and_takes_nothing_from_it() -> None:
    """A capture allows neither."""
    keys = lane_keys(0, 2)
    buffers = make_buffers(NETWORK, keys, 2, torch.float32, torch.device("cpu"))
    with torch.no_grad(), OperationLog() as log:
        step_in_place(NETWORK, buffers)
    names = [str(func) for func, *_ in log.operations]
    asking = [n for n in names if any(word in n for word in ASKS_THE_HOST)]
    assert len(names) > 20
    assert not asking


def test_a_step_on_the_meta_device_never_leaves_it() -> None:
    """Tensors without values: a number read on the host or a tensor of the host is an error."""
    meta = torch.device("meta")
    keys = torch.zeros(2, dtype=torch.int64, device=meta)
    buffers = make_buffers(NETWORK, keys, 2, torch.float32, meta)
    with torch.no_grad():
        step_in_place(NETWORK, buffers)
    assert {tensor.device.type for tensor in buffers.values()} == {"meta"}


def test_without_a_compiler_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_: object, **__: object) -> None:
        raise RuntimeError("No working C++ compiler found\nand more")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: no_compiler)
    expected = r"requires .* a C\+\+ compiler; got: No working C\+\+ compiler found. Install g\+\+"
    with pytest.raises(ConfigurationError, match=expected):
        make_backend("torch-compile", NETWORK, WEIGHTS, n_lanes=1, seed=0)
