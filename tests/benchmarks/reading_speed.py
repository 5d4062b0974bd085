"""How fast recordings are read, against the best library that reads each right.

    python -m tests.benchmarks.reading_speed [--data ../shared/data] [--json]

Both read the same file in the same run, in turns, fifteen times; the best of each counts, in
process time of one thread. AEDAT 2.0 and 40-bit recordings are the real ones repeated one after
the other until there are four million events, and there is no library to compare with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamvdib.events import as_events
from streamvdib.sources import open_source

N_TURNS = 15
N_EVENTS_LONG = 4_000_000


def ours(path: Path) -> int:
    """Events read by ``open_source``."""
    return sum(len(packet.events) for packet in open_source(path))


def with_faery(path: Path) -> int:
    """Events read by faery's own stream of packets."""
    import faery

    return sum(len(events) for events in faery.events_stream_from_file(path))


def with_faery_text(path: Path) -> int:
    """Text: whole microseconds, a header line, commas."""
    import faery

    stream = faery.events_stream_from_file(
        path, dimensions_fallback=(1280, 720), csv_properties=faery.CsvProperties.default()
    )
    return sum(len(events) for events in stream)


def with_dv(path: Path) -> int:
    """AEDAT4: batches as arrays, and frames."""
    import dv_processing

    reader = dv_processing.io.MonoCameraRecording(str(path))
    n_events = 0
    while (batch := reader.getNextEventBatch("events")) is not None:
        n_events += len(batch.numpy())
    while reader.isFrameStreamAvailable() and (frame := reader.getNextFrame("frames")) is not None:
        np.array(frame.image)
    return n_events


def with_numpy(path: Path) -> int:
    """The whole array at once, and whether it is in order and on the sensor."""
    events = np.load(path)
    in_order = bool((np.diff(events["t_us"]) >= 0).all())
    on_sensor = bool(events["x"].max() < 1280 and events["y"].max() < 720)
    return len(events) if in_order and on_sensor else 0


def with_numpy_unchecked(path: Path) -> int:
    """The whole array at once, whatever it holds: a copy of memory."""
    return len(np.load(path))


def with_numpy_columns(path: Path) -> int:
    """The whole array at once, made into events."""
    rows = np.load(path)
    return len(as_events(rows["t"], rows["x"], rows["y"], rows["p"]))


def with_h5py(path: Path) -> int:
    """The four columns at once, as events."""
    import h5py

    with h5py.File(path) as file:
        group = file["events"]
        return len(as_events(group["t"][:], group["x"][:], group["y"][:], group["p"][:]))


