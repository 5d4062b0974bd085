"""Training examples of the experiments: encodings, blobs, augmentation, similarity."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from streamvdib.replay.experiments.lenet import LENET_FILE, accuracy, load_lenet
from streamvdib.replay.experiments.mnist_data import read_digits
from streamvdib.replay.experiments.mnist_examples import MNISTExamples, encode
from streamvdib.replay.experiments.nmnist_examples import shifted
from streamvdib.replay.experiments.predictive_coding_examples import (
    N_CLASSES,
    BlobExamples,
    draw_blobs,
    lines_of_classes,
    pair_class,
)
from streamvdib.replay.experiments.similarity import mean_squared_error, structural_similarity

from streamvdib.errors import ConfigurationError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_time_to_first_spike_by_hand() -> None:
    """T = 5: white spikes in the first step, mid-grey at 4 - 2 = 2, black never."""
    spikes = encode(torch.tensor([[1.0, 0.5, 0.0, 0.01]]), "ttfs", 5, generator())
    assert spikes.shape == (5, 1, 4)
    assert [spikes[:, 0, p].nonzero().flatten().tolist() for p in range(4)] == [[0], [2], [], [4]]


def test_the_rate_code_spikes_as_often_as_the_pixel_is_bright() -> None:
    spikes = encode(torch.tensor([[0.0, 0.25, 1.0]]), "rate", 4000, generator())
    rates = spikes.mean(0)[0]
    assert rates[0] == 0.0
    assert rates[2] == 1.0
    assert abs(float(rates[1]) - 0.25) < 0.03


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), n_steps=st.integers(1, 40))
def test_a_blobs_class_names_the_lines_that_it_lights(seed: int, n_steps: int) -> None:
    blobs = draw_blobs(n_steps, 3, generator(seed))
    assert torch.equal(lines_of_classes()[blobs.classes], blobs.spikes)


def test_unordered_pairs_have_each_a_number() -> None:
    """20 * 21 / 2 pairs; (0, 0) is 0, (0, 1) is 1, (1, 1) is 20, (19, 19) the last."""
    numbers = {
        int(pair_class(torch.tensor(a), torch.tensor(b))) for a in range(20) for b in range(20)
    }
    assert numbers == set(range(N_CLASSES))
    for (a, b), expected in {(0, 0): 0, (1, 0): 1, (1, 1): 20, (19, 19): 209}.items():
        assert int(pair_class(torch.tensor(a), torch.tensor(b))) == expected


def test_blob_targets_lie_a_lag_away() -> None:
    examples = BlobExamples(seed=1, lag=-2, n_steps=30)
    batch = examples.batch(0, 2)
    blobs = draw_blobs(30, 2, generator(1 * 1_000_003))
    for decode, step in enumerate(batch.steps):
        assert torch.equal(batch.targets[decode].argmax(1), blobs.classes[step - 2])


def test_shifting_loses_what_leaves_the_sensor() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    assert shifted(image, 1, 0)[0].tolist() == [[0, 0, 0], [0, 1, 2], [3, 4, 5]]
    assert shifted(image, 0, -1)[0].tolist() == [[1, 2, 0], [4, 5, 0], [7, 8, 0]]
    np.testing.assert_array_equal(shifted(image, 0, 0), image)


def test_an_image_is_wholly_similar_to_itself_only() -> None:
    images = torch.rand(2, 28, 28, generator=generator())
    torch.testing.assert_close(structural_similarity(images, images), torch.ones(2))
    assert bool((structural_similarity(images, images.flip(1)) < 0.5).all())


def test_similarity_of_flat_images_by_hand() -> None:
    """No variance: SSIM = (2 m_x m_y + c1) / (m_x^2 + m_y^2 + c1)."""
    one, other = torch.full((1, 28, 28), 0.2), torch.full((1, 28, 28), 0.6)
    expected = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert math.isclose(float(structural_similarity(one, other)), expected, rel_tol=1e-4)
    assert math.isclose(float(mean_squared_error(one, other)), 0.16, rel_tol=1e-5)


def test_an_unknown_encoding_is_named(shared_data: Path) -> None:
    with pytest.raises(ConfigurationError, match="rate, ttfs"):
        MNISTExamples(seed=0, folder=str(shared_data / "mnist"), encoding="morse")


def test_mnist_batches_repeat_and_pass_over_every_image_once(shared_data: Path) -> None:
    examples = MNISTExamples(seed=0, folder=str(shared_data / "mnist"), n_steps=3)
    one, again = examples.batch(7, 16), examples.batch(7, 16)
    assert torch.equal(one.inputs, again.inputs)
    assert torch.equal(one.targets, again.targets)
    n = len(examples.train)
    chosen = np.concatenate([examples._chosen(k, n // 11) for k in range(11)])
    assert len(np.unique(chosen)) == n


def test_the_shipped_lenet_reads_mnist(shared_data: Path) -> None:
    assert LENET_FILE.is_file()
    digits = read_digits(shared_data / "mnist", "train").part(slice(55_000, 56_000))
    assert accuracy(load_lenet(), digits.pixels(), digits.classes()) > 0.985
