"""``streamvdib models``: what comes with the package, and the card of each model."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("name", nargs="?", help="show this model's card")
    parser.add_argument("--json", action="store_true", help="machine-readable")


def execute(arguments: argparse.Namespace) -> int:
    """Print the list, or one card."""
    import json

    from rich.console import Console
    from rich.markdown import Markdown

    from streamvdib.model import find_model, load_model, model_names

    console = Console()
    if arguments.name is not None:
        card = find_model(arguments.name).with_suffix(".md")
        text = card.read_text() if card.is_file() else f"{arguments.name} has no card."
        console.print(Markdown(text))
        return 0
    rows = []
    for name in model_names():
        model = load_model(name)
        size = sum(tensor.numel() for tensor in model.tensors().values())
        rows.append(
            {
                "name": name,
                "input_shape": list(model.encoder.input_shape),
                "dt_us": model.dt_us,
                "tau_d": model.tau_d,
                "output_shape": list(model.decoder_shape.output_shape),
                "weights": size,
            }
        )
    if arguments.json:
        print(json.dumps(rows, indent=2))  # noqa: T201 - the command line's own output
    else:
        for row in rows:
            console.print("  ".join(f"{key} {value}" for key, value in row.items()))
    return 0
