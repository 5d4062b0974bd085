"""The main job from the command line: what it writes, what it says, how it refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamvdib.cli import COMMANDS, EXIT_OK, EXIT_USAGE, main
from streamvdib.commands.table import closing_rows
from streamvdib.engine import Engine
from streamvdib.events import SensorSize
from streamvdib.geometry import Box, Geometry
from streamvdib.model import save_model
from tests.models import small_model


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "small.safetensors"
    save_model(small_model(), path)
    return str(path)


def recording(path: Path, n_events: int = 200, **columns: int) -> str:
    """A `t x y p` text file of 20 ms on a 4x3 sensor."""
    generator = np.random.default_rng(0)
    rows = [
        f"{t} {columns.get('x', generator.integers(4))} {generator.integers(3)} "
        f"{generator.integers(2)}"
        for t in np.sort(generator.integers(0, 20_000, n_events))
    ]
    path.write_text("t x y p\n" + "\n".join(rows) + "\n")
    return str(path)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


OPTIONS = ["--sensor-size", "4x3"]


def run(*words: str) -> int:
    return main(["run", *words, *OPTIONS])


def test_a_run_writes_a_frame_per_step_and_closes_with_a_table(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(recording(tmp_path / "r.txt"), "--model", model, "--out", str(tmp_path / "o"))
    assert code == EXIT_OK
    frames = sorted((tmp_path / "o").iterdir())
    assert len(frames) in (19, 20)
    assert size_of(frames[0]) == (4, 5)
    table = capsys.readouterr().out
    for words in ("events", "200", "time steps", "step latency p50 / p99", "dropped or repaired"):
        assert words in table


def test_datagrams_that_came_are_not_listed_as_dropped() -> None:
    engine = Engine(small_model(), Geometry(SensorSize(4, 3), Box(0, 0, 4, 3)))
    counters = {"late": 2, "datagrams": 1700}
    rows = dict(closing_rows(engine, seconds=1.0, source_counters=counters))
    assert rows["datagrams"] == "1,700"
    assert rows["dropped or repaired"] == "late 2"


def test_frames_can_be_fewer_larger_and_beside_their_events(tmp_path: Path, model: str) -> None:
    code = run(
        recording(tmp_path / "r.txt"), "--model", model, "--out", str(tmp_path / "o"),
        "--every-us", "5000", "--scale", "3", "--with-events", "--quiet",
    )  # fmt: skip
    assert code == EXIT_OK
    frames = sorted((tmp_path / "o").iterdir())
    assert len(frames) in (3, 4)
    assert size_of(frames[0]) == (3 * (4 + 4 + 4), 3 * 5)


def test_each_of_several_sources_has_its_own_place(tmp_path: Path, model: str) -> None:
    names = [recording(tmp_path / f"{letter}.txt") for letter in "ab"]
    assert run(*names, "--model", model, "--out", str(tmp_path / "o"), "--quiet") == EXIT_OK
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["000-a", "001-b"]


def test_the_same_seed_gives_the_same_files(tmp_path: Path, model: str) -> None:
    name = recording(tmp_path / "r.txt")
    for folder in ("one", "two"):
        run(name, "--model", model, "--out", str(tmp_path / folder), "--seed", "3", "--quiet")
    one, two = (sorted((tmp_path / folder).iterdir()) for folder in ("one", "two"))
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\x00\x01garbage\xff" * 40, ""),
        (b"t x y p\n10 1 1 1\n5 1 1 1\n", "earlier|order|back"),
        (b"t x y p\n10 9 1 1\n", "sensor"),
    ],
)
def test_a_bad_recording_is_one_line_on_standard_error_and_exit_code_2(
    tmp_path: Path,
    model: str,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    message: str,
) -> None:
    import re

    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    assert run(str(path), "--model", model, "--quiet") == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("streamvdib: ")
    assert "Traceback" not in error
    assert re.search(message, error)


def test_frames_written_before_an_error_stay(tmp_path: Path, model: str) -> None:
    path = tmp_path / "bad.txt"
    good = "".join(f"{t} 1 1 1\n" for t in range(150_000))
    path.write_text("t x y p\n" + good + "200500 9 1 1\n")
    assert run(str(path), "--model", model, "--out", str(tmp_path / "o"), "--quiet") == EXIT_USAGE
    frames = sorted((tmp_path / "o").iterdir())
    assert len(frames) > 50
    for frame in frames:
        assert frame.suffix == ".png"
        assert size_of(frame) == (4, 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "nowhere"], "a model must be a file or one of"),
        (["--every-us", "1500"], "--every-us must be a multiple of the time step of 1000 us"),
        (["--every-us", "0"], "--every-us must be a multiple"),
        (["--dt-us", "0"], "--dt-us must be at least 1 microsecond; got 0"),
        (["--crop", "2x2"], "the model takes 4x3 pixels; the source gives 2x2"),
        (["--out", "x.avi"], "--out must be a folder, a .gif or an .mp4 file"),
        (["--device", "abacus"], "--device must be one that torch can use; got 'abacus'"),
        (["--sensor-size", "big"], "--sensor-size must read WIDTHxHEIGHT; got 'big'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    tmp_path: Path,
    model: str,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    options = ["--model", model] if "--model" not in words else []
    size = OPTIONS if "--sensor-size" not in words else []
    name = recording(tmp_path / "r.txt")
    assert main(["run", name, *options, *size, *words, "--quiet"]) == EXIT_USAGE
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("/nowhere/at/all.bin", "--model", model) == EXIT_USAGE
    assert "/nowhere/at/all.bin" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_say_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert "usage: streamvdib " + name in capsys.readouterr().out


def test_an_unknown_command_exits_with_2() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["naturalize"])
    assert stopped.value.code == EXIT_USAGE


def test_the_package_runs_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "streamvdib", "--help"], capture_output=True, text=True, check=True
    )
    assert "natural frames" in result.stdout


def test_doctor_says_that_both_backends_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == EXIT_OK
    assert capsys.readouterr().out.count("works") == 2


def test_doctor_names_the_extra_of_a_package_that_is_absent_with_all_it_lies_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``find_spec`` answers: None for a package, an error for a module in an absent one."""

    def find_spec(name: str) -> None:
        if "." in name:
            raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    monkeypatch.setattr("streamvdib.commands.doctor._backend_state", lambda _name: "works")
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor"]) == EXIT_OK
    printed = capsys.readouterr().out
    for name in ("aedat4 (lz4)", "zstd)", "camera-prophesee (neuromorphic_drivers)"):
        (line,) = [line for line in printed.splitlines() if name in line]
        assert "absent" in line
        assert "pip install 'streamvdib[" in line


def test_models_are_listed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert main(["models", "--json"]) == EXIT_OK
    assert isinstance(json.loads(capsys.readouterr().out), list)
