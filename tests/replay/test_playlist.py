"""Recordings one after the other, in order or shuffled, whole or in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamvdib.replay.playlist import Entry, Order, Playlist, find_entries
from streamvdib.replay.writers import open_writer

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import EventArray, EventPacket, SensorSize


def entries_of(tools: Any, n_recordings: int) -> list[Entry]:
    """Recordings whose events have x = their number."""
    found = []
    for number in range(n_recordings):
        events = tools.some_events(100, seed=number, start_us=1000 * number)
        events["x"] = number
        packets = tools.cut(events)
        found.append(Entry(str(number), lambda packets=packets: tools.MemorySource(packets)))
    return found


def order_of(playlist: Playlist, n_recordings: int) -> list[int]:
    """Which recordings come first."""
    found: list[int] = []
    for packet in playlist:
        for x in packet.events["x"].tolist():
            if not found or found[-1] != x:
                found.append(x)
        if len(found) > n_recordings:
            break
    return found[:n_recordings]


def events_of(playlist: Playlist) -> EventArray:
    return np.concatenate([packet.events for packet in playlist])


def test_time_goes_on_from_recording_to_recording(tools: Any) -> None:
    playlist = Playlist(entries_of(tools, 3), Order(gap_us=50_000))
    end_us, starts = -1, []
    for packet in playlist:
        assert packet.end_us > end_us
        if len(packet.events):
            assert packet.events["t_us"][0] >= end_us
            starts.append((int(packet.events["x"][0]), int(packet.events["t_us"][0]) - end_us))
        end_us = packet.end_us
    gaps = {number: gap_us for number, gap_us in reversed(starts)}
    assert gaps[1] == gaps[2] == 50_000


def test_shuffling_is_a_function_of_the_seed_and_changes_every_round(tools: Any) -> None:
    def played(seed: int) -> list[int]:
        order = Order(shuffle=True, loop=True, seed=seed)
        return order_of(Playlist(entries_of(tools, 8), order), 15)

    assert played(1) == played(1)
    assert played(1) != played(2)
    assert sorted(played(1)[:8]) == list(range(8))
    assert played(1)[:7] != played(1)[8:15]


def test_a_loop_goes_on_after_the_end(tools: Any) -> None:
    assert order_of(Playlist(entries_of(tools, 2), Order(loop=True)), 5) == [0, 1, 0, 1, 0]


def test_a_part_is_counted_from_the_first_event(tools: Any) -> None:
    events = tools.some_events(2000, start_us=7_000)
    entry = Entry("one", lambda: tools.MemorySource(tools.cut(events)))
    part = events_of(Playlist([entry], Order(from_us=10_300, to_us=20_700)))
    times = events["t_us"] - events["t_us"][0]
    assert np.array_equal(part, events[(times >= 10_300) & (times < 20_700)])


def test_a_part_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--to must be later"):
        Order(from_us=5, to_us=5)


def test_recordings_of_different_sensors_are_refused(tools: Any) -> None:
    events = tools.some_events(10)
    other = Entry("other", lambda: tools.MemorySource(tools.cut(events), SensorSize(9, 9)))
    with pytest.raises(ConfigurationError, match="one sensor"):
        events_of(Playlist([*entries_of(tools, 1), other]))


def write(path: Path, events: EventArray, size: SensorSize) -> None:
    writer = open_writer(path, size)
    writer.write(EventPacket(events, int(events["t_us"][-1]) + 1))
    writer.close()


def test_a_folder_is_the_recordings_in_it_by_name(tools: Any, tmp_path: Path) -> None:
    written = []
    for number, name in enumerate(["b.svr", "a.svr", "sub/c.svr"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        events = tools.some_events(50, seed=number)
        write(tmp_path / name, events, tools.size)
        written.append(events)
    (tmp_path / "notes.md").write_text("no recording")
    found = find_entries(tmp_path)
    assert [Path(entry.name).name for entry in found] == ["a.svr", "b.svr", "c.svr"]
    first = found[0].open()
    assert np.array_equal(np.concatenate([p.events for p in first]), written[1])
    assert len(find_entries(tmp_path / "a.svr")) == 1


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="none was recognised"):
        find_entries(tmp_path)


def test_a_data_set_is_recognised_and_split(shared_data: Path) -> None:
    everything = find_entries(shared_data / "nmnist")
    train = find_entries(shared_data / "nmnist", split="train")
    assert 0 < len(train) <= len(everything)
    assert Playlist(train[:2]).sensor_size == SensorSize(34, 34)


def test_a_split_of_what_is_no_data_set_is_refused(tools: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.svr", tools.some_events(5), tools.size)
    with pytest.raises(ConfigurationError, match="--split"):
        find_entries(tmp_path / "a.svr", split="train")
    with pytest.raises(ConfigurationError, match="--split"):
        find_entries(tmp_path, split="train")
