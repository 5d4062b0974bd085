"""Models described in plain tables (TOML or JSON) and built from them.

    dt_us = 10000
    input_shape = [2, 34, 34]
    [[layers]]
    connection = { kind = "dense", n_neurons = 600 }
    neuron = { kind = "srm", response = {...}, feedback = {...} }
    [decoder]
    kind = "mlp"
    tau_d = 30
    output_shape = [28, 28]
    likelihood = { name = "bernoulli" }

A wrong key is an error that names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from streamvdib import responses
from streamvdib.connections import Connection, Convolution, Dense, Shape
from streamvdib.decoders import DecoderShape, build_decoder
from streamvdib.encoder import Encoder, Layer
from streamvdib.errors import ConfigurationError
from streamvdib.likelihoods import Likelihood, likelihood
from streamvdib.neurons import NEURONS
from streamvdib.neurons.neuron import Neuron

T = TypeVar("T")
Description = Mapping[str, Any]

RESPONSES: dict[str, Callable[..., responses.Response]] = {
    "exponential": responses.exponential,
    "exponential_sum": responses.exponential_sum,
    "cascaded_exponentials": responses.cascaded_exponentials,
    "raised_cosines": responses.raised_cosines,
    "finite": responses.finite,
}
CONNECTIONS: dict[str, Callable[..., Connection]] = {"dense": Dense, "convolution": Convolution}


def build_encoder(description: Description) -> Encoder:
    """The encoder from ``input_shape`` and ``layers``."""
    layers = required(description, "layers", "the model")
    return Encoder(
        shape_of(required(description, "input_shape", "the model"), "input_shape"),
        tuple(build_layer(layer) for layer in layers),
        weight_type=description.get("weights", "float32"),
    )


def build_layer(description: Description) -> Layer:
    """One layer from its ``connection`` and its ``neuron``."""
    connection = required(description, "connection", "a layer")
    neuron = required(description, "neuron", "a layer")
    return Layer(_called(CONNECTIONS, connection, "a connection"), build_neuron(neuron))


def build_neuron(description: Description) -> Neuron:
    """A neuron model; tables called ``response`` and ``feedback`` become responses."""
    options = dict(description)
    kind = options.pop("kind", None)
    if kind not in NEURONS:
        raise ConfigurationError(
            f"the kind of a neuron must be one of {', '.join(NEURONS)}; got {kind!r}"
        )
    for name in ("response", "feedback"):
        if name in options:
            options[name] = build_response(options[name])
    module_name, class_name = NEURONS[kind].split(":")
    neuron: Neuron = _call(
        getattr(importlib.import_module(module_name), class_name), options, f"neuron {kind!r}"
    )
    return neuron


def build_response(description: Description) -> responses.Response:
    """A response from its ``kind`` and that function's arguments."""
    return _called(RESPONSES, description, "a response")


def build_decoder_and_likelihood(
    description: Description, readout_shape: Shape
) -> tuple[nn.Module, DecoderShape, Likelihood]:
    """The decoder with fresh weights, its shape, and the likelihood of its output."""
    options = dict(required(description, "decoder", "the model"))
    kind = required(options, "kind", "the decoder")
    shape = DecoderShape(
        tau_d=int(required(options, "tau_d", "the decoder")),
        readout_shape=readout_shape,
        output_shape=shape_of(required(options, "output_shape", "the decoder"), "output_shape"),
        view=options.get("view", "window"),
    )
    chosen = _call(likelihood, dict(options.get("likelihood", {"name": "bernoulli"})), "likelihood")
    own = {
        key: value
        for key, value in options.items()
        if key not in ("kind", "tau_d", "output_shape", "view", "likelihood")
    }
    return build_decoder(kind, shape, **own), shape, chosen


def required(description: Description, key: str, what: str) -> Any:
    """The value of a key that must be there."""
    if key not in description:
        raise ConfigurationError(f"{what} requires {key!r}; got only {sorted(description)}")
    return description[key]


def shape_of(value: Any, name: str) -> Shape:
    """A tuple of positive integers."""
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(size, int) and size > 0 for size in value
    ):
        raise ConfigurationError(f"{name} must be a list of positive whole numbers; got {value!r}")
    return tuple(value)


def _called(table: dict[str, Callable[..., T]], description: Description, what: str) -> T:
    options = dict(description)
    kind = options.pop("kind", None)
    if kind not in table:
        raise ConfigurationError(
            f"the kind of {what} must be one of {', '.join(table)}; got {kind!r}"
        )
    built: T = _call(table[kind], options, f"{what} {kind!r}")
    return built


def _call(function: Callable[..., Any], options: dict[str, Any], what: str) -> Any:
    try:
        return function(**options)
    except TypeError as error:
        raise ConfigurationError(f"the options of {what} are wrong: {error}") from None
