"""``streamvdib info``: a table for people, JSON for programs, exit code 2 for bad files."""

import json
import socket
from pathlib import Path

import pytest

from streamvdib.cli import main
from tests.sources.written import BY_BYTES, some_events


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    written = BY_BYTES["AEDAT 2.0 DAVIS"]
    path = tmp_path / "made.aedat"
    path.write_bytes(written.write(some_events(written.size), written.size))
    return path


def test_json_holds_what_the_recording_holds(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = some_events(BY_BYTES["AEDAT 2.0 DAVIS"].size)
    assert main(["info", "--json", str(recording)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "path": str(recording),
        "format": "AEDAT 2.0 (DAVIS)",
        "sensor_width": 346,
        "sensor_height": 260,
        "events": 300,
        "on": int(events["on"].sum()),
        "off": 300 - int(events["on"].sum()),
        "first_us": int(events["t_us"][0]),
        "last_us": int(events["t_us"][-1]),
        "duration_us": int(events["t_us"][-1] - events["t_us"][0]),
        "images": 0,
        "counters": {"aps_imu_words": 100, "external_events": 30},
    }


def test_lines_for_people_say_the_same(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(recording)]) == 0
    told = capsys.readouterr().out
    assert "AEDAT 2.0 (DAVIS)" in told
    assert "346x260" in told
    assert "aps imu words" in told


def test_an_empty_recording_has_no_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.aedat").write_bytes(b"#!AER-DAT2.0\r\n")
    assert main(["info", "--json", str(tmp_path / "none.aedat")]) == 0
    assert json.loads(capsys.readouterr().out)["duration_us"] is None


def test_a_bad_file_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").write_bytes(b"\xff" * 100)
    assert main(["info", str(tmp_path / "bad")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("streamvdib: ")
    assert "Traceback" not in told


def test_options_of_a_format_reach_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "made.txt").write_text("3 4 1 12\n")
    arguments = ["info", "--json", str(tmp_path / "made.txt"), "--sensor-size", "9x9"]
    assert main([*arguments, "--option", "columns=x y p t"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["first_us"], told["sensor_width"]) == (12, 9)


def test_a_live_source_is_refused_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert main(["info", f"udp://127.0.0.1:{port}?width=4&height=3"]) == 2
    assert "is a live source" in capsys.readouterr().err
