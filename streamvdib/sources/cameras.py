"""Cameras at this machine, by whichever library is installed.

    inivation://          inivation://DVXplorer_DXA00093        prophesee://        camera://

``driver=`` in the address picks a library: dv, neuromorphic, event-camera, metavision.
"""

from __future__ import annotations

import importlib
import importlib.util

from streamvdib.errors import ConfigurationError, MissingExtraError
from streamvdib.events import SensorSize
from streamvdib.sources.address import Address
from streamvdib.sources.devices import DeviceFeed
from streamvdib.sources.live import LiveOptions, LiveSource

DRIVERS: dict[str, tuple[str, str]] = {
    "dv": ("streamvdib.sources.drivers.inivation_dv", "dv_processing"),
    "neuromorphic": ("streamvdib.sources.drivers.neuromorphic", "neuromorphic_drivers"),
    "event-camera": ("streamvdib.sources.drivers.event_camera", "event_camera_drivers"),
    "metavision": ("streamvdib.sources.drivers.metavision", "metavision_core"),
}
"""Library -> our module for it, and the package that it needs."""

PREFERENCES = {
    "inivation": ("dv", "neuromorphic", "event-camera"),
    "prophesee": ("neuromorphic", "metavision"),
    "camera": ("neuromorphic", "dv", "metavision", "event-camera"),
}
"""Scheme -> libraries in the order in which they are tried."""

_EXTRA = {"dv": "camera-inivation", "neuromorphic": "camera-prophesee"}
_NO_EXTRA = {
    "event-camera": "pip install event-camera-drivers",
    "metavision": "the Metavision SDK, as docs.prophesee.ai says",
}


def open_camera(
    uri: str,
    *,
    sensor_size: SensorSize | None = None,
    packet_us: int = 10_000,
    lenient: bool = False,  # noqa: ARG001 - a live source is always lenient
    **options: object,
) -> LiveSource:
    """Open a camera; it tells its own size.

    Raises:
        MissingExtraError: no library for it is installed.
        LiveSourceError: there is no such camera.
    """
    scheme, _, rest = uri.partition(":")
    serial = rest.lstrip("/").partition("?")[0]
    address = Address(uri, options)
    address.take_sensor_size(sensor_size)
    library = address.take("driver", str, "")
    live = address.take_live_options(packet_us, LiveOptions())
    address.finish()
    module = importlib.import_module(DRIVERS[choose_library(scheme, library)][0])
    return LiveSource(DeviceFeed(uri, lambda: module.open_driver(serial)), live)


def choose_library(scheme: str, wanted: str = "") -> str:
    """The key of ``DRIVERS`` to use for a scheme.

    Raises:
        ConfigurationError: ``wanted`` is none of them, or one without an extra that is absent.
        MissingExtraError: it, or every one for this scheme, is not installed.
    """
    if wanted and wanted not in DRIVERS:
        raise ConfigurationError(f"driver must be one of: {', '.join(DRIVERS)}; got {wanted}")
    candidates = (wanted,) if wanted else PREFERENCES[scheme]
    for name in candidates:
        if importlib.util.find_spec(DRIVERS[name][1]) is not None:
            return name
    if wanted in _NO_EXTRA:
        raise ConfigurationError(
            f"driver={wanted} requires the package {DRIVERS[wanted][1]}; it is not installed. "
            f"Install it with: {_NO_EXTRA[wanted]}"
        )
    raise MissingExtraError(
        f"a camera at {scheme}://",
        extra=next(_EXTRA[name] for name in candidates if name in _EXTRA),
        missing=" or ".join(DRIVERS[name][1].replace("_", "-") for name in candidates),
    )
