"""Model files: what is saved comes back; what is damaged is refused with the reason."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from streamvdib.errors import ConfigurationError, ModelError, ModelNotFoundError
from streamvdib.model import fill_model, load_model, new_model, save_model
from tests.models import small_description, small_model


def test_a_saved_model_comes_back_whole(tmp_path: Path) -> None:
    model = small_model(seed=3)
    save_model(model, tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.description == model.description
    for name, tensor in model.tensors().items():
        assert torch.equal(loaded.tensors()[name], tensor)


def test_half_precision_halves_the_file_and_rounds_the_weights(tmp_path: Path) -> None:
    model = small_model()
    save_model(model, tmp_path / "h.safetensors", half=True)
    loaded = load_model(tmp_path / "h.safetensors")
    for name, tensor in model.tensors().items():
        assert torch.equal(loaded.tensors()[name], tensor.half().float())


def test_the_same_seed_gives_the_same_model_and_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first, second = small_model(seed=5), small_model(seed=5)
    assert torch.equal(torch.rand(3), expected)
    for name, tensor in first.tensors().items():
        assert torch.equal(second.tensors()[name], tensor)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(small_model(), path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="damaged: its weights do not match their digest"):
        load_model(path)


@pytest.mark.parametrize("length", [0, 7, 100, 1500])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "m.safetensors"
    save_model(small_model(), path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelError, match="must be a safetensors file"):
        load_model(path)


def test_weights_without_a_description_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="must be a streamvdib model of format 1; got format None"):
        load_model(path)


def test_a_checkpoint_of_other_shape_is_refused_by_name() -> None:
    tensors = small_model().tensors()
    tensors["encoder.0.bias"] = torch.zeros(3)
    with pytest.raises(ModelError, match=r"encoder.0.bias must have shape \(9,\); got \(3,\)"):
        fill_model(small_model(), tensors)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelNotFoundError, match=r"must be a file or one of: .*; got 'nowhere'"):
        load_model("nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt_us": 0}, "dt_us must be a whole number of microseconds"),
        ({"input_shape": [2, -3, 4]}, "input_shape must be a list of positive whole numbers"),
        ({"layers": [{"connection": {"kind": "dense", "n_neurons": 2}}]}, "requires 'neuron'"),
        (
            {"layers": [{"connection": {"kind": "sparse"}, "neuron": {}}]},
            "a connection must be one of dense, convolution; got 'sparse'",
        ),
        ({"decoder": {"kind": "mlp", "output_shape": [2, 2]}}, "requires 'tau_d'"),
        (
            {"decoder": {"kind": "mlp", "tau_d": 3, "output_shape": [2], "view": "sum"}},
            "view must be one of window, rate; got 'sum'",
        ),
    ],
)
def test_a_description_that_cannot_be_meant_is_refused(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises((ConfigurationError, ModelError), match=message):
        new_model(json.loads(json.dumps(small_description(**change))))


def test_a_checkpoint_is_told_from_a_model_with_what_to_do(tmp_path: Path) -> None:
    run = tmp_path / "checkpoint-0000000001.safetensors"
    save_file({"a": torch.zeros(1)}, run, {"streamvdib_checkpoint": "1"})
    for path in (run, tmp_path):
        with pytest.raises(ModelError, match=f"streamvdib checkpoint {path} --export MODEL"):
            load_model(path)
    training = tmp_path / "training.safetensors"
    save_file({"a": torch.zeros(1)}, training, {"about": "{}"})
    with pytest.raises(ModelError, match="checkpoint of a training, which streamvdib train goes"):
        load_model(training)
