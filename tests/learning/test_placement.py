"""On a device everything stays on the device, checked without one.

Tensors on torch's "meta" device have a place but no values: mixing them with the host's, or
reading a number out of them inside an update, is an error. With fake CUDA tensors this is checked
for e-prop, feedback, clipping and the optimisers only: a build of torch without CUDA stops with
"not linked with support for cuda devices" where indexing or a copy meets them, and reverse-mode
autograd ends the process, by whatever way it is asked (``autograd.grad``, also in one thread,
``func.vjp``, ``func.grad``); forward mode (``func.jvp``) does not, but is not what an update does.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException

from streamvdib.decoders import DecoderShape, build_decoder
from streamvdib.description import build_encoder
from streamvdib.encoder import LayerWeights
from streamvdib.learning.batch import Batch, BatchLearner
from streamvdib.learning.filters import response_matrices
from streamvdib.learning.gradients import encoder_gradients, named_weights
from streamvdib.learning.learner_state import LearnerState, Settings
from streamvdib.learning.optimisers import (
    SGD,
    Adam,
    Optimiser,
    OptimiserState,
    clip,
    gradient_norm,
)
from streamvdib.learning.priors import AutoregressivePrior
from streamvdib.learning.rule import Rule
from streamvdib.learning.sequence import LayerSequence
from streamvdib.likelihoods import Bernoulli
from streamvdib.model import Model
from tests.learning.networks import dense


def model_elsewhere(device: str = "meta") -> Model:
    """A model whose tensors have no values: weights on ``device``, the decoder only on "meta"."""
    description = {
        "dt_us": 1000,
        "input_shape": [4],
        "layers": [dense(5), dense(3, stochastic=True)],
        "decoder": {"kind": "mlp", "tau_d": 3, "output_shape": [2, 2], "n_hidden": 6},
    }
    encoder = build_encoder(description)
    weights = []
    for layer, source, shape in zip(
        encoder.layers, encoder.source_shapes, encoder.layer_shapes, strict=True
    ):
        synapses = layer.connection.weight_shape(source, layer.neuron.response.n_basis)
        n = math.prod(shape)
        weights.append(
            LayerWeights(*(torch.zeros(s, device=device) for s in (synapses, (n,), (n,))))
        )
    shape = DecoderShape(3, (3,), (2, 2))
    decoder = build_decoder("mlp", shape, n_hidden=6)
    if device == "meta":  # a module cannot be moved to a fake device
        decoder.to("meta")
    return Model(description, encoder, tuple(weights), decoder, shape, Bernoulli())


@pytest.mark.parametrize("estimator", ["pathwise", "score"])
@pytest.mark.parametrize("feedback", ["symmetric", "random", "aligned"])
def test_an_update_never_leaves_its_device(estimator: str, feedback: str) -> None:
    model = model_elsewhere()
    rule = Rule(estimator=estimator, feedback=feedback, prior=AutoregressivePrior(memory=2))
    learner = BatchLearner(LearnerState(model, Settings(rule)))
    batch = Batch(
        torch.zeros(6, 2, 4, device="meta"), torch.zeros(2, 2, 2, 2, device="meta"), [3, 5]
    )
    outcome = learner.learn(batch, 1e-3, 1e-3)
    assert outcome.norm.device.type == "meta"
    for name, tensor in learner.state.tensors().items():
        if not name.endswith("n_updates"):
            assert tensor.device.type == "meta", name


@pytest.mark.parametrize("feedback", ["symmetric", "random", "aligned"])
@pytest.mark.parametrize("credit", ["windowed", "instantaneous"])
@pytest.mark.parametrize("optimiser", [Adam(), SGD(0.9)])
def test_eprop_and_the_optimisers_stay_on_a_cuda_device_and_never_wait_for_it(
    feedback: str, credit: str, optimiser: Optimiser
) -> None:
    """Fake CUDA tensors: another device is an error, and so is reading a number out of them."""
    response_matrices.cache_clear()  # it would keep fake tensors of another mode
    with FakeTensorMode(), torch.no_grad():
        model = model_elsewhere("cuda")
        rule = Rule(feedback=feedback, credit=credit)
        weights = named_weights(model.weights)
        learned = {} if feedback == "symmetric" else {"feedback.0": zeros_on_cuda(3, 5)}
        sizes = ((4, 5), (5, 3))
        sequences = [
            LayerSequence(*(zeros_on_cuda(6, 2, n) for n in (sources, own, own)))
            for sources, own in sizes
        ]
        delta = zeros_on_cuda(6, 2, 3)
        gradients = encoder_gradients(model.encoder, model.weights, sequences, delta, rule, learned)
        norm = gradient_norm(gradients)
        clip(gradients, norm, 1.0)
        memory = OptimiserState()
        optimiser.update(weights | learned, gradients, memory, 1e-3)
        everything = [norm, *gradients.values(), *memory.first.values(), *memory.second.values()]
        assert {tensor.device.type for tensor in everything} == {"cuda"}
        with pytest.raises(DataDependentOutputException):
            norm.item()
    response_matrices.cache_clear()


def zeros_on_cuda(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, device="cuda")
