"""On a device everything stays on the device, checked without one.

Tensors on torch's "meta" device have a place but no values: mixing them with the host's, or
reading a number out of them inside an update, is an error. (Fake CUDA tensors would do as well,
but autograd on them aborts in a build of torch without CUDA.)
"""

from __future__ import annotations

import math

import pytest
import torch

from streamvdib.decoders import DecoderShape, build_decoder
from streamvdib.description import build_encoder
from streamvdib.encoder import LayerWeights
from streamvdib.learning.batch import Batch, BatchLearner
from streamvdib.learning.learner_state import LearnerState, Settings
from streamvdib.learning.priors import AutoregressivePrior
from streamvdib.learning.rule import Rule
from streamvdib.likelihoods import Bernoulli
from streamvdib.model import Model
from tests.learning.networks import dense


def model_elsewhere() -> Model:
    """A model whose tensors are all on the device without values."""
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
            LayerWeights(*(torch.zeros(s, device="meta") for s in (synapses, (n,), (n,))))
        )
    shape = DecoderShape(3, (3,), (2, 2))
    decoder = build_decoder("mlp", shape, n_hidden=6).to("meta")
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
