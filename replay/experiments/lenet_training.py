"""``streamvdib reproduce lenet``: train the judge on MNIST, write its weights and its card."""

from __future__ import annotations

import time
from pathlib import Path

from .lenet import accuracy, save_lenet, train_lenet
from .mnist_data import read_digits

N_VALIDATION = 5000

CARD = """# lenet-mnist

LeNet (6 and 16 convolution channels, 120 and 84 units), the judge of naturalized digits.

| what | value |
|---|---|
| data | MNIST, the first {n_train:,} training images; shifts of up to one pixel |
| validation | the last {n_validation:,} training images: {validation:.2%} |
| test | the 10,000 MNIST test images, scored once: {test:.2%} |
| epochs, seed | {epochs}, {seed} |
| command | `streamvdib reproduce lenet --mnist FOLDER --seed {seed} --out FOLDER` |
| time | {seconds:.0f} s on one CPU core |
"""


def reproduce_lenet(mnist: Path, out: Path, *, epochs: int = 12, seed: int = 0) -> str:
    """Train, score on the test set once, write ``lenet-mnist.safetensors`` and ``.md``."""
    start = time.monotonic()
    digits = read_digits(mnist, "train")
    images, labels = digits.pixels(), digits.classes()
    lenet = train_lenet(images[:-N_VALIDATION], labels[:-N_VALIDATION], epochs=epochs, seed=seed)
    seconds = time.monotonic() - start
    test = read_digits(mnist, "t10k")
    out.mkdir(parents=True, exist_ok=True)
    save_lenet(lenet, out / "lenet-mnist.safetensors")
    card = CARD.format(
        n_train=len(images) - N_VALIDATION, n_validation=N_VALIDATION, epochs=epochs, seed=seed,
        validation=accuracy(lenet, images[-N_VALIDATION:], labels[-N_VALIDATION:]),
        test=accuracy(lenet, test.pixels(), test.classes()), seconds=seconds,
    )  # fmt: skip
    (out / "lenet-mnist.md").write_text(card, encoding="utf-8")
    return card
