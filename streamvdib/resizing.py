"""A model with shared (convolutional) weights, made to fit another sensor size."""

from __future__ import annotations

from streamvdib.connections import Convolution
from streamvdib.errors import GeometryError
from streamvdib.model import Model, fill_model, new_model


def fits_any_size(model: Model) -> bool:
    """Whether every layer shares its weights over the image, and so does the decoder."""
    return model.description["decoder"]["kind"] == "upsampling" and all(
        isinstance(layer.connection, Convolution) for layer in model.encoder.layers
    )


def resized(model: Model, height: int, width: int) -> Model:
    """The same weights for an input of another size; the output grows in proportion.

    Raises:
        GeometryError: a layer is bound to one size.
    """
    if not fits_any_size(model):
        raise GeometryError(
            f"a model must be convolutional throughout to fit another size; {model.name} is not. "
            "Use --crop or --tile."
        )
    channels, old_height, old_width = model.encoder.input_shape
    decoder = dict(model.description["decoder"])
    output = decoder["output_shape"]
    decoder["output_shape"] = [
        max(1, round(output[0] * height / old_height)),
        max(1, round(output[1] * width / old_width)),
    ]
    description = {
        **model.description,
        "input_shape": [channels, height, width],
        "decoder": decoder,
    }
    return fill_model(new_model(description), model.tensors())
