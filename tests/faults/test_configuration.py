"""A typo, a value out of range, options that contradict: an error before anything starts."""

from pathlib import Path

import pytest

from streamvdib.cli import EXIT_USAGE, main
from streamvdib.engine_description import make_described
from streamvdib.errors import ConfigurationError

BAD_OPTIONS = {
    "resume without a folder": ["--resume"],
    "fall back without resume": ["--checkpoint", "{}/c", "--fall-back"],
    "time that never comes": ["--checkpoint", "{}/c", "--checkpoint-every-s", "nan"],
    "negative time": ["--checkpoint", "{}/c", "--checkpoint-every-s", "-1"],
    "no generations": ["--checkpoint", "{}/c", "--checkpoint-keep", "0"],
    "times of no checkpoints": ["--checkpoint-every-s", "5"],
    "generations of no checkpoints": ["--checkpoint-keep", "5"],
    "one folder for two": ["--checkpoint", "{}/c", "--session-log", "{}/c"],
    "memory below nothing": ["--memory-mb", "-5"],
    "lag that is no number": ["--shed-lag-ms", "nan"],
    "learning without targets": ["--learn"],
    "targets without learning": ["--targets", "label:1"],
    "a shadow without learning": ["--shadow"],
    "trials without a shadow": ["--learn", "--targets", "label:1", "--shadow-trials", "0"],
    "a shadow that never learns": [
        "--learn",
        "--targets",
        "label:1",
        "--shadow",
        "--shadow-every",
        "1",
    ],
    "a source that stalls at once": ["--source-stall-s", "-1"],
    "a decoder that is no number": ["--decoder-stall-s", "nan"],
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_options_that_cannot_be_meant_end_before_anything_starts(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(tmp_path) for word in BAD_OPTIONS[name]]
    assert main(["run", str(tmp_path / "absent.txt"), *words]) == EXIT_USAGE
    assert capsys.readouterr().err.startswith("streamvdib: ")
    assert list(tmp_path.glob("*.safetensors")) == []
    assert not (tmp_path / "c" / "checkpoint-0000000001.safetensors").exists()


@pytest.mark.parametrize("words", [["--checkpiont", "x"], ["--checkpoint-every-s", "often"]])
def test_a_typo_is_told_by_name(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "source", *words])
    assert ended.value.code == EXIT_USAGE
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_folder_given_as_the_style_of_messages_is_told_its_flag(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "source", "--log", "log1"])
    assert "--session-log DIR" in capsys.readouterr().err
    (tmp_path / "desk.toml").write_text('log = "log1"')
    assert main([command, "source", "--config", str(tmp_path / "desk.toml")]) == EXIT_USAGE
    assert "--session-log DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["soak", "--minutes", "0"], ["soak", "--simulate", "0"], ["supervise", "doctor"]],
)
def test_trials_refuse_what_cannot_be_meant(words: list[str]) -> None:
    assert main(words) == EXIT_USAGE


def test_a_log_that_describes_no_engine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be made from its log"):
        make_described({"configuration": {}})
