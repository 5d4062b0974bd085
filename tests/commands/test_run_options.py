"""Options around the main job: filters, pace, recording, learning while decoding."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from streamvdib.cli import EXIT_OK, EXIT_USAGE, main
from streamvdib.commands.showing import told_if_slow
from streamvdib.commands.table import learning_rows
from streamvdib.model import load_model, save_model
from streamvdib.reduced_weights import with_reduced_weights
from streamvdib.sources import open_source
from tests.models import small_model

SIZE = ["--sensor-size", "4x3", "--quiet"]


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "small.safetensors"
    save_model(small_model(), path)
    return str(path)


@pytest.fixture
def recording(tmp_path: Path) -> str:
    generator = np.random.default_rng(0)
    times = np.sort(generator.integers(0, 60_000, 400))
    rows = [f"{t} {t % 4} {t % 3} {t % 2}" for t in times]
    path = tmp_path / "seven.txt"
    path.write_text("t x y p\n" + "\n".join(rows) + "\n")
    return str(path)


def frames_in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_a_recording_made_beside_a_run_holds_the_same_events(
    tmp_path: Path, model: str, recording: str
) -> None:
    beside = tmp_path / "beside.svr"
    words = ["run", recording, "--model", model, *SIZE]
    assert main([*words, "--record", str(beside), "--out", str(tmp_path / "a")]) == EXIT_OK
    given = np.concatenate([p.events for p in open_source(recording, sensor_size=(4, 3))])  # type: ignore[arg-type]
    written = np.concatenate([p.events for p in open_source(beside)])
    np.testing.assert_array_equal(given, written)
    again = ["run", str(beside), "--model", model, "--quiet", "--out", str(tmp_path / "b")]
    assert main(again) == EXIT_OK
    assert frames_in(tmp_path / "a") == frames_in(tmp_path / "b")


def test_an_earlier_recording_is_kept_and_told(
    tmp_path: Path, model: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", recording, "--model", model, *SIZE, "--quiet", "--record"]
    path = tmp_path / "a.csv"
    path.touch()  # nothing is lost with an empty file
    for name in ("a.csv", "a-2.csv", "a-3.csv"):
        assert main([*words, str(path)]) == EXIT_OK
        told = f"{path} is kept; recording to {tmp_path / name}" in capsys.readouterr().err
        assert told is (name != "a.csv")
    contents = {(tmp_path / name).read_bytes() for name in ("a.csv", "a-2.csv", "a-3.csv")}
    assert len(contents) == 1
    assert len(contents.pop()) > 400


def test_recording_several_sources_is_refused_before_any_is_decoded(
    tmp_path: Path, model: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    words = ["run", recording, recording, "--model", model, *SIZE, "--record", str(path)]
    assert main(words) == EXIT_USAGE
    assert "--record takes one source; got several" in capsys.readouterr().err
    assert not path.exists()


def test_the_recording_that_is_decoded_is_never_written_over(
    tmp_path: Path, model: str, recording: str
) -> None:
    before = Path(recording).read_bytes()
    words = ["run", recording, "--model", model, *SIZE, "--quiet", "--record", recording]
    assert main(words) == EXIT_OK
    assert Path(recording).read_bytes() == before
    again = np.concatenate([p.events for p in open_source(tmp_path / "seven-2.txt")])
    assert len(again) == 400


def test_columns_of_a_text_file_are_named_by_an_option(
    tmp_path: Path, model: str, recording: str
) -> None:
    """The same events, once as `t x y p` and once in another order without a header."""
    rows = [line.split() for line in Path(recording).read_text().splitlines()[1:]]
    other = tmp_path / "other.txt"
    other.write_text("\n".join(f"{p} {y} {x} {t}" for t, x, y, p in rows) + "\n")
    words = ["--model", model, *SIZE, "--out"]
    assert main(["run", recording, *words, str(tmp_path / "a")]) == EXIT_OK
    named = ["--option", "columns=p y x t", "--option", "time_unit=us"]
    assert main(["run", str(other), *named, *words, str(tmp_path / "b")]) == EXIT_OK
    assert frames_in(tmp_path / "a") == frames_in(tmp_path / "b")


@pytest.mark.parametrize("text", ["columns", "=t x y p"])
def test_a_format_option_without_key_or_value_is_refused(
    model: str, recording: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", recording, "--model", model, *SIZE, "--option", text]) == EXIT_USAGE
    assert f"--option must read KEY=VALUE; got {text!r}" in capsys.readouterr().err


def test_an_unknown_flag_is_told_with_the_nearest(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["run", recording, "--modle", "nmnist"])
    assert ending.value.code == EXIT_USAGE
    told = capsys.readouterr().err
    assert "usage: streamvdib run" in told
    assert "--modle is not an option; the nearest is --model" in told


def test_what_takes_long_is_told_and_what_does_not_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with told_if_slow("nothing to tell", after_s=60.0):
        pass
    with told_if_slow("still at it", after_s=0.0):
        while "still at it" not in (told := capsys.readouterr().err):
            assert told == ""


def test_a_filter_takes_events_away_before_they_are_decoded(
    tmp_path: Path, model: str, recording: str
) -> None:
    words = ["run", recording, "--model", model, *SIZE, "--out"]
    main([*words, str(tmp_path / "all")])
    main([*words, str(tmp_path / "on"), "--filter", "polarity=on"])
    assert frames_in(tmp_path / "all") != frames_in(tmp_path / "on")


def test_pace_changes_no_frame(tmp_path: Path, model: str, recording: str) -> None:
    words = ["run", recording, "--model", model, *SIZE, "--out"]
    main([*words, str(tmp_path / "max")])
    main([*words, str(tmp_path / "paced"), "--speed", "4"])
    paced, free = frames_in(tmp_path / "paced"), frames_in(tmp_path / "max")
    assert paced[: len(free)] == free


def learn(tmp_path: Path, model: str, recording: str, *words: str) -> int:
    Image.fromarray(np.full((5, 4), 255, np.uint8)).save(tmp_path / "seven.png")
    return main(
        [
            "run", recording, "--model", model, *SIZE, "--learn",
            "--targets", f"image:{tmp_path}/{{stem}}.png",
            "--score", str(tmp_path / "score.jsonl"),
            "--save-model", str(tmp_path / "learned.safetensors"),
            "--update-every", "3", *words,
        ]
    )  # fmt: skip


def test_a_run_that_learns_scores_before_each_update_and_gets_better(
    tmp_path: Path, model: str, recording: str
) -> None:
    assert learn(tmp_path, model, recording, "--learning-rate", "0.02") == EXIT_OK
    lines = [json.loads(line) for line in (tmp_path / "score.jsonl").read_text().splitlines()]
    losses = [line["decoder_nats"] for line in lines if "decoder_nats" in line]
    assert len(losses) > 10
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    before, after = load_model(model), load_model(tmp_path / "learned.safetensors")
    assert any(
        not np.array_equal(before.tensors()[name], after.tensors()[name])
        for name in before.tensors()
    )


def test_scores_are_json_and_are_drawn(tmp_path: Path, model: str, recording: str) -> None:
    assert learn(tmp_path, model, recording, "--plot", str(tmp_path / "curve.png")) == EXIT_OK
    for line in (tmp_path / "score.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # NaN is not JSON
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size[0] == 700


def test_both_terms_of_the_loss_are_told_in_nats() -> None:
    metrics = {"decoder_nats": 12.34, "information_nats_per_step": 5.0, "beta": 1e-3}
    engine = SimpleNamespace(learner=SimpleNamespace(metrics=lambda: metrics))
    assert dict(learning_rows(engine)) == {  # type: ignore[arg-type]
        "decoder loss, last update": "12.3 nats per frame",
        "information cost, last update": "5.0 nats per step",
    }
    assert learning_rows(SimpleNamespace(learner=None)) == []  # type: ignore[arg-type]


def test_rounded_weights_are_those_of_the_rounded_model_and_do_not_learn(
    tmp_path: Path, model: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option gives the frames of a rounded file; learning and checkpoints refuse it."""
    narrow = str(tmp_path / "narrow.safetensors")
    save_model(with_reduced_weights(load_model(model), "int8"), Path(narrow))
    words = ["run", recording, *SIZE, "--checkpoint", str(tmp_path / "kept"), "--out"]
    option = ["--model", model, "--weights", "int8"]
    assert main([*words, str(tmp_path / "option"), *option]) == EXIT_OK
    assert main(["run", recording, *SIZE, "--model", narrow, "--out", str(tmp_path / "file")]) == 0
    assert frames_in(tmp_path / "option") == frames_in(tmp_path / "file")
    capsys.readouterr()
    assert learn(tmp_path, model, recording, "--weights", "int8") == EXIT_USAGE
    assert "learning requires float32 weights" in capsys.readouterr().err
    assert learn(tmp_path, narrow, recording) == EXIT_USAGE
    assert main([*words, str(tmp_path / "on"), "--model", model, "--resume"]) == EXIT_USAGE
    assert "description differ" in capsys.readouterr().err


