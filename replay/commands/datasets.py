"""``streamvdib datasets``: what a folder of recordings holds, and how to get one."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="a data set; without it: the known ones, how to get them",
    )
    parser.add_argument("--images", type=Path, help="folder with the IDX files of the images shown")
    parser.add_argument("--check", action="store_true", help="read every file, compare the digest")
    parser.add_argument("--json", action="store_true", help="as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """List the known data sets, or describe and check one."""
    if arguments.folder is None:
        return _list(arguments.json)
    return _describe(arguments)


def _list(as_json: bool) -> int:
    from ..datasets.opening import LAYOUTS, layout_module

    known = {
        name: layout_module(name).ABOUT for name in LAYOUTS if hasattr(layout_module(name), "ABOUT")
    }
    if as_json:
        _print_json({name: vars(about) for name, about in known.items()})
        return 0
    from streamvdib.commands.table import print_table

    for name, about in known.items():
        rows = [("layout", name), ("licence", about.licence), ("source", about.source)]
        print_table([*rows, ("how to get it", about.how_to_get)], about.name)
    return 0


def _describe(arguments: argparse.Namespace) -> int:
    from streamvdib.commands.table import print_table

    from ..datasets import DataSet, open_dataset

    data_set: DataSet = open_dataset(arguments.folder, images=arguments.images)
    about = data_set.about
    facts: dict[str, object] = {
        "name": about.name, "layout": data_set.layout, "licence": about.licence,
        "source": about.source, "how_to_get": about.how_to_get,
        "sensor": str(data_set.sensor_size), "classes": len(data_set.classes),
        "recordings": len(data_set.recordings), **data_set.counts(),
        "with_target": sum(one.target is not None for one in data_set.recordings),
        "notes": "; ".join(data_set.notes),
    }  # fmt: skip
    whole = True
    if arguments.check:
        checked, whole = _check(data_set)
        facts.update(checked)
    if arguments.json:
        _print_json(facts)
    else:
        print_table(
            [(name.replace("_", " "), str(value)) for name, value in facts.items() if value != ""],
            str(arguments.folder),
        )
    return 0 if whole else 1


def _check(data_set: object) -> tuple[dict[str, object], bool]:
    """Events and digest of all recordings, and whether the digest is the stated one."""
    from rich.progress import track

    from ..datasets import DataSet
    from ..datasets.layouts.manifest import digest_of, read_keys

    assert isinstance(data_set, DataSet)
    n_events = sum(len(one.read()) for one in track(data_set.recordings, "reading", transient=True))
    files = list(dict.fromkeys(one.path for one in data_set.recordings))
    digest = digest_of(files, data_set.root)
    facts: dict[str, object] = {"events": n_events, "digest": digest}
    if data_set.layout != "manifest":
        return facts, True
    stated = read_keys(data_set.root).get("digest")
    facts["stated digest"] = "the same" if stated == digest else f"differs: {stated}"
    return facts, stated == digest


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))  # noqa: T201 - the command's own output
