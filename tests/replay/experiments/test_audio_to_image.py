"""Audio to image: pictures of sound, spike maps, audiocoder, twins, the live model."""

import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from streamvdib.replay.experiments.audio_to_image_ann import (
    AudioTwinSettings,
    quantised,
    synthesise_with_twin,
    train_audio_twin,
)
from streamvdib.replay.experiments.audio_to_image_data import (
    Words,
    class_images,
    paired_images,
    placed,
    words_of,
)
from streamvdib.replay.experiments.audio_to_image_model import audio_model, write_audio_model
from streamvdib.replay.experiments.audio_to_image_spike_maps import (
    decode_spike_maps,
    load_spike_maps,
    save_spike_maps,
)
from streamvdib.replay.experiments.audio_to_image_training import (
    AudiocoderSettings,
    joined,
    looks_like,
    nearest_mse,
    synthesise,
    train_audiocoder,
)
from streamvdib.replay.experiments.spiking_autoencoder_ann import two_layers
from streamvdib.replay.experiments.spiking_autoencoder_training import (
    dense_network,
    initial_weights,
    normalised_mse,
)
from streamvdib.replay.speech import SpokenDigit

from streamvdib.encoder import Encoder
from streamvdib.engine import Engine
from streamvdib.errors import ModelError
from streamvdib.geometry import fit_geometry
from streamvdib.learning.membrane_potential import MembranePotentialSettings
from streamvdib.model import load_model
from streamvdib.sources import open_source
from streamvdib.sources.mel import MelSettings

TINY = MelSettings(n_channels=4, n_frames=8)


def words(n: int = 60) -> Words:
    """Two words that are bright in different channels."""
    generator = np.random.default_rng(0)
    frames = []
    for index in range(n):
        column = np.full((4, 8), -60.0, dtype=np.float32)
        column[2 * (index % 2) : 2 * (index % 2) + 2] = -20.0
        frames.append(column + generator.normal(size=column.shape).astype(np.float32))
    return Words(tuple(frames), torch.arange(n) % 2, TINY)


def targets() -> torch.Tensor:
    """Spike maps of two classes, (2, 3, 6)."""
    maps = torch.zeros(2, 3, 6, dtype=torch.uint8)
    maps[0, :, :3] = 1
    maps[1, :, 3:] = 1
    return maps


def test_a_word_is_placed_so_that_it_ends_the_shift_before_the_window_does() -> None:
    frames = np.full((4, 3), -20.0, dtype=np.float32)
    shown = placed(frames, 2, TINY)
    assert (shown[:, 3:6] == 1.0).all()
    assert (shown[:, :3] == 0.0).all()
    assert (shown[:, 6:] == 0.0).all()


def test_a_word_longer_than_the_window_loses_its_beginning() -> None:
    frames = np.repeat(np.linspace(-60.0, -20.0, 12, dtype=np.float32)[None], 4, axis=0)
    np.testing.assert_allclose(placed(frames, 0, TINY)[0, -1], 1.0)
    np.testing.assert_allclose(placed(frames, 0, TINY)[0], np.clip(
        1 + (frames[0, -8:] + 20) / 40, 0, 1), atol=1e-6)  # fmt: skip


def test_what_the_audiocoder_learns_from_is_what_the_sound_source_shows(tmp_path: Path) -> None:
    """Law: the spikes of the source, averaged, are the pictures of the training data."""
    time = np.arange(2_400) / 8_000
    samples = (8_000 * np.sin(2 * np.pi * (300 + 2_000 * time) * time)).astype("<i2")
    path = tmp_path / "word.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", "not compressed"))
        file.writeframes(samples.tobytes())
    recording = SpokenDigit(0, "ann", 0, 8_000, (samples / 32_768).astype(np.float32))
    expected = words_of([recording]).pictures([0], [0])[0].reshape(39, 32)
    counts = np.zeros((39, 32))
    for seed in range(20):
        packets = list(open_source(path, seed=seed, tail_us=0))
        events = packets[-1].events
        np.add.at(counts, (events["y"], events["x"]), 1 / 200)
    assert np.abs(counts - expected.numpy()).max() < 0.2
    assert np.corrcoef(counts.ravel(), expected.numpy().ravel())[0, 1] > 0.99


def test_class_images_are_those_nearest_to_the_mean_of_their_class() -> None:
    images = torch.arange(30.0).reshape(30, 1).repeat(1, 4)
    classes = torch.arange(10).repeat_interleave(3)
    assert class_images(images, classes)[:, 0].tolist() == [3.0 * k + 1 for k in range(10)]


