"""What trials do in child processes that may be killed at any moment."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from streamvdib.checkpoints import Checkpoints, CheckpointWriter, Position
from streamvdib.endurance.wandering_learner import ConstantTargets, WanderingLearner
from streamvdib.endurance.workload import EVENTS_PER_PACKET, packet, small_engine
from streamvdib.engine import Engine
from streamvdib.session import Session
from streamvdib.session_log import SessionLog
from streamvdib.supervisor import Heartbeat

PRELOADED = ["streamvdib.endurance.children", "streamvdib.commands.run"]


def learning_engine() -> Engine:
    """The small engine with a learner and its targets."""
    engine = small_engine(backend="torch", policy="count")
    engine.learner = WanderingLearner(engine.model)
    engine.targets = ConstantTargets()
    return engine


def command(argv: list[str]) -> None:
    """``streamvdib ARGV``; ends the process with its exit code."""
    from streamvdib.cli import main

    sys.exit(main(argv))


def hang_at(folder: str, address: str, n_packets: int) -> None:
    """A run that beats, and at its middle hangs for good, the first time that it comes there."""
    torch.set_num_threads(1)
    engine, heartbeat = learning_engine(), Heartbeat({"NOTIFY_SOCKET": address})
    with Checkpoints(Path(folder, "checkpoints")) as checkpoints:
        position = Position()
        if checkpoints.generations:
            checkpoint = checkpoints.load()
            engine.restore(checkpoint.state)
            position = checkpoint.position
        with Session(
            engine, checkpoints=CheckpointWriter(checkpoints), position=position
        ) as session:
            for index in range(position.n_events // EVENTS_PER_PACKET, n_packets):
                session.advance(packet(0, index))
                heartbeat.beat()
                if index == n_packets // 2 and not Path(folder, "hung").exists():
                    Path(folder, "hung").touch()
                    time.sleep(1e6)


def learn_forever(folder: str, seed: int, every_s: float = 0.005) -> None:
    """Resume from ``folder/checkpoints`` if it holds anything, and go on until killed."""
    torch.set_num_threads(1)
    engine = learning_engine()
    with Checkpoints(Path(folder, "checkpoints")) as checkpoints:
        position = Position()
        if checkpoints.generations:
            checkpoint = checkpoints.load()
            engine.restore(checkpoint.state)
            position = checkpoint.position
        log = SessionLog(Path(folder, "log"), file_bytes=1 << 20)
        writer = CheckpointWriter(checkpoints, every_s=every_s)
        session = Session(engine, checkpoints=writer, log=log, position=position, learner={})
        for index in range(position.n_events // EVENTS_PER_PACKET, sys.maxsize):
            session.advance(packet(seed, index))
