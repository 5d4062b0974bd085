"""What a recording tells of its sensor whatever it shows."""

from pathlib import Path

import numpy as np
import pytest
from streamvdib.replay.simulation.mnist_dvs import DVS128_SIZE, simulate_mnist_dvs
from streamvdib.replay.simulation.sensor_figures import SensorFigures
from streamvdib.replay.simulator import draw_digit
from streamvdib.replay.writers import open_writer

from streamvdib.cli import main
from streamvdib.events import EventPacket, SensorSize, as_events
from streamvdib.sources import open_source

SMALL = SensorSize(16, 16)  # parts of 2 x 2


def figures(*events: tuple[int, int, int, bool]) -> SensorFigures:
    found = SensorFigures(SMALL)
    found.add(as_events(*zip(*events, strict=True)))
    return found


def test_a_word_of_the_same_sign_within_3_us_is_a_repeat_and_counts_nowhere_else() -> None:
    found = figures((0, 4, 4, True), (2, 4, 4, True), (4, 4, 4, False), (9, 4, 4, False))
    assert (found.n_events, found.n_repeats, found.n_on) == (4, 1, 1)
    assert np.concatenate(found.gaps_us).tolist() == [2, 5]


def test_a_run_ends_with_the_other_sign_or_after_50_ms() -> None:
    """By hand: ON ON, OFF, OFF 60 ms later; another pixel between them makes a run of its own."""
    found = figures(
        (0, 4, 4, True), (100, 9, 9, True), (1000, 4, 4, True), (2000, 4, 4, False),
        (62_000, 4, 4, False),
    )  # fmt: skip
    assert found.n_runs == 4


def test_events_with_a_neighbour_within_50_ms_are_no_noise() -> None:
    """By hand: two of three are neighbours; the third is alone, and so is one 60 ms later."""
    found = figures((0, 4, 4, True), (49_000, 5, 5, False), (50_000, 10, 4, True))
    assert found.alone.sum() == 1
    later = figures((0, 4, 4, True), (60_000, 5, 5, False), (200_000, 10, 4, True))
    assert later.alone.sum() == 3


def test_noise_beside_a_busy_place_is_found_at_its_rate() -> None:
    """Law: 0.5 ON and 0.1 OFF a second and pixel over 100 s; a column that flickers at 100 Hz."""
    generator = np.random.default_rng(0)
    n_noise = 64 * 64 * 60
    t_us = generator.integers(0, 100_000_000, n_noise)
    x, y = generator.integers(0, 64, (2, n_noise))
    on = generator.random(n_noise) < 5 / 6
    busy_us = np.arange(0, 100_000_000, 10_000)
    t_us, x = np.append(t_us, busy_us), np.append(x, np.full(len(busy_us), 60))
    y, on = np.append(y, np.full(len(busy_us), 60)), np.append(on, busy_us % 20_000 == 0)
    order = np.argsort(t_us, kind="stable")
    found = SensorFigures(SensorSize(64, 64))
    found.add(as_events(t_us[order], x[order], y[order], on[order]))
    off_hz, on_hz = found.noise_hz()
    alone = np.exp(-9 * 0.6 * 0.1)  # what has no other within 50 ms on nine pixels
    assert on_hz == pytest.approx(0.5 * alone, rel=0.08)
    assert off_hz == pytest.approx(0.1 * alone, rel=0.15)


def test_no_event_gives_no_figure_and_no_error() -> None:
    found = SensorFigures(SMALL)
    found.add(as_events([], [], [], []))
    assert len(found.rows()) == 7


def test_a_simulated_dvs128_is_as_noisy_as_the_real_one(shared_data: Path) -> None:
    """The moving box (docs/datasets.md has the figures of 20 digits)."""
    real, simulated = SensorFigures(DVS128_SIZE), SensorFigures(DVS128_SIZE)
    source = open_source(shared_data / "aedat_legacy/dvs128_moving_dark_box.aedat")
    real.add(np.concatenate([packet.events for packet in source]))
    for seed in range(8):
        simulated.add(simulate_mnist_dvs(draw_digit(seed, 0), seed))
    assert simulated.noise_hz()[1] == pytest.approx(real.noise_hz()[1], rel=0.2)
    assert simulated.noise_hz()[0] == pytest.approx(real.noise_hz()[0], abs=0.002)


def test_a_file_is_compared_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: the recording that was simulated has the figures of its simulation."""
    monkeypatch.setenv("COLUMNS", "200")
    recording = tmp_path / "digit.aedat4"
    writer = open_writer(recording, DVS128_SIZE)
    writer.write(EventPacket(simulate_mnist_dvs(draw_digit(0, 0), 0), 2_000_001))
    writer.close()
    assert main(["simulate", "mnist-dvs", "--n", "1", "--compare", str(recording)]) == 0
    rows = [line.split("│")[2:4] for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert len(rows) == 7
    assert all(real.strip() == simulated.strip() for real, simulated in rows)


def test_a_file_of_another_sensor_or_for_nmnist_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.csv"
    path.write_text("t,x,y,p\n1,2,3,1\n")
    assert main(["simulate", "mnist-dvs", "--compare", str(path)]) == 2
    assert f"must be a recording of a 128x128 sensor; {path} has" in capsys.readouterr().err
    assert main(["simulate", "nmnist", "--compare", str(path)]) == 2
    assert "nmnist must be compared with a data set" in capsys.readouterr().err
