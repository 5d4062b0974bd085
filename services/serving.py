"""From the options of ``streamvdib serve`` to a server: sources, engine, station, keys."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from streamvdib.replay.pace import PacedSource, parse_speed
from streamvdib.replay.playlist import Order, Playlist, find_entries

from streamvdib.allocator import keep_memory_flat
from streamvdib.commands.learning import Learning
from streamvdib.commands.options import (
    backend_on,
    device_options,
    format_options,
    load_chosen_model,
    make_engine,
    sensor_size,
)
from streamvdib.commands.safety import check_limit_arguments
from streamvdib.errors import ConfigurationError, GeometryError, ModelNotFoundError
from streamvdib.sources import EventSource, open_source

from .addresses import check_exposure, control_address, parse_address
from .clocks import SensorClock
from .engine_station import EngineStation
from .intake import Intake
from .keeping import Keeping, lag_of
from .keys import KeyPair
from .messages import checked_stream_name
from .recording import RecordingSwitch
from .server import Server, ServerOptions
from .snapshots import SnapshotKeeper

if TYPE_CHECKING:
    from streamvdib.engine import Engine

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})=(.+)")


@dataclass
class Assembly:
    """A server with what must be closed after it."""

    server: Server
    station: EngineStation
    sources: Mapping[str, EventSource]
    recording: RecordingSwitch
    snapshots: SnapshotKeeper | None
    keeping: Keeping

    def close(self) -> None:
        """Drain the server, then complete files."""
        self.server.close()
        self.recording.close()
        self.keeping.close()
        if self.snapshots is not None:
            self.snapshots.close()


def assemble(arguments: argparse.Namespace, guest: KeyPair | None) -> Assembly:
    """Open the sources and bind the sockets; nothing moves yet.

    Args:
        arguments: of ``serve``.
        guest: keys of the page's own process, let in as a learner.

    Raises:
        StreamVdibError: something cannot be meant or cannot be had; nothing stays open.
    """
    check_limit_arguments(arguments)
    keep_memory_flat()
    options = _server_options(arguments, guest)
    with ExitStack() as undo:
        sources = open_sources(arguments, undo)
        engine = _engine(arguments, sources)
        snapshots = SnapshotKeeper(Path(arguments.snapshots)) if arguments.snapshots else None
        if snapshots is not None:
            undo.callback(snapshots.close)
        sensors = {name: source.sensor_size for name, source in sources.items()}
        records = Path(arguments.records) if arguments.records else None
        recording = RecordingSwitch(records, sensors)
        keeping = Keeping(arguments, sources, learner=Learning(arguments).about)
        undo.callback(keeping.close)
        intakes = _intakes(arguments, sources, keeping)
        station = EngineStation(
            engine,
            tuple(sources),
            make_session=keeping.session,
            lag_s=lag_of(intakes, sources),
            watched=keeping.watched,
            alarms=lambda: keeping.counters,
            source_counters=_counters_of(sources, recording),
            make_engine=_engine_maker(arguments, sources),
            snapshots=snapshots,
            about=_about(sources),
            commands={"record_start": recording.start, "record_stop": recording.stop},
        )
        server = Server(
            station,
            intakes,
            options,
            list_models=lambda: allowed_models(arguments.models),
            on_packet=recording.push,
        )
        undo.pop_all()
    return Assembly(server, station, sources, recording, snapshots, keeping)


def open_sources(arguments: argparse.Namespace, undo: ExitStack) -> dict[str, EventSource]:
    """The sources by stream name, each at its pace; ``undo`` closes them."""
    speed = parse_speed(arguments.speed)
    found: dict[str, EventSource] = {}
    for index, word in enumerate(arguments.sources):
        match = None if Path(word).exists() else _NAMED.fullmatch(word)
        name, uri = (match[1], match[2]) if match else (f"stream{index}", word)
        if checked_stream_name(name) in found:
            raise ConfigurationError(f"streams must have different names; {name!r} came twice")
        paced = PacedSource(_opened(arguments, uri), speed, tick_us=arguments.packet_us)
        found[name] = cast("EventSource", paced)
        undo.callback(found[name].close)
    sizes = {source.sensor_size for source in found.values()}
    if len(sizes) > 1:
        raise GeometryError(
            "the sources of one service must have one sensor size, as lanes of one model; got "
            f"{', '.join(str(size) for size in sorted(sizes))}. Start a service for each"
        )
    return found


def allowed_models(folder: str | None) -> list[str]:
    """Names that ``load_model`` may load: those of the package, and of ``--models``."""
    from streamvdib.model import model_names

    names = set(model_names())
    if folder is not None:
        names |= {path.stem for path in Path(folder).glob("*.safetensors")}
    return sorted(names)


def _opened(arguments: argparse.Namespace, uri: str) -> EventSource:
    given: dict[str, Any] = {
        "sensor_size": sensor_size(arguments.sensor_size),
        "lenient": arguments.lenient,
        "packet_us": arguments.packet_us,
        **format_options(arguments.option),
    }
    if Path(uri).exists() and (arguments.loop or Path(uri).is_dir()):
        entries = find_entries(uri, **given)
        return Playlist(entries, Order(loop=arguments.loop, gap_us=arguments.gap_us))
    return open_source(uri, **given)


def _server_options(arguments: argparse.Namespace, guest: KeyPair | None) -> ServerOptions:
    data = parse_address(arguments.bind, "--bind")
    control = (
        parse_address(arguments.control, "--control")
        if arguments.control
        else control_address(data)
    )
    has_curve = arguments.curve is not None
    check_exposure(data, "--bind", has_curve=has_curve, insecure=arguments.insecure)
    check_exposure(control, "--control", has_curve=has_curve, insecure=arguments.insecure)
    return ServerOptions(
        data,
        control,
        curve=Path(arguments.curve) if has_curve else None,
        guests={guest.public: "learn"} if guest is not None else None,
        pixel_dtype={"f4": "<f4", "u1": "|u1"}[arguments.pixels],
    )


def _engine(arguments: argparse.Namespace, sources: Mapping[str, EventSource]) -> Engine:
    """An engine with a lane of the one model, or several, for each source; ready to step."""
    from streamvdib.engine import Engine

    model = load_chosen_model(arguments)
    first = next(iter(sources.values()))
    is_live = any(source.is_live for source in sources.values())
    engine = make_engine(arguments, model, first.sensor_size, is_live=is_live or arguments.loop)
    if len(sources) > 1:
        on_device = device_options(arguments, model)
        engine = Engine(
            engine.model,
            engine.geometry,
            n_streams=len(sources),
            decode_every=engine.decode_every,
            seed=engine.seed,
            backend=backend_on(arguments.backend, on_device),
            policy=engine.binners[0].policy,
            max_gap_us=arguments.max_gap_us,
            **on_device,
        )
        engine.warm_up()
    Learning(arguments).attach(engine, first.name)
    return engine


def _engine_maker(
    arguments: argparse.Namespace, sources: Mapping[str, EventSource]
) -> Callable[[str], Engine]:
    def make(name: str) -> Engine:
        if name not in allowed_models(arguments.models):
            raise ModelNotFoundError(
                f"a model must be one of {', '.join(allowed_models(arguments.models))}; "
                f"got {name!r}"
            )
        inside = Path(arguments.models or "") / f"{name}.safetensors"
        chosen = str(inside) if arguments.models and inside.is_file() else name
        changed = argparse.Namespace(**{**vars(arguments), "model": chosen})
        return _engine(changed, sources)

    return make


def _intakes(
    arguments: argparse.Namespace, sources: Mapping[str, EventSource], keeping: Keeping
) -> dict[str, Intake]:
    speed = parse_speed(arguments.speed)
    intakes = {}
    for name, source in sources.items():
        clock = SensorClock(1.0 if source.is_live else speed)
        intakes[name] = Intake(
            source,
            is_live=source.is_live,
            clock=clock,
            on_arrival=partial(keeping.arrived, name),
        )
    return intakes


def _counters_of(
    sources: Mapping[str, EventSource], recording: RecordingSwitch
) -> Callable[[], dict[str, int]]:
    def counters() -> dict[str, int]:
        totals = recording.dropped()
        for source in sources.values():
            for cause, n in source.counters.items():
                if n and not cause.startswith("pace_"):
                    totals[cause] = totals.get(cause, 0) + n
        return totals

    return counters


def _about(sources: Mapping[str, EventSource]) -> dict[str, dict[str, Any]]:
    return {
        name: {"sensor": list(source.sensor_size), "source": Path(source.name).name}
        for name, source in sources.items()
    }
