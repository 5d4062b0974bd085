"""Options that several commands share, and the engine they describe."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streamvdib.commands.showing import told_if_slow
from streamvdib.errors import ConfigurationError

if TYPE_CHECKING:
    from streamvdib.engine import Engine
    from streamvdib.events import SensorSize
    from streamvdib.model import Model

DEFAULT_MODEL = "nmnist"
Group = argparse._ActionsContainer  # a parser, or one of its groups


def counted(text: str) -> int:
    """The type of options that count something there must be at least one of."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more; got {text!r}")
    return number


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that choose the model and fit the sensor to it."""
    group = parser.add_argument_group("model and geometry")
    group.add_argument("--model", default=DEFAULT_MODEL, help="a name or a file (%(default)s)")
    add_weights_argument(group)
    group.add_argument("--dt-us", type=int, help="time step, microseconds (the model's own)")
    group.add_argument("--every-us", type=int, help="time between frames (every step)")
    group.add_argument("--crop", help="WIDTHxHEIGHT[+X+Y] of the sensor; centred without a corner")
    group.add_argument("--downsample", type=int, default=1, help="pixels across that become one")
    group.add_argument("--tile", action="store_true", help="cover the sensor with tiles")
    group.add_argument("--overlap", type=int, default=0, help="pixels that tiles share")
    group.add_argument("--seed", type=int, default=0, help="of the random draws (%(default)s)")
    group.add_argument(
        "--backend",
        default="auto",
        choices=("auto", "numba", "torch", "torch-compile", "cuda-graph"),
        help="torch-compile requires a C++ compiler, cuda-graph a GPU (%(default)s)",
    )
    group.add_argument("--device", default="cpu", help="of torch, such as cuda (%(default)s)")


def add_weights_argument(group: Group) -> None:
    """``--weights``, which ``reduced_weights`` explains."""
    group.add_argument(
        "--weights",
        choices=("float32", "bf16", "int8"),
        help="round the encoder's weights to these, not to learn (the model's own)",
    )


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say how sources are read."""
    group = parser.add_argument_group("source")
    group.add_argument("--sensor-size", help="WIDTHxHEIGHT, where the source does not say")
    group.add_argument("--max-gap-us", type=int, default=60_000_000, help="(%(default)s)")
    group.add_argument(
        "--lenient", action="store_true", help="repair and count what would be an error"
    )
    add_format_options(group)


def add_format_options(group: Group) -> None:
    """``--option KEY=VALUE``, for what a recording does not say of itself."""
    group.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of a format, such as columns='x y t p', topic=/dvs/events or format=text",
    )


def format_options(texts: list[str]) -> dict[str, Any]:
    """Options of ``open_source`` from ``KEY=VALUE``; whole numbers, true and false are meant."""
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigurationError(f"--option must read KEY=VALUE; got {text!r}")
        known = {"true": True, "false": False}
        options[key] = int(value) if value.isdigit() else known.get(value.lower(), value)
    return options


def sensor_size(text: str | None) -> SensorSize | None:
    """``WIDTHxHEIGHT`` as a sensor size."""
    from streamvdib.events import SensorSize

    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ConfigurationError(f"--sensor-size must read WIDTHxHEIGHT; got {text!r}")
    return SensorSize(int(width), int(height))


def load_chosen_model(arguments: argparse.Namespace) -> Model:
    """The model of ``--model``, with the time step of ``--dt-us`` and the weights of ``--weights``.

    Raises:
        ConfigurationError: the options contradict each other or the model.
    """
    from streamvdib.model import load_model
    from streamvdib.reduced_weights import check_can_learn

    model = reduced(load_model(arguments.model), arguments.weights)
    if getattr(arguments, "learn", False):
        check_can_learn(model)
    if arguments.dt_us is None:
        return model
    if arguments.dt_us < 1:
        raise ConfigurationError(f"--dt-us must be at least 1 microsecond; got {arguments.dt_us}")
    return replace(model, description={**model.description, "dt_us": arguments.dt_us})


def reduced(model: Model, weights: str | None) -> Model:
    """The model with the weights of ``--weights``, its own without that option."""
    from streamvdib.reduced_weights import with_reduced_weights

    return model if weights is None else with_reduced_weights(model, weights)


def steps_between_frames(every_us: int | None, dt_us: int) -> int:
    """``--every-us`` in steps."""
    if every_us is None:
        return 1
    if every_us < dt_us or every_us % dt_us:
        raise ConfigurationError(
            f"--every-us must be a multiple of the time step of {dt_us} us; got {every_us}"
        )
    return every_us // dt_us


def make_engine(
    arguments: argparse.Namespace, model: Model, sensor: SensorSize, *, is_live: bool
) -> Engine:
    """The engine that the arguments describe; torch gets one thread, as the engine steps alone."""
    import torch

    from streamvdib.engine import Engine
    from streamvdib.geometry import area_of, fit_geometry
    from streamvdib.resizing import fits_any_size, resized

    torch.set_num_threads(1)
    if not arguments.tile and fits_any_size(model):
        model = resized(model, *area_of(sensor, arguments.crop, arguments.downsample))
    geometry = fit_geometry(
        sensor,
        model.encoder.input_shape,
        crop=arguments.crop,
        downsample=arguments.downsample,
        tile=arguments.tile,
        overlap=arguments.overlap,
    )
    on_device = device_options(arguments, model)
    engine = Engine(
        model,
        geometry,
        decode_every=steps_between_frames(arguments.every_us, model.dt_us),
        seed=arguments.seed,
        backend=backend_on(arguments.backend, on_device),
        policy="count" if is_live or arguments.lenient else "raise",
        max_gap_us=arguments.max_gap_us,
        **on_device,
    )
    with told_if_slow("streamvdib: compiling its loops, once per installation: half a minute"):
        engine.warm_up()
    return engine


def backend_on(backend: str, on_device: Mapping[str, Any]) -> str:
    """The backend asked for; with ``--device`` one of torch, the plain one unless named."""
    return "torch" if on_device and backend in ("auto", "numba") else backend


def device_options(arguments: argparse.Namespace, model: Model) -> dict[str, Any]:
    """Backend options of ``--device``; the decoder is moved there. Empty on the CPU."""
    import torch

    if arguments.device == "cpu":
        return {}
    try:
        device = torch.device(arguments.device)
        model.decoder.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(
            f"--device must be one that torch can use; got {arguments.device!r}: {reason}. "
            "Use --device cpu."
        ) from None
    return {"device": device}