def test_paired_images_are_of_the_digit_that_is_said_and_repeat_with_the_seed() -> None:
    images = torch.arange(30.0).reshape(30, 1)
    classes = torch.arange(10).repeat_interleave(3)
    digits = torch.tensor([4, 4, 0, 9])
    first, second = (paired_images(images, classes, digits, seed=5) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal((first[:, 0] // 3).long(), digits)


@pytest.mark.parametrize("n_steps", [3, 2, 1])
def test_spike_maps_come_back_from_their_file(tmp_path: Path, n_steps: int) -> None:
    maps = (torch.rand(5, 3, 7, generator=torch.Generator().manual_seed(0)) < 0.4).byte()
    save_spike_maps(maps, tmp_path / "maps.npz")
    assert torch.equal(load_spike_maps(tmp_path / "maps.npz", n_steps), maps[:, :n_steps])


def test_more_steps_than_a_file_of_maps_holds_are_an_error(tmp_path: Path) -> None:
    save_spike_maps(targets(), tmp_path / "maps.npz")
    with pytest.raises(ModelError, match="holds 3 steps"):
        load_spike_maps(tmp_path / "maps.npz", 4)


def test_a_map_is_decoded_by_showing_it_again_and_again() -> None:
    """By hand: weight 0.6, leak 0: a neuron that is shown a spike every step spikes every other."""
    decoder = dense_network((6, 6), 0.0)
    weights = initial_weights(decoder, "linear", 0)
    weights[0].synapses.copy_(0.6 * torch.eye(6)[None])
    counts = decode_spike_maps(decoder, weights, targets(), n_steps=9)
    assert counts.tolist() == [[4.0] * 3 + [0.0] * 3, [0.0] * 3 + [4.0] * 3]


def trained_audiocoder() -> tuple[Encoder, tuple[object, ...], list[float]]:
    settings = AudiocoderSettings(
        n_hidden=16, n_map_steps=2, n_steps=12, batch_size=10, epochs=8,
        rule=MembranePotentialSettings(learning_rate=5e-3),
    )  # fmt: skip
    given = words()
    return train_audiocoder(given, targets()[given.digits], settings)


def test_an_audiocoder_learns_the_maps_and_calls_up_the_images() -> None:
    encoder, weights, wrong = trained_audiocoder()
    assert wrong[-1] < 0.5 * wrong[0]
    autoencoder = dense_network((6, 6, 6), 0.1)
    back = initial_weights(autoencoder, "linear", 0)
    back[1].synapses.copy_(0.8 * torch.eye(6)[None])
    network = joined((encoder, weights), (autoencoder, back))  # type: ignore[arg-type]
    made = synthesise(*network, words().test_pictures()[:, :], n_steps=30)
    images = targets()[:, 0].float()
    assert (looks_like(made, images) == words().digits).float().mean() > 0.9


def test_the_lowest_mse_to_any_image_is_what_counts_for_data_set_b() -> None:
    generator = torch.Generator().manual_seed(0)
    made, images = torch.rand(4, 9, generator=generator), torch.rand(6, 9, generator=generator)
    expected = np.mean(
        [min(normalised_mse(one[None], image[None]) for image in images) for one in made]
    )
    assert nearest_mse(made, images) == pytest.approx(expected)


def test_one_bit_leaves_two_levels_and_full_precision_changes_nothing() -> None:
    values = torch.tensor([[0.0, 0.4, 1.1, 2.0]])
    assert quantised(values, 1).tolist() == [[0.0, 0.0, 2.0, 2.0]]
    torch.testing.assert_close(quantised(values, 2), torch.tensor([[0.0, 2 / 3, 4 / 3, 2.0]]))
    assert torch.equal(quantised(values, 16), values)


def test_a_twin_calls_up_the_images_too() -> None:
    given = words()
    hidden = targets()[:, 0].float()[given.digits]
    settings = AudioTwinSettings(n_hidden=16, batch_size=10, epochs=20, learning_rate=1e-2)
    network = train_audio_twin(given, hidden, settings)
    autoencoder = two_layers(6, 6, 6, 0)
    autoencoder[2].weight.data.copy_(torch.eye(6))
    autoencoder[2].bias.data.zero_()
    made = synthesise_with_twin(network, autoencoder, given.test_pictures(), 2)
    assert (looks_like(made, targets()[:, 0].float()) == given.digits).float().mean() > 0.9


def test_the_live_model_gives_the_frames_of_the_network_it_was_made_of(tmp_path: Path) -> None:
    """Oracle: synthesis in a plain loop over the source's spikes."""
    network = dense_network((1248, 12, 10, 784), 0.1)
    weights = initial_weights(network, "he", 0)
    model = audio_model(weights, leak=0.1, gain=2.0, name="tiny")
    write_audio_model(model, tmp_path / "tiny.safetensors")
    path = tmp_path / "word.wav"
    noise = np.random.default_rng(0).normal(size=1_600) * 3_000
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", "not compressed"))
        file.writeframes(noise.astype("<i2").tobytes())
    source = open_source(path)
    loaded = load_model(tmp_path / "tiny.safetensors")
    geometry = fit_geometry(source.sensor_size, loaded.encoder.input_shape)
    engine = Engine(loaded, geometry, decode_every=10)
    frames = [frame for packet in source for frame in engine.advance(packet)]
    state = loaded.encoder.initial_state(1)
    shown = []
    for packet in open_source(path):
        dense = torch.zeros(10, 1248)
        steps = (packet.events["t_us"] - (packet.end_us - 20_000)) // 2_000
        dense[steps, packet.events["y"].astype(int) * 32 + packet.events["x"]] = 1.0
        for spikes in dense:
            state = loaded.encoder.step(
                loaded.weights, spikes[None], state, torch.zeros(1, dtype=torch.int64)
            )
            shown.append(state.layers[-1].spikes[0])
    expected = 2.0 * torch.stack(shown[-60:]).mean(0).reshape(28, 28)
    np.testing.assert_allclose(frames[-1].pixels[0], expected.numpy(), atol=2e-3)
    assert frames[-1].pixels.max() > 0.0
