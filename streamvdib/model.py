"""A model: a description, encoder weights and a decoder, in one safetensors file.

The file's metadata holds the description as JSON and a digest of the tensors; nothing in it is
ever executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from streamvdib.decoders import DecoderShape
from streamvdib.description import (
    Description,
    build_decoder_and_likelihood,
    build_encoder,
    required,
)
from streamvdib.encoder import Encoder, LayerWeights, Weights
from streamvdib.errors import ModelError, ModelNotFoundError
from streamvdib.likelihoods import Likelihood
from streamvdib.reduced_weights import BF16, FLOAT32

MODEL_FORMAT = 1
MODELS_FOLDER = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Model:
    """What turns spikes into frames.

    ``decoder`` holds its own weights, as torch modules do; everything else is a value.
    """

    description: Description  # plain tables, as given
    encoder: Encoder
    weights: Weights
    decoder: nn.Module
    decoder_shape: DecoderShape
    likelihood: Likelihood

    @property
    def name(self) -> str:
        """The model's name, or "unnamed"."""
        return str(self.description.get("name", "unnamed"))

    @property
    def dt_us(self) -> int:
        """Length of a time step, microseconds."""
        return int(self.description["dt_us"])

    @property
    def tau_d(self) -> int:
        """Steps in the decoder's window."""
        return self.decoder_shape.tau_d

    def with_weights(self, weights: Weights) -> Model:
        """The same model with other encoder weights."""
        self.encoder.check_weights(weights)
        return replace(self, weights=weights)

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name: ``encoder.<layer>.<name>`` and ``decoder.<name>``."""
        named = {
            f"encoder.{index}.{name}": tensor
            for index, layer in enumerate(self.weights)
            for name, tensor in layer.tensors()
        }
        named |= {f"decoder.{name}": tensor for name, tensor in self.decoder.state_dict().items()}
        return named


def new_model(description: Description, seed: int = 0) -> Model:
    """A model with random weights.

    Raises:
        ConfigurationError: a table is incomplete or holds a wrong key.
    """
    dt_us = required(description, "dt_us", "the model")
    if not isinstance(dt_us, int) or dt_us < 1:
        raise ModelError(f"dt_us must be a whole number of microseconds, at least 1; got {dt_us!r}")
    encoder = build_encoder(description)
    generator = torch.Generator().manual_seed(seed)
    weights = encoder.initial_weights(generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder, shape, likelihood = build_decoder_and_likelihood(
            description, encoder.layer_shapes[-1]
        )
    decoder.eval()
    return Model(description, encoder, weights, decoder, shape, likelihood)


def save_model(model: Model, path: Path, *, half: bool = False) -> None:
    """Write a model to one file.

    Args:
        model: what to write.
        path: the file; replaced if it exists.
        half: store float16 (half the size); loading gives float32 again. Synapses that are
            rounded (see ``reduced_weights``) are stored as they are: in bfloat16, or float32.
    """
    tensors = {
        name: tensor.detach().cpu().to(_stored_type(model, name, half=half)).contiguous()
        for name, tensor in model.tensors().items()
    }
    metadata = {
        "streamvdib_model": str(MODEL_FORMAT),
        "description": json.dumps(dict(model.description)),
        "sha256": tensors_digest(tensors),
    }
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(save(tensors, metadata))
    temporary.replace(path)


def _stored_type(model: Model, name: str, *, half: bool) -> torch.dtype:
    weight_type = model.encoder.weight_type
    if weight_type != FLOAT32 and name.startswith("encoder.") and name.endswith(".synapses"):
        return torch.bfloat16 if weight_type == BF16 else torch.float32
    return torch.float16 if half else torch.float32


def load_model(name_or_path: str | Path) -> Model:
    """Load a model that comes with the package, by name, or any file, by path.

    Raises:
        ModelNotFoundError: neither a name in the package nor a file.
        ModelError: not a model file, damaged, or its tensors do not fit its description.
    """
    path = find_model(name_or_path)
    metadata, tensors = _read_file(path)
    if metadata.get("streamvdib_model") != str(MODEL_FORMAT):
        raise ModelError(
            f"{path} must be a streamvdib model of format {MODEL_FORMAT}; "
            f"{_instead(path, metadata)}"
        )
    if tensors_digest(tensors) != metadata.get("sha256"):
        raise ModelError(
            f"{path} is damaged: its weights do not match their digest. Copy it again."
        )
    model = new_model(json.loads(metadata["description"]))
    return fill_model(model, {name: tensor.float() for name, tensor in tensors.items()})


def fill_model(model: Model, tensors: Mapping[str, Tensor]) -> Model:
    """The model with the weights given by name; its decoder is filled in place."""
    expected = model.tensors()
    if set(expected) != set(tensors):
        odd = sorted(set(expected) ^ set(tensors))
        raise ModelError(f"weights must be those of the description; these differ: {odd}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise ModelError(
                f"{name} must have shape {tuple(expected[name].shape)}; got {tuple(tensor.shape)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{name} must be finite; got nan or inf")
    weights = tuple(
        LayerWeights(
            tensors[f"encoder.{index}.synapses"],
            tensors[f"encoder.{index}.feedback"],
            tensors[f"encoder.{index}.bias"],
        )
        for index in range(len(model.weights))
    )
    prefix = "decoder."
    model.decoder.load_state_dict(
        {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    )
    return model.with_weights(weights)


def find_model(name_or_path: str | Path) -> Path:
    """The file of a model given by name or path."""
    given = Path(name_or_path)
    if given.is_file():
        return given
    packaged = MODELS_FOLDER / f"{name_or_path}.safetensors"
    if given.name == str(name_or_path) and packaged.is_file():
        return packaged
    is_run = given.is_dir() and next(given.glob("checkpoint-*.safetensors"), None) is not None
    raise ModelNotFoundError(
        f"a model must be a file or one of: {', '.join(model_names()) or 'none'}; "
        f"got {str(name_or_path)!r}{f'. {_export(given)}' if is_run else ''}"
    )


def model_names() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in MODELS_FOLDER.glob("*.safetensors") if _is_model(path))


def _instead(path: Path, metadata: Mapping[str, str]) -> str:
    """What a file is that is no model, and what to do."""
    if "streamvdib_checkpoint" in metadata:
        return f"it is a checkpoint of a run. {_export(path)}"
    if "about" in metadata:
        return (
            "it is a checkpoint of a training, which streamvdib train goes on from; its model is "
            "written at the end"
        )
    return f"got format {metadata.get('streamvdib_model')!r}"


def _export(path: Path) -> str:
    return f"Write its weights as a model: streamvdib checkpoint {path} --export MODEL"


def _is_model(path: Path) -> bool:
    with safe_open(path, "pt") as file:
        return "streamvdib_model" in (file.metadata() or {})


def _read_file(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} must be a safetensors file; {error}") from None


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in order of name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
