"""A checkpoint that was cut, flipped, forged or is of another kind is refused with the reason."""

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from streamvdib.checkpoints import Checkpoints, decode, encode, load_checkpoint
from streamvdib.checkpoints.file import CHECKPOINT_FORMAT, _digest
from streamvdib.endurance.workload import packets, small_engine, small_model
from streamvdib.engine_state import EngineState, state_digest
from streamvdib.errors import CheckpointError
from streamvdib.model import save_model


@pytest.fixture(scope="module")
def state() -> EngineState:
    """A small state: every damage can be tried on it in little time."""
    return EngineState({"a": torch.arange(7.0), "b": torch.ones(2, 3)}, {"step": 3, "text": "x"})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Checkpoints]:
    with Checkpoints(tmp_path / "run") as checkpoints:
        yield checkpoints


def forged(body: str, version: str, tensors: dict[str, torch.Tensor]) -> bytes:
    """A file whose digest is right, whatever it says."""
    return save(
        tensors,
        {"streamvdib_checkpoint": version, "body": body, "sha256": _digest(body, tensors)},
    )


def test_what_is_written_is_what_is_read(state: EngineState) -> None:
    checkpoint = decode(encode(state, 7, extra={"why": "test"}), "memory")
    assert checkpoint.generation == 7
    assert checkpoint.extra == {"why": "test"}
    assert state_digest(checkpoint.state) == state_digest(state)


def test_a_file_cut_at_any_byte_is_refused(state: EngineState) -> None:
    data = encode(state, 1)
    for n_bytes in range(len(data)):
        with pytest.raises(CheckpointError, match="cut"):
            decode(data[:n_bytes], "cut")


def test_bytes_after_the_end_are_refused(state: EngineState) -> None:
    with pytest.raises(CheckpointError):
        decode(encode(state, 1) + b"\0", "long")


def test_a_flip_of_any_bit_is_refused(state: EngineState) -> None:
    data = encode(state, 1)
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(CheckpointError):
                decode(bytes(flipped), "flipped")


def test_a_newer_version_is_refused_by_name() -> None:
    newer = str(CHECKPOINT_FORMAT + 1)
    with pytest.raises(CheckpointError, match=f"format {newer}.*newer streamvdib wrote it"):
        decode(forged("{}", newer, {}), "new")


@pytest.mark.parametrize("version", ["0", "-1", "one", "", "²"])
def test_a_version_that_never_was_is_refused(version: str) -> None:
    with pytest.raises(CheckpointError):
        decode(forged("{}", version, {}), "odd")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_neither_written_nor_read(value: float) -> None:
    tensors = {"weights": torch.tensor([1.0, value])}
    with pytest.raises(CheckpointError, match="weights must be finite"):
        encode(EngineState(tensors, {}), 1)
    with pytest.raises(CheckpointError, match="weights must be finite"):
        decode(forged("{}", str(CHECKPOINT_FORMAT), tensors), "forged")


@pytest.mark.parametrize("body", ["{}", "[]", "1", "{", "null", '{"about": 3}', "[" * 100_000])
def test_a_forged_file_with_a_right_digest_is_still_a_clear_error(body: str) -> None:
    with pytest.raises(CheckpointError):
        decode(forged(body, str(CHECKPOINT_FORMAT), {}), "forged")


def test_a_model_file_is_no_checkpoint(tmp_path: Path) -> None:
    save_model(small_model(), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="--model"):
        load_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.parametrize("n_claimed", [100 << 30, 2**63, 2**64 - 1, 10_000])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(
    tmp_path: Path, n_claimed: int
) -> None:
    path = tmp_path / "claims.safetensors"
    path.write_bytes(struct.pack("<Q", n_claimed) + b"{}")
    with pytest.raises(CheckpointError, match=f"header takes {n_claimed}"):
        load_checkpoint(path)


def test_a_tensor_that_claims_100_gigabytes_is_refused(tmp_path: Path) -> None:
    tensor = {"dtype": "F32", "shape": [25 << 30], "data_offsets": [0, 100 << 30]}
    metadata = {"streamvdib_checkpoint": "1", "body": "{}", "sha256": ""}
    header = json.dumps({"__metadata__": metadata, "a": tensor}).encode()
    path = tmp_path / "claims.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="whole safetensors file"):
        load_checkpoint(path)


def test_a_sparse_file_of_100_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as file:
        file.truncate(100 << 30)
    with pytest.raises(CheckpointError, match="more than"):
        load_checkpoint(path)


def test_links_devices_pipes_and_folders_are_refused_without_waiting(
    tmp_path: Path, state: EngineState
) -> None:
    whole = tmp_path / "whole.safetensors"
    whole.write_bytes(encode(state, 1))
    link, pipe, inner = tmp_path / "link", tmp_path / "pipe", tmp_path / "folder"
    link.symlink_to(whole)
    os.mkfifo(pipe)
    inner.mkdir()
    for path in (link, pipe, inner, Path("/dev/zero"), tmp_path / "absent"):
        with pytest.raises(CheckpointError, match=str(path)):
            load_checkpoint(path)


def test_the_one_before_is_used_only_if_asked(folder: Checkpoints, state: EngineState) -> None:
    for _ in range(3):
        folder.write(state)
    path = folder.path(3)
    path.write_bytes(path.read_bytes()[:-5])
    folder.path(2).write_bytes(b"")
    with pytest.raises(CheckpointError, match="0000000003"):
        folder.load()
    assert folder.load(fall_back=True).generation == 1
    _, passed_over = folder.find()
    assert [one.generation for one in passed_over] == [3, 2]


def test_a_generation_that_is_not_there_is_told_which_are(
    folder: Checkpoints, state: EngineState
) -> None:
    folder.write(state)
    folder.write(state)
    with pytest.raises(CheckpointError, match=r"one of 1, 2.*got 99"):
        folder.load(99)


def test_an_engine_is_not_changed_by_a_checkpoint_that_is_refused(folder: Checkpoints) -> None:
    source = small_engine(backend="torch")
    for packet in packets(0, 5):
        source.advance(packet)
    folder.write(source.snapshot())
    data = bytearray(folder.path(1).read_bytes())
    data[-1] ^= 4
    folder.path(1).write_bytes(data)
    engine = small_engine(backend="torch")
    before = state_digest(engine.snapshot())
    with pytest.raises(CheckpointError, match="damaged"):
        engine.restore(folder.load().state)
    assert state_digest(engine.snapshot()) == before


def test_a_state_of_another_model_is_refused(folder: Checkpoints) -> None:
    engine = small_engine(backend="torch")
    state = engine.snapshot()
    configuration = dict(state.about["configuration"])
    configuration["description"] = {**configuration["description"], "name": "another"}
    other = EngineState(state.tensors, {**state.about, "configuration": configuration})
    folder.write(other)
    with pytest.raises(CheckpointError, match=r"description .*another"):
        engine.restore(folder.load().state)
