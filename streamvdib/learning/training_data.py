"""What offline learning asks of its examples.

Every batch is a function of its number, so that a resumed training sees the same ones. Data sets
live in ``streamvdib.replay`` and are named here by string: the library does not import them.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from streamvdib.errors import ConfigurationError
from streamvdib.learning.batch import Batch
from streamvdib.learning.configuration import check_kind

Decode = Callable[[Tensor, list[int]], tuple[Tensor, Tensor]]

DATA: dict[str, str] = {
    "mnist": "streamvdib.replay.experiments.mnist_examples:MNISTExamples",
    "nmnist": "streamvdib.replay.experiments.nmnist_examples:NMNISTExamples",
    "mnist-dvs": "streamvdib.replay.experiments.mnist_dvs_examples:MNISTDVSExamples",
    "predictive-coding": "streamvdib.replay.experiments.predictive_coding_examples:BlobExamples",
}


class Examples(Protocol):
    """Training batches by number, and a score on examples that are never learned from."""

    def batch(self, number: int, size: int) -> Batch:
        """Batch ``number`` of ``size`` lanes; the same every time."""

    def validate(self, decode: Decode) -> dict[str, float]:
        """Scores by name.

        Args:
            decode: inputs (n_steps, n_lanes, n_inputs) and steps into estimates (n_decodes,
                n_lanes, *output_shape) and readout spikes (n_steps, n_lanes, n_neurons).
        """


def make_examples(kind: str, seed: int, options: Mapping[str, Any]) -> Examples:
    """The examples of that kind.

    Raises:
        ConfigurationError: no such kind, or its options are wrong.
    """
    if kind not in DATA:
        raise ConfigurationError(f"the kind of data must be one of {', '.join(DATA)}; got {kind!r}")
    module_name, class_name = DATA[kind].split(":")
    maker = getattr(importlib.import_module(module_name), class_name)
    known = inspect.signature(maker).parameters
    for name in options.keys() & known.keys():
        check_kind(f"{name} of [data]", str(known[name].annotation), options[name])
    try:
        examples: Examples = maker(seed=seed, **options)
    except TypeError as error:
        raise ConfigurationError(f"the options of data {kind!r} are wrong: {error}") from None
    return examples
