"""kill -9 while it learns: always a loadable checkpoint, at most one interval lost."""

import random
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from streamvdib.checkpoints import Checkpoint, Checkpoints
from streamvdib.endurance.children import learn_forever, learning_engine
from streamvdib.endurance.wandering_learner import WanderingLearner
from streamvdib.endurance.workload import EVENTS_PER_PACKET, packet
from streamvdib.engine import Engine
from streamvdib.engine_description import make_described
from streamvdib.engine_state import state_digest
from streamvdib.session_log import rerun

SEED = 11
LOGGED_BYTES = 30_000  # a log of a state and one packet has 11,000


def make(about: dict[str, object]) -> Engine:
    return make_described(about, make_learner=lambda engine, _: WanderingLearner(engine.model))


def survivor(folder: Path) -> Checkpoint:
    with Checkpoints(folder / "checkpoints") as checkpoints:
        checkpoint, damaged = checkpoints.find()
        assert damaged == []
        assert not list(checkpoints.folder.glob("*.part"))
    assert checkpoint is not None
    return checkpoint


def newest_name(folder: Path) -> str:
    names = [path.name for path in (folder / "checkpoints").glob("checkpoint-*.safetensors")]
    return max(names, default="")


def kill_again_and_again(
    folder: Path, start: Callable[..., BaseProcess], n_kills: int
) -> list[int]:
    """Start, let it write at least one checkpoint, kill at a random moment; the generations."""
    moments = random.Random(SEED)
    generations = []
    for _ in range(n_kills):
        process = start(learn_forever, str(folder), SEED)
        before = generations[-1] if generations else 0
        while newest_name(folder) <= f"checkpoint-{before:010d}.safetensors":
            assert process.is_alive()
            time.sleep(0.002)
        time.sleep(moments.random() * 0.03)
        process.kill()
        process.join()
        generations.append(survivor(folder).generation)
    return generations


def kill_when_steps_are_logged(folder: Path, start: Callable[..., BaseProcess]) -> None:
    """The log gathers for a tenth of a second, which is longer than a quick machine's lives."""
    older = set((folder / "log").iterdir())
    process = start(learn_forever, str(folder), SEED)
    while not any(
        path.stat().st_size > LOGGED_BYTES for path in set((folder / "log").iterdir()) - older
    ):
        assert process.is_alive()
        time.sleep(0.002)
    process.kill()
    process.join()


def assert_nothing_is_lost(folder: Path) -> None:
    """The survivor is what a run that was never killed has at the same packet."""
    checkpoint = survivor(folder)
    engine = learning_engine()
    for index in range(checkpoint.position.n_events // EVENTS_PER_PACKET):
        engine.advance(packet(SEED, index))
    assert state_digest(engine.snapshot()) == state_digest(checkpoint.state)


def assert_the_log_is_readable(folder: Path) -> None:
    report = rerun(folder / "log", make)
    assert report.first_difference is None
    assert report.n_steps > 0


def test_ten_kills_leave_a_loadable_checkpoint_each_time(
    tmp_path: Path, start: Callable[..., BaseProcess]
) -> None:
    generations = kill_again_and_again(tmp_path, start, 10)
    assert generations == sorted(set(generations))
    kill_when_steps_are_logged(tmp_path, start)
    assert_nothing_is_lost(tmp_path)
    assert_the_log_is_readable(tmp_path)


@pytest.mark.slow
def test_a_hundred_kills_leave_a_loadable_checkpoint_each_time(
    tmp_path: Path, start: Callable[..., BaseProcess]
) -> None:
    generations = kill_again_and_again(tmp_path, start, 100)
    assert generations == sorted(set(generations))
    kill_when_steps_are_logged(tmp_path, start)
    assert_nothing_is_lost(tmp_path)
    assert_the_log_is_readable(tmp_path)
