"""Audio to image: spoken digits call up images of digits through shared spike maps.

"Learning Spatio-Temporal Representations Using Spike-Based Backpropagation" (2018), section 3.2,
on the Free Spoken Digit Dataset in place of TI-46.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamvdib.encoder import Encoder, Weights

from ..speech import read_spoken_digits
from .audio_to_image_ann import AudioTwinSettings
from .audio_to_image_data import words_of
from .audio_to_image_model import TAU_D, audio_model, write_audio_model
from .audio_to_image_report import write_audio_report
from .audio_to_image_runs import (
    BITS,
    AudioData,
    as_brightness,
    make_audio_data,
    run_spiking,
    run_twin,
    spiking_settings,
)
from .audio_to_image_spike_maps import decode_spike_maps, load_spike_maps, save_spike_maps
from .audio_to_image_training import hidden_maps, normalised_mse
from .spiking_autoencoder_ann import ANN_RUNS, train_twin
from .spiking_autoencoder_files import read_classes, read_pixels, read_weights, write_weights
from .spiking_autoencoder_runs import RUNS
from .spiking_autoencoder_training import dense_network, train

AUTOENCODER_RUN = "mnist-better"
N_MAP_STEPS = 15
LIVE_MODEL = "audio-to-image"


def reproduce_audio_to_image(
    mnist: Path,
    speech: Path,
    out: Path,
    *,
    autoencoder_file: Path | None,
    epochs: int,
    map_steps: Mapping[str, Sequence[int]],
    again: bool,
    report: bool,
    command: str,
) -> None:
    """Train and score what is not done, and write the report and the live model into ``out``.

    With ``report`` no audiocoder and no twin is trained.
    """
    images = read_pixels(mnist.parent, mnist.name, "train")
    recordings = read_spoken_digits(speech)
    data = make_audio_data(
        words_of([one for one in recordings if not one.is_test]),
        words_of([one for one in recordings if one.is_test]),
        images,
        read_classes(mnist.parent, mnist.name, "train"),
    )
    runs = out / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    autoencoder = _autoencoder(images, autoencoder_file, runs)
    done: dict[str, dict[str, Any]] = {} if again else _read_done(runs)
    made: dict[str, Tensor] = {}
    for dataset, steps in map_steps.items():
        maps = _maps(autoencoder, data, dataset, runs)
        done[f"{dataset}-maps"] = _map_scores(autoencoder, data, dataset, maps, steps)
        for n_steps in () if report else steps:
            name = f"{dataset}-snn-{n_steps}"
            if name not in done or not (runs / f"{name}.safetensors").is_file():
                _spiking(data, dataset, maps, autoencoder, n_steps, epochs, runs, done)
    if not report and not any(name.startswith("A-ann") for name in done):
        _twins(data, images, done)
    (runs / "results.json").write_text(json.dumps(done, indent=1) + "\n")
    _write_live_model(data, runs, out, done)
    for dataset in map_steps:
        made |= _made(data, dataset, runs, done)
    write_audio_report(done, made, data, out, command)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - progress


def _read_done(runs: Path) -> dict[str, dict[str, Any]]:
    path = runs / "results.json"
    if not path.is_file():
        return {}
    done: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return done


def _autoencoder(images: Tensor, file: Path | None, runs: Path) -> tuple[Encoder, Weights]:
    """The image autoencoder: given, kept from before, or trained."""
    settings = RUNS[AUTOENCODER_RUN].settings
    encoder = dense_network((images.shape[1], settings.n_hidden, images.shape[1]), settings.leak)
    kept = runs / "autoencoder.safetensors"
    if file is None and not kept.is_file():
        write_weights(train(images, settings, say=_say).weights, kept)
    return encoder, read_weights(file or kept)


def _maps(
    autoencoder: tuple[Encoder, Weights], data: AudioData, dataset: str, runs: Path
) -> Tensor:
    """The hidden spike maps of the training images, through their file."""
    path = runs / f"{dataset}-spike-maps.npz"
    if dataset == "A":  # one map per class, as there is one image
        maps = hidden_maps(*autoencoder, data.class_images, n_steps=N_MAP_STEPS)
        save_spike_maps(maps, path)
        return load_spike_maps(path)[data.train.digits]
    save_spike_maps(hidden_maps(*autoencoder, data.paired_images, n_steps=N_MAP_STEPS), path)
    return load_spike_maps(path)


def _map_scores(
    autoencoder: tuple[Encoder, Weights],
    data: AudioData,
    dataset: str,
    maps: Tensor,
    steps: Sequence[int],
) -> dict[str, Any]:
    """How well images come back from their saved maps alone: what audio could reach at best."""
    encoder, weights = autoencoder
    half = Encoder(encoder.layer_shapes[0], encoder.layers[1:])
    chosen = torch.arange(0, len(maps), 9)
    images = data.images(dataset)[chosen]
    with torch.inference_mode():
        found = {
            str(n): normalised_mse(
                decode_spike_maps(half, weights[1:], maps[chosen, :n], 60), images
            )
            for n in steps
        }
    return {"name": f"{dataset}-maps", "dataset": dataset, "kind": "maps", "mse": found}


def _spiking(
    data: AudioData,
    dataset: str,
    maps: Tensor,
    autoencoder: tuple[Encoder, Weights],
    n_steps: int,
    epochs: int,
    runs: Path,
    done: dict[str, dict[str, Any]],
) -> None:
    name = f"{dataset}-snn-{n_steps}"
    settings = spiking_settings(n_steps, epochs)
    numbers, (_, weights), made = run_spiking(
        data, dataset, maps, autoencoder, settings, say=lambda text: _say(f"{name}: {text}")
    )
    _say(f"{name}: MSE {numbers['mse']:.4f}, right digit {numbers['accuracy']:.3f}")
    write_weights(weights, runs / f"{name}.safetensors")
    torch.save(made.to(torch.uint8), runs / f"{name}.made.pt")
    done[name] = numbers
    (runs / "results.json").write_text(json.dumps(done, indent=1) + "\n")


def _twins(data: AudioData, images: Tensor, done: dict[str, dict[str, Any]]) -> None:
    """The ANN twins: full precision with and without Adam, and every number of bits."""
    by_name = {run.name: run for run in ANN_RUNS}
    autoencoders: dict[bool, nn.Sequential] = {
        adam: train_twin(by_name[name], images)[0]
        for adam, name in ((True, "mnist-ann-adam-slow"), (False, "mnist-ann-fast"))
    }
    wanted = [("A", True, bits) for bits in BITS] + [("B", True, 16)]
    wanted += [("A", False, 16), ("B", False, 16)]
    for dataset, adam, bits in wanted:
        rate = 1e-3 if adam else 1.0
        settings = AudioTwinSettings(bits=bits, adam=adam, learning_rate=rate)
        numbers, _ = run_twin(data, dataset, autoencoders[adam], settings)
        _say(f"{numbers['name']}: MSE {numbers['mse']:.4f}")
        done[numbers["name"]] = numbers


def _write_live_model(
    data: AudioData, runs: Path, out: Path, done: Mapping[str, dict[str, Any]]
) -> None:
    """The model of data set A with the most map steps, for ``streamvdib run``."""
    spiking = [
        name
        for name in done
        if name.startswith("A-snn-") and (runs / f"{name}.safetensors").is_file()
    ]
    if not spiking:
        return
    best = max(spiking, key=lambda name: int(name.rsplit("-", 1)[1]))
    counts = torch.load(runs / f"{best}.made.pt", weights_only=True).float()
    brightest = float(np.percentile(counts.numpy(), 98))
    n_steps = int(done[best]["settings"]["n_test_steps"])
    gain = n_steps / max(1.0, brightest)
    weights = read_weights(runs / f"{best}.safetensors")
    model = audio_model(
        weights, leak=float(done[best]["settings"]["leak"]), gain=gain, name=LIVE_MODEL
    )
    assert model.tau_d == TAU_D
    assert model.encoder.n_inputs == data.train.settings.n_channels * data.train.settings.n_frames
    write_audio_model(model, out / f"{LIVE_MODEL}.safetensors")


def _made(
    data: AudioData, dataset: str, runs: Path, done: Mapping[str, dict[str, Any]]
) -> dict[str, Tensor]:
    """Images that five test recordings of every class called up, by run."""
    order = torch.cat([torch.nonzero(data.test.digits == digit)[:5, 0] for digit in range(10)])
    found = {}
    for name in done:
        file = runs / f"{name}.made.pt"
        if name.startswith(f"{dataset}-snn-") and file.is_file():
            counts = torch.load(file, weights_only=True).float()
            found[name] = as_brightness(counts[order])
    return found
