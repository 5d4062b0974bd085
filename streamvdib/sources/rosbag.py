"""ROS 1 bags (.bag) and ROS 2 bags (a folder, .mcap or .db3) with events.

Read are event_camera_msgs/EventPacket (encodings evt3, evt21, evt2 and mono) and dvs_msgs or
prophesee_event_msgs/EventArray; sensor_msgs/Image of 8-bit grey gives natural frames, if the bag
has one such topic. The option ``topic`` chooses where a bag has several topics of events,
``image_topic`` the frames.

Times of evt2, evt21, evt3 and mono are the sensor's, of EventArray the computer's, both in whole
microseconds. Bags are taken apart by the package rosbags, messages by ``ros_messages``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from streamvdib.errors import ConfigurationError, MissingExtraError, RecordingError
from streamvdib.events import EventArray, SensorSize, TimedImage, empty_events
from streamvdib.sources.evt_decoder import ENCODINGS, EvtDecoder
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, block_locator
from streamvdib.sources.reading import count
from streamvdib.sources.recording import Recording
from streamvdib.sources.ros_messages import (
    Cursor,
    MessageError,
    decode_mono,
    read_event_array,
    read_event_packet,
    read_image,
    read_size,
)
from streamvdib.sources.unpacked import named, plain_file

_SUFFIX_OF_MAGIC = {
    b"#ROSBAG V2.0": ".bag",
    b"\x89MCAP0\r\n": ".mcap",
    b"SQLite format 3\0": ".db3",
}
_PACKET_TYPES = (
    "event_camera_msgs/msg/EventPacket",
    "event_array_msgs/msg/EventArray",  # its name before 2023
)
_ARRAY_TYPES = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")
_IMAGE_TYPE = "sensor_msgs/msg/Image"


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file begins as a bag does, or the folder has a bag's metadata."""
    if path is not None and path.is_dir():
        return (path / "metadata.yaml").is_file()
    return head.startswith(tuple(_SUFFIX_OF_MAGIC))


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a bag.

    Options: ``topic`` (of the events), ``image_topic``.

    Raises:
        MissingExtraError: the package rosbags is not installed.
    """
    options.only("topic", "image_topic")
    with _opened(path, options) as bag:
        size = options.sensor_size or bag.sensor_size()
        title = f"ROS {2 if bag.is_ros2 else 1} bag ({bag.events.msgtype.replace('/msg/', '/')})"

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        with _opened(path, options) as again:
            yield from again.blocks(counters)

    return Recording(path, title, size, read_blocks, options)


@contextmanager
def _opened(path: Path, options: ReadOptions) -> Iterator[_Bag]:
    try:
        from rosbags.rosbag1 import Reader as Reader1
        from rosbags.rosbag2 import Reader as Reader2
    except ImportError as error:
        raise MissingExtraError(f"{path}: a ROS bag", extra="rosbag", missing="rosbags") from error
    with ExitStack() as stack:
        plain, is_ros2 = stack.enter_context(_named(path, options))
        ends = "" if plain.is_dir() else f" (it ends at byte {plain.stat().st_size})"
        with _reading(path, f"byte 0{ends}"):
            reader = stack.enter_context(Reader2(plain) if is_ros2 else Reader1(plain))
        yield _Bag(reader, str(path), options, is_ros2=is_ros2)


@contextmanager
def _named(path: Path, options: ReadOptions) -> Iterator[tuple[Path, bool]]:
    """The bag under a name that its reader accepts, and whether it is of ROS 2."""
    if path.is_dir():
        yield path, True
        return
    with plain_file(path, lenient=options.lenient) as plain:
        with plain.open("rb") as file:
            head = file.read(16)
        suffix = next(end for magic, end in _SUFFIX_OF_MAGIC.items() if head.startswith(magic))
        with named(plain, suffix) as link:
            yield link, suffix != ".bag"


@contextmanager
def _reading(name: object, place: str) -> Iterator[None]:
    """Tell any failure of the reader as one of the recording: it raises what it meets."""
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:
        text = str(error) or type(error).__name__
        raise RecordingError(
            f"{name}, {place}: a bag must be whole and indexed; the reader says: {text}. Mend it "
            "with 'rosbag reindex' (ROS 1) or 'ros2 bag reindex' (ROS 2), or record it again."
        ) from error


class _Bag:
    """An open bag: which topics are read, and their messages."""

    def __init__(self, reader: Any, name: str, options: ReadOptions, *, is_ros2: bool) -> None:
        self.is_ros2 = is_ros2
        self._reader = reader
        self._name = name
        chosen = options.format_options
        event_types = (*_PACKET_TYPES, *_ARRAY_TYPES)
        self.events = self._topic(event_types, chosen.get("topic"), "topic")
        self._images = self._image_topic(chosen.get("image_topic"))

    def _topic(self, types: tuple[str, ...], wanted: object, option: str) -> Any:
        found = {c.topic: c for c in self._reader.connections if c.msgtype in types}
        if wanted is None and len(found) == 1:
            return next(iter(found.values()))
        if wanted in found:
            return found[wanted]
        if not found:
            held = ", ".join(sorted({c.msgtype for c in self._reader.connections}))
            raise RecordingError(
                f"{self._name}: a bag must hold a topic of {' or '.join(types)}; it holds "
                f"{held or 'none'}. Record the camera's events too."
            )
        raise ConfigurationError(
            f"{self._name}: {option} must be one of {', '.join(sorted(found))}; got {wanted!r}"
        )

    def _image_topic(self, wanted: object) -> Any:
        """The images' connection; None if there is none, or several and none is chosen."""
        found = [c for c in self._reader.connections if c.msgtype == _IMAGE_TYPE]
        if wanted is None and len(found) != 1:
            return None
        return self._topic((_IMAGE_TYPE,), wanted, "image_topic")

    def sensor_size(self) -> SensorSize:
        """From the first message."""
        with _reading(self._name, "message 0"):
            for _, _, data in self._reader.messages([self.events]):
                return read_size(Cursor(bytes(data), is_cdr=self.is_ros2))
        return SensorSize(1, 1)  # of a bag without events

    def blocks(self, counters: dict[str, int]) -> Iterator[Block]:
        """Events message by message, with the images recorded until then."""
        decoder = _Decoder(counters)
        images: list[TimedImage] = []
        connections = [c for c in (self.events, self._images) if c is not None]
        messages = self._reader.messages(connections)
        n_messages = 0
        while True:
            place = f"message {n_messages}"
            with _reading(self._name, place):
                message = next(messages, None)
            if message is None:
                break
            connection, _, data = message
            cursor = Cursor(bytes(data), is_cdr=self.is_ros2)
            with _reading(self._name, place):
                if connection.msgtype == _IMAGE_TYPE:
                    image = read_image(cursor)
                    count(counters, "images_not_grey", image is None)
                    images.extend([image] if image else [])
                else:
                    for events in decoder.decode(cursor, connection.msgtype):
                        yield Block(events, block_locator(place), tuple(images))
                        images = []
            n_messages += 1
        yield Block(empty_events(), block_locator("the end"), tuple(images))


class _Decoder:
    """Messages to events; an EVT3 stream goes on from one message to the next."""

    def __init__(self, counters: dict[str, int]) -> None:
        self._counters = counters
        self._evt: EvtDecoder | None = None

    def decode(self, cursor: Cursor, message_type: str) -> Iterator[EventArray]:
        """The events of one message, in pieces."""
        if message_type in _ARRAY_TYPES:
            yield read_event_array(cursor)
            return
        packet = read_event_packet(cursor)
        if packet.encoding == "mono":
            yield decode_mono(packet)
            return
        if packet.encoding not in ENCODINGS:
            raise MessageError(
                f"the encoding must be mono or one of {', '.join(ENCODINGS)}; it is "
                f"{packet.encoding!r}"
            )
        if self._evt is None:
            self._evt = EvtDecoder(packet.encoding, self._counters)
        if len(packet.data) % self._evt.word_bytes:
            raise MessageError("it ends inside a word")
        for block in self._evt.decode(packet.data):
            yield block.events