def test_a_plot_that_cannot_be_written_is_told(
    tmp_path: Path, model: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(tmp_path, model, recording, "--plot", str(tmp_path / "x.xyz")) == EXIT_USAGE
    assert "--plot requires a picture to write to" in capsys.readouterr().err


def test_a_learned_prior_is_learned_while_streaming(
    tmp_path: Path, model: str, recording: str
) -> None:
    """The cost falls below that of the same spikes against the prior it began with."""
    costs = {}
    for prior in ("bernoulli", "autoregressive"):
        words = ["--prior", prior, "--prior-rate", "0.01", "--decoder-learning-rate", "0"]
        assert learn(tmp_path, model, recording, *words, "--learning-rate", "0.05") == EXIT_OK
        lines = (tmp_path / "score.jsonl").read_text().splitlines()
        costs[prior] = [json.loads(line)["information_nats_per_step"] for line in lines]
    assert costs["autoregressive"][0] == pytest.approx(costs["bernoulli"][0])
    assert costs["autoregressive"][-1] < 0.8 * costs["bernoulli"][-1]


def test_a_run_says_when_no_target_came_and_what_the_guard_turned_down(
    model: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", recording, "--model", model, "--sensor-size", "4x3", "--learn", "--targets"]
    assert main([*words, "frames"]) == EXIT_OK
    assert "none: no target was known" in capsys.readouterr().out
    times = {"t_us": np.array([0]), "targets": np.zeros((1, 5, 4), np.float32)}
    np.savez(Path(model).with_name("dark.npz"), **times)
    dark = str(Path(model).with_name("dark.npz"))
    assert main([*words, dark, "--update-every", "1", "--learning-rate", "1e9"]) == EXIT_OK
    table = capsys.readouterr().out
    assert "updates undone" in table
    assert "times that learning froze" in table


def test_a_plot_needs_its_scores(model: str, recording: str) -> None:
    words = ["run", recording, "--model", model, *SIZE, "--learn", "--targets", "frames"]
    assert main([*words, "--plot", "curve.png"]) == 2


def test_learning_at_rate_zero_leaves_the_run_and_the_model_as_they_were(
    tmp_path: Path, model: str, recording: str
) -> None:
    main(["run", recording, "--model", model, *SIZE, "--out", str(tmp_path / "plain")])
    words = ["--learning-rate", "0", "--out", str(tmp_path / "zero")]
    assert learn(tmp_path, model, recording, *words) == EXIT_OK
    assert frames_in(tmp_path / "plain") == frames_in(tmp_path / "zero")
    before, after = load_model(model), load_model(tmp_path / "learned.safetensors")
    for name, tensor in before.tensors().items():
        np.testing.assert_array_equal(tensor, after.tensors()[name])


def test_a_run_that_learns_on_a_copy_keeps_its_model_until_the_copy_has_won(
    tmp_path: Path, model: str, recording: str
) -> None:
    words = ["--shadow", "--shadow-every", "2", "--learning-rate", "0.02"]
    assert learn(tmp_path, model, recording, *words, "--shadow-trials", "1000") == EXIT_OK
    before, after = load_model(model), load_model(tmp_path / "learned.safetensors")
    for name, tensor in before.tensors().items():
        np.testing.assert_array_equal(tensor, after.tensors()[name])
    assert learn(tmp_path, model, recording, *words, "--shadow-trials", "3") == EXIT_OK
    lines = [json.loads(line) for line in (tmp_path / "score.jsonl").read_text().splitlines()]
    assert lines[-1]["shadow_n_swaps"] >= 1
    assert lines[-1]["shadow_error"] < lines[-1]["live_error"]
    after = load_model(tmp_path / "learned.safetensors")
    assert any(not np.array_equal(t, after.tensors()[n]) for n, t in before.tensors().items())


def test_going_on_in_the_same_place_tells_no_difference(
    tmp_path: Path, model: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", recording, "--model", model, *SIZE, "--checkpoint", str(tmp_path / "kept")]
    assert main(words) == EXIT_OK
    torch.set_num_threads(2)  # a new process has several, too
    assert main([*words, "--resume"]) == EXIT_OK
    told = capsys.readouterr().err
    assert "going on from checkpoint" in told
    assert "last bits may differ" not in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learn"], "--learn requires --targets"),
        (["--shadow"], "--shadow says how to learn; it requires --learn"),
        (["--targets", "label:3"], "--targets says how to learn; it requires --learn"),
        (["--learning-rate", "0.1"], "--learning-rate says how to learn; it requires --learn"),
        (["--no-guard"], "--no-guard says how to learn; it requires --learn"),
        (["--learn", "--targets", "frames", "--baseline", "none"], "requires --estimator score"),
        (["--learn", "--targets", "frames", "--target-every", "0"], "target_every must be at"),
        (["--learn", "--targets", "frames", "--prior-rate", "2"], "between 0 and 1"),
        (["--learn", "--targets", "frames", "--save-model", "/nowhere/x"], "a folder that exists"),
        (
            ["--learn", "--targets", "frames", "--score", "s", "--plot", "/nowhere/x.png"],
            "--plot requires a folder that exists",
        ),
        (["--learn", "--targets", "sky"], "targets must be image:FILE"),
        (["--filter", "blur"], "a filter must be one of"),
        (["--speed", "fast"], "--speed must be a positive number or 'max'; got 'fast'"),
        (["--record", "x.mp3"], "x.mp3"),
        (["--record", "/nowhere/at/all.es"], "/nowhere/at/all.es"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    model: str,
    recording: str,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert main(["run", recording, "--model", model, *SIZE, *words]) == EXIT_USAGE
    assert message in capsys.readouterr().err
