"""Recordings written for tests by the libraries of their formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamvdib.events import EventArray, SensorSize


def write_aedat4(
    path: Path,
    events: EventArray,
    size: SensorSize,
    frames: bool = True,
    compression: str = "LZ4",
) -> None:
    """AEDAT4 with two frames, at the first event and at the last."""
    dv = pytest.importorskip("dv_processing")
    config = dv.io.MonoCameraWriter.Config("made")
    config.compression = getattr(dv.CompressionType, compression)
    config.addEventStream(tuple(size))
    config.addFrameStream(tuple(size))
    writer = dv.io.MonoCameraWriter(str(path), config)
    for piece in np.array_split(events, max(1, len(events) // 100)):
        store = dv.EventStore()
        for t, x, y, on in piece.tolist():
            store.push_back(t, x, y, on)
        writer.writeEvents(store)
    if frames and len(events):
        for t_us, grey in ((events[0]["t_us"], 10), (events[-1]["t_us"], 200)):
            pixels = np.full((size.height, size.width), grey, np.uint8)
            writer.writeFrame(dv.Frame(int(t_us), pixels))
    del writer


def write_hdf5(path: Path, events: EventArray, offset_us: int = 0) -> None:
    """DSEC's layout."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        group = file.create_group("events")
        group["t"] = (events["t_us"] - offset_us).astype(np.uint32)
        group["x"], group["y"] = events["x"], events["y"]
        group["p"] = events["on"].astype(np.uint8)
        file["t_offset"] = offset_us
        file["ms_to_idx"] = np.arange(3)


DVS_EVENT = "uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n"
DVS_ARRAY = "std_msgs/Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n"
EVENT_PACKET = (
    "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\n"
    "string encoding\nbool is_bigendian\nuint8[] events\n"
)


def write_bag(
    path: Path,
    events: EventArray,
    size: SensorSize,
    *,
    ros: int,
    encoding: str | None = None,
    payload: bytes = b"",
) -> None:
    """A bag: dvs_msgs/EventArray in messages of 50 events, or one EventPacket per 64 bytes.

    Args:
        path: of the .bag file, or of the folder.
        events: for EventArray.
        size: of the sensor.
        ros: 1 or 2.
        encoding: of EventPackets; None for EventArray.
        payload: of EventPackets.
    """
    pytest.importorskip("rosbags")
    from rosbags.rosbag1 import Writer as Writer1
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as Writer2
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC if ros == 1 else Stores.ROS2_HUMBLE)
    time_type = "time" if ros == 1 else "builtin_interfaces/Time"
    store.register(
        get_types_from_msg(
            DVS_EVENT.replace("builtin_interfaces/Time", time_type), "dvs_msgs/msg/Event"
        )
    )
    store.register(get_types_from_msg(DVS_ARRAY, "dvs_msgs/msg/EventArray"))
    store.register(get_types_from_msg(EVENT_PACKET, "event_camera_msgs/msg/EventPacket"))
    t = store.types
    sequence = {"seq": 7} if ros == 1 else {}

    def time_of(us: int):
        return t["builtin_interfaces/msg/Time"](sec=us // 10**6, nanosec=us % 10**6 * 1000)

    def header(us: int):
        return t["std_msgs/msg/Header"](stamp=time_of(us), frame_id="camera", **sequence)

    def messages():
        if encoding is None:
            for start in range(0, len(events), 50):
                piece = events[start : start + 50].tolist()
                made = [
                    t["dvs_msgs/msg/Event"](x=x, y=y, ts=time_of(us), polarity=on)
                    for us, x, y, on in piece
                ]
                yield (
                    piece[0][0],
                    t["dvs_msgs/msg/EventArray"](
                        header=header(piece[0][0]),
                        height=size.height,
                        width=size.width,
                        events=made,
                    ),
                )
        else:
            for index, start in enumerate(range(0, len(payload), 64)):
                yield (
                    index,
                    t["event_camera_msgs/msg/EventPacket"](
                        header=header(index),
                        height=size.height,
                        width=size.width,
                        seq=index,
                        time_base=5_000_000,
                        encoding=encoding,
                        is_bigendian=False,
                        events=np.frombuffer(payload[start : start + 64], np.uint8),
                    ),
                )

    kind = "dvs_msgs/msg/EventArray" if encoding is None else "event_camera_msgs/msg/EventPacket"
    if ros == 1:
        with Writer1(path) as bag:
            connection = bag.add_connection("/events", kind, typestore=store)
            for us, message in messages():
                bag.write(connection, us * 1000 + 1, store.serialize_ros1(message, kind))
    else:
        with Writer2(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
            connection = bag.add_connection("/events", kind, typestore=store)
            for us, message in messages():
                bag.write(connection, us * 1000 + 1, store.serialize_cdr(message, kind))
