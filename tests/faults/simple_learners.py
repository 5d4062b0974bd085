"""A learner, its targets and a stream, as small as tests of guard and shadow need them."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace
from streamvdib.encoder import Weights
from streamvdib.endurance.workload import packets
from streamvdib.engine import Engine
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Target = npt.NDArray[np.float32]
PICTURE = np.linspace(0, 1, 25, dtype=np.float32).reshape(1, 5, 5)


class DecoderLearner:
    """Gradient steps of the decoder on the squared error; the encoder stays."""

    def __init__(self, model: Model, rate: float = 0.5) -> None:
        self.update_every, self.paused = 1, False
        self.model, self.rate = model, rate

    def watch(self, trace: EncoderTrace) -> None:
        pass

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        if target is None:
            return None
        estimate = self.model.decoder(window.tensor(dtype=torch.float32, device="cpu"))
        error = torch.mean((self.model.likelihood.estimate(estimate) - torch.tensor(target)) ** 2)
        parameters = list(self.model.decoder.parameters())
        with torch.no_grad():
            for parameter, slope in zip(
                parameters, torch.autograd.grad(error, parameters), strict=True
            ):
                parameter -= self.rate * slope
        return self.model.weights

    def restart(self) -> None:
        pass

    def tensors(self) -> Mapping[str, Tensor]:
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        pass


class Stream:
    """Targets made by a function of the number of the update."""

    def __init__(self, make: Callable[[int], Target]) -> None:
        self.make, self.n_asked = make, 0

    def at(self, end_us: int) -> Target:
        self.n_asked += 1
        return self.make(self.n_asked)


def play(engine: Engine, n_packets: int, first: int = 0) -> int:
    return sum(len(engine.advance(packet)) for packet in packets(8, n_packets, first))


def weights_of(engine: Engine) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in engine.model.tensors().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)
