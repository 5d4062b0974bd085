"""How an engine was made, as plain values, and the engine made again from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from streamvdib.backends import BACKENDS
from streamvdib.engine_state import configuration
from streamvdib.errors import ConfigurationError
from streamvdib.events import SensorSize
from streamvdib.geometry import Box, Geometry
from streamvdib.model import new_model

if TYPE_CHECKING:
    from streamvdib.engine import Engine, Learner

MakeLearner = Callable[["Engine", Mapping[str, Any]], "Learner"]


def describe_engine(engine: Engine, learner: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Plain values from which ``make_described`` makes an engine that takes this one's state.

    Args:
        engine: what is described.
        learner: what the maker of its learner must know, if it has one.
    """
    made_of = type(getattr(engine.backend, "inner", engine.backend))  # without loops that learn
    name = f"{made_of.__module__}:{made_of.__qualname__}"
    known = {path: key for key, path in BACKENDS.items()}
    return {
        "configuration": configuration(engine),
        "decode_every": engine.decode_every,
        "backend": known.get(name, "auto"),
        "learner": dict(learner or {}),
    }


def make_described(
    about: Mapping[str, Any], *, backend: str | None = None, make_learner: MakeLearner | None = None
) -> Engine:
    """An engine as ``describe_engine`` said; its weights are random until a state is restored.

    Args:
        about: plain values, from a log.
        backend: instead of the one that was used.
        make_learner: makes the learner of an engine from ``about["learner"]``.

    Raises:
        ConfigurationError: the values do not describe an engine, or it learned and no
            ``make_learner`` is given.
    """
    from streamvdib.engine import Engine

    try:
        values = about["configuration"]
        model = new_model(values["description"])
        engine = Engine(
            model,
            None if values["geometry"] is None else _geometry(values["geometry"]),
            n_streams=int(values["n_streams"]),
            decode_every=int(about["decode_every"]),
            seed=int(values["seed"]),
            backend=backend or about["backend"],
            policy=next(iter(values["policy"]), "raise"),
            max_gap_us=next(iter(values["max_gap_us"]), 60_000_000),
        )
        learner = values["learner"]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"an engine cannot be made from its log: {error!r}") from error
    if learner is not None:
        if make_learner is None:
            raise ConfigurationError(f"the engine learned with {learner}; give what makes it")
        engine.learner = make_learner(engine, about["learner"])
    return engine


def _geometry(values: Mapping[str, Any]) -> Geometry:
    tile = values["tile"]
    return Geometry(
        SensorSize(*values["sensor"]),
        Box(*values["crop"]),
        downsample=int(values["downsample"]),
        tile=None if tile is None else (int(tile[0]), int(tile[1])),
        overlap=int(values["overlap"]),
        polarity_channels=int(values["polarity_channels"]),
    )