def repeated(source: Path, target: Path, record: np.dtype, header: bytes, shift: Callable) -> Path:
    """A recording repeated, later each time, until it has ``N_EVENTS_LONG`` events."""
    data = source.read_bytes()[len(header) :]
    records = np.frombuffer(data, record)
    n_times = -(-N_EVENTS_LONG // len(records))
    with target.open("wb") as file:
        file.write(header)
        for index in range(n_times):
            file.write(shift(records, index).tobytes())
    return target


def long_aedat2(data: Path, folder: Path) -> Path:
    """The checkerboard, again and again."""
    source = data / "aedat_legacy/calibration_24.aedat"
    content = source.read_bytes()
    header = content[: content.index(b"2015\r\n") + 6]
    record = np.dtype([("address", ">u4"), ("t_us", ">u4")])

    def shift(records: np.ndarray, index: int) -> np.ndarray:
        later = records.copy()
        later["t_us"] += np.uint32(index * 600_000)
        return later

    return repeated(source, folder / "long.aedat", record, header, shift)


def long_atis40(data: Path, folder: Path) -> Path:
    """One second of N-Caltech101, squeezed in time so that 23 bits hold it all."""
    source = data / "atis/ncaltech101_face.bin"
    record = np.dtype((np.uint8, 5))

    def shift(records: np.ndarray, index: int) -> np.ndarray:
        later = records.reshape(-1, 5).copy()
        t = (later[:, 2].astype(np.int64) & 0x7F) << 16 | later[:, 3].astype(np.int64) << 8
        t = (t | later[:, 4]) // 4 + index * 80_000
        later[:, 2] = (later[:, 2] & 0x80) | t >> 16
        later[:, 3], later[:, 4] = t >> 8 & 255, t & 255
        return later

    return repeated(source, folder / "long.bin", record, b"", shift)


def cases(data: Path, folder: Path) -> dict[str, tuple[Path, Callable | None]]:
    """Name -> file, and how the best library reads it."""
    events = np.concatenate(
        [packet.events for packet in open_source(data / "prophesee/evt3_imx636.raw")]
    )
    np.save(folder / "events.npy", events)
    columns_type = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    rows = np.empty(len(events), columns_type)
    for name, field in (("x", "x"), ("y", "y"), ("p", "on"), ("t", "t_us")):
        rows[name] = events[field]
    np.save(folder / "columns.npy", rows)
    made: dict[str, tuple[Path, Callable | None]] = {
        "AEDAT 2.0": (long_aedat2(data, folder), None),
        "ATIS 40-bit": (long_atis40(data, folder), None),
        "AEDAT4 (LZ4, frames)": (data / "aedat4/davis346_street_with_frames.aedat4", with_dv),
        "AEDAT4 (LZ4)": (data / "aedat4/dvxplorer_320x240.aedat4", with_dv),
        "EVT3": (data / "prophesee/evt3_imx636.raw", with_faery),
        "EVT2": (data / "prophesee/evt2_sample.raw", with_faery),
        "DAT": (data / "prophesee/imx636_same_recording.dat", with_faery),
        "Event Stream dvs": (data / "event_stream/dvs_320x240.es", with_faery),
        "Event Stream atis": (data / "event_stream/atis_320x240.es", with_faery),
        "NumPy .npy": (folder / "events.npy", with_numpy),
        "NumPy .npy (unchecked)": (folder / "events.npy", with_numpy_unchecked),
        "NumPy .npy (x y p t)": (folder / "columns.npy", with_numpy_columns),
    }
    text = folder / "events.csv"
    columns = [events["t_us"], events["x"], events["y"], events["on"]]
    np.savetxt(
        text, np.stack(columns, axis=1), fmt="%d", delimiter=",", header="t,x,y,p", comments=""
    )
    made["text"] = (text, with_faery_text)
    import h5py

    with h5py.File(folder / "events.h5", "w") as file:
        for name in ("x", "y"):
            file[f"events/{name}"] = events[name]
        file["events/t"], file["events/p"] = events["t_us"], events["on"]
    made["HDF5"] = (folder / "events.h5", with_h5py)
    return made


def best_s(readers: list[Callable[[Path], int]], path: Path) -> tuple[list[float], list[int]]:
    """Best process times of readers that take turns, and what they counted."""
    best, counts = [float("inf")] * len(readers), [0] * len(readers)
    for _ in range(N_TURNS):
        for index, reader in enumerate(readers):
            start = time.process_time()
            counts[index] = reader(path)
            best[index] = min(best[index], time.process_time() - start)
    return best, counts


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="reading speed against other libraries")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (path, library) in cases(arguments.data, Path(folder)).items():
            readers = [ours] if library is None else [ours, library]
            seconds, counts = best_s(readers, path)
            speeds = [n / s / 1e6 for n, s in zip(counts, seconds, strict=True)]
            rows.append(
                {
                    "format": name,
                    "events": counts[0],
                    "ours_mev_s": round(speeds[0], 1),
                    "library": None if library is None else library.__name__,
                    "library_events": None if library is None else counts[1],
                    "library_mev_s": None if library is None else round(speeds[1], 1),
                    "ratio": None if library is None else round(speeds[0] / speeds[1], 2),
                }
            )
    for row in rows:
        if arguments.json:
            sys.stdout.write(json.dumps(row) + "\n")
        else:
            sys.stdout.write("  ".join(f"{value!s:>22}" for value in row.values()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
