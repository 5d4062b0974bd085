"""Every decoder keeps the contract; each is checked against its formula."""

import pytest
import torch
from torch import nn

from streamvdib.decoders import DECODERS, DecoderShape, build_decoder
from streamvdib.errors import ConfigurationError

SHAPE = DecoderShape(tau_d=6, readout_shape=(8,), output_shape=(5, 4))
RATE = DecoderShape(tau_d=6, readout_shape=(8,), output_shape=(5, 4), view="rate")


def spikes(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, 6, 8, generator=generator) < 0.3).float()


def build(kind: str, shape: DecoderShape) -> nn.Module:
    torch.manual_seed(1)
    return build_decoder(kind, shape)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("shape", [SHAPE, RATE])
def test_lanes_are_decoded_independently(kind: str, shape: DecoderShape) -> None:
    decoder, windows = build(kind, shape), spikes(3)
    together = decoder(windows)
    assert together.shape == (3, 5, 4)
    for lane in range(3):
        torch.testing.assert_close(decoder(windows[lane : lane + 1])[0], together[lane])


@pytest.mark.parametrize("kind", DECODERS)
def test_the_rate_view_does_not_see_the_order_of_the_steps(kind: str) -> None:
    decoder, windows = build(kind, RATE), spikes(2)
    torch.testing.assert_close(decoder(windows), decoder(windows.flip(1)))


@pytest.mark.parametrize("kind", DECODERS)
def test_the_window_view_sees_the_order_of_the_steps(kind: str) -> None:
    decoder, windows = build(kind, SHAPE), spikes(2)
    assert not torch.allclose(decoder(windows), decoder(windows.flip(1)))


@pytest.mark.parametrize("kind", DECODERS)
def test_a_weight_of_every_layer_moves_with_the_loss(kind: str) -> None:
    decoder = build(kind, SHAPE)
    decoder(spikes(4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_the_linear_decoder_is_a_matrix_and_a_bias() -> None:
    decoder = build("linear", SHAPE)
    weight, bias = decoder.state_dict()["first.weight"], decoder.state_dict()["first.bias"]
    windows = spikes(2)
    expected = (windows.reshape(2, 48) @ weight.T + bias).reshape(2, 5, 4)
    torch.testing.assert_close(decoder(windows), expected)


def test_the_mlp_is_two_matrices_with_a_rectifier_between() -> None:
    decoder = build("mlp", SHAPE)
    state = decoder.state_dict()
    hidden = spikes(2).reshape(2, 48) @ state["first.weight"].T + state["first.bias"]
    expected = hidden.clamp(min=0) @ state["rest.1.weight"].T + state["rest.1.bias"]
    torch.testing.assert_close(decoder(spikes(2)), expected.reshape(2, 5, 4))


def test_the_upsampling_decoder_fits_any_size_of_a_convolutional_readout() -> None:
    small = DecoderShape(6, (2, 4, 4), (8, 8))
    large = DecoderShape(6, (2, 9, 7), (18, 14))
    decoder, larger = build("upsampling", small), build("upsampling", large)
    larger.load_state_dict(decoder.state_dict())
    assert larger(torch.zeros(1, 6, 126)).shape == (1, 18, 14)


def test_the_recurrent_decoder_forgets_what_left_the_window() -> None:
    decoder = build("recurrent", SHAPE)
    first = decoder(spikes(1))
    decoder(spikes(1, seed=5))
    torch.testing.assert_close(decoder(spikes(1)), first)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("transformer", {}, "one of linear, mlp"),
        ("mlp", {"n_hiden": 3}, "n_hiden"),
    ],
)
def test_a_decoder_that_cannot_be_built_is_refused(
    kind: str, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_decoder(kind, SHAPE, **options)


def test_an_image_decoder_refuses_to_give_a_vector() -> None:
    with pytest.raises(ConfigurationError, match=r"requires an image .* got \(10,\)"):
        build_decoder("upsampling", DecoderShape(6, (8,), (10,)))
