"""A TOML file means what the flags mean, and nothing else."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import pytest

from streamvdib.cli import main
from streamvdib.configuration import apply_table, effective_toml, options_of, prepare
from streamvdib.errors import ConfigurationError


def new_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="streamvdib serve")
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--bind", default="tcp://127.0.0.1:5555")
    parser.add_argument("--every-us", type=int)
    parser.add_argument("--beta", type=float, default=1e-3)
    parser.add_argument("--tile", action="store_true")
    parser.add_argument("--backend", choices=("auto", "torch"), default="auto")
    parser.add_argument("--needed", required=True)
    return parser


def parse(table: dict, words: list[str]) -> argparse.Namespace:
    parser = new_parser()
    apply_table(parser, table, where="desk.toml")
    return parser.parse_args(words)


def test_a_file_stands_in_for_flags_and_positional_arguments() -> None:
    found = parse({"sources": ["a"], "every-us": 5, "tile": True, "beta": 1, "needed": "x"}, [])
    assert found.sources == ["a"]
    assert (found.every_us, found.tile, found.beta, found.needed) == (5, True, 1.0, "x")


def test_the_command_line_wins_over_the_file() -> None:
    found = parse({"sources": ["a"], "every-us": 5, "needed": "x"}, ["b", "--every-us", "7"])
    assert (found.sources, found.every_us) == (["b"], 7)


def test_underscores_are_dashes() -> None:
    assert parse({"every_us": 5, "needed": "x"}, ["a"]).every_us == 5


@pytest.mark.parametrize(
    ("key", "nearest"), [("bindd", "bind"), ("every", "every-us"), ("back-end", "backend")]
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(key: str, nearest: str) -> None:
    with pytest.raises(ConfigurationError, match=f"desk.toml: '{key}'.*nearest is '{nearest}'"):
        parse({key: 1}, ["a"])


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({"every-us": "5"}, "an integer"),
        ({"every-us": True}, "an integer"),
        ({"every-us": 5.0}, "an integer"),
        ({"beta": "much"}, "a number"),
        ({"tile": 1}, "true or false"),
        ({"bind": 5555}, "text in quotes"),
        ({"backend": "gpu"}, "one of auto, torch"),
        ({"sources": [1]}, "text in quotes"),
    ],
)
def test_a_value_of_another_type_is_named(table: dict, wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=f"desk.toml: {next(iter(table))}.*{wanted}"):
        parse(table, ["a"])


def test_a_table_of_a_command_is_for_that_command_alone(tmp_path: Path) -> None:
    path = tmp_path / "desk.toml"
    path.write_text('beta = 2.0\n[serve]\nneeded = "x"\n[run]\nnothing = 1\n')
    parser = new_parser()
    prepare(parser, "serve", ["--config", str(path)], ["serve", "run"])
    found = parser.parse_args(["a", "--config", str(path)])
    assert (found.beta, found.needed) == (2.0, "x")


@pytest.mark.parametrize("text", ["bind = ", "serve = 3", "\x00"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "desk.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        prepare(new_parser(), "serve", [f"--config={path}"], ["serve"])


def test_a_table_of_no_command_is_told_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "desk.toml"
    path.write_text("[srve]\nbeta = 2.0\n")
    with pytest.raises(ConfigurationError, match=r"\[srve\], the nearest is \[serve\]"):
        prepare(new_parser(), "serve", [f"--config={path}"], ["serve", "run"])


def test_a_file_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="readable file"):
        prepare(new_parser(), "serve", ["--config", str(tmp_path / "none.toml")], ["serve"])


def test_what_is_shown_is_toml_that_means_the_same() -> None:
    table = {"every-us": 5, "needed": 'a "quoted" \\ word'}
    parser = new_parser()
    apply_table(parser, table, where="f")
    parsed = parser.parse_args(["a", "--tile"])
    shown = effective_toml(parser, parsed, table, "serve")
    read = tomllib.loads(shown)["serve"]
    assert read["every-us"] == 5
    assert read["needed"] == 'a "quoted" \\ word'
    assert read["tile"] is True
    assert "every-us = 5  # file" in shown
    assert "tile = true  # command line" in shown
    assert "beta = 0.001  # default" in shown
    fresh = new_parser()
    apply_table(fresh, read, where="shown")
    assert vars(fresh.parse_args([])) == vars(parsed)


def test_every_option_has_a_name_in_the_file() -> None:
    assert set(options_of(new_parser())) == {
        "sources", "bind", "every-us", "beta", "tile", "backend", "needed",
    }  # fmt: skip


def test_config_show_prints_what_serve_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "desk.toml"
    path.write_text('[serve]\nbind = "tcp://127.0.0.1:7000"\n')
    assert main(["config", "show", "serve", "--config", str(path)]) == 0
    assert 'bind = "tcp://127.0.0.1:7000"  # file' in capsys.readouterr().out


def test_a_bad_file_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "desk.toml"
    path.write_text("[serve]\nbindd = 1\n")
    assert main(["serve", "x", "--config", str(path)]) == 2
    assert "nearest is 'bind'" in capsys.readouterr().err
