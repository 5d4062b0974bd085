"""``run``'s options that keep a run safe: checkpoints, resuming, the session's log, signals."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from streamvdib.allocator import keep_memory_flat
from streamvdib.commands.logs import add_session_log_argument
from streamvdib.commands.watching import (
    Guardian,
    engine_policies,
    make_guardian,
    make_shedding,
    source_lag,
    source_policy,
)
from streamvdib.errors import ConfigurationError
from streamvdib.signals import Signals, Stopped
from streamvdib.supervisor import Heartbeat

if TYPE_CHECKING:
    from streamvdib.checkpoints import Checkpoint, Checkpoints, CheckpointWriter, Damaged
    from streamvdib.engine import Engine, Frame
    from streamvdib.events import EventPacket
    from streamvdib.session import Session
    from streamvdib.session_log import SessionLog
    from streamvdib.shedding import Shedding
    from streamvdib.sources import EventSource


EVERY_S = 10.0  # between checkpoints
KEEP = 3


def add_safety_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("safety")
    group.add_argument("--checkpoint", metavar="DIR", help="write everything that changes there")
    group.add_argument("--checkpoint-every-s", type=float, metavar="N", help=f"({EVERY_S})")
    group.add_argument("--checkpoint-keep", type=int, metavar="N", help=f"generations ({KEEP})")
    group.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in DIR, if any"
    )
    group.add_argument(
        "--fall-back", action="store_true", help="with --resume: pass over damaged checkpoints"
    )
    add_limit_arguments(group)
    add_session_log_argument(group)


def add_limit_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the limits that ``run`` and ``serve`` share."""
    group.add_argument(
        "--shed-lag-ms",
        type=float,
        default=0.0,
        metavar="N",
        help="a live source further behind gives up frames, then steps, then lanes (never)",
    )
    group.add_argument(
        "--memory-mb",
        type=float,
        default=0.0,
        metavar="N",
        help="a live source gives up as much when more is in use; if that does not help, write a "
        "checkpoint and end (never)",
    )
    group.add_argument(
        "--source-stall-s",
        type=float,
        default=0.0,
        metavar="N",
        help="connect a live source anew that gave no event for so long (never)",
    )
    group.add_argument(
        "--decoder-stall-s",
        type=float,
        default=0.0,
        metavar="N",
        help="an alarm when one packet takes longer; then less is decoded (never)",
    )


def check_limit_arguments(arguments: argparse.Namespace) -> None:
    """Raise ``ConfigurationError`` for limits that cannot be meant."""
    _check_not_negative(arguments, "shed_lag_ms", "memory_mb", "source_stall_s", "decoder_stall_s")


def _check_not_negative(arguments: argparse.Namespace, *names: str) -> None:
    for name in names:
        value = getattr(arguments, name)
        if not 0 <= value < float("inf"):
            raise ConfigurationError(
                f"--{name.replace('_', '-')} must be a number of 0 or more; got {value}"
            )


def check_safety_arguments(arguments: argparse.Namespace) -> None:
    """Raise ``ConfigurationError`` for options that contradict each other, before all else."""
    if arguments.resume and arguments.checkpoint is None:
        raise ConfigurationError("--resume requires --checkpoint DIR, the folder to go on from")
    if arguments.fall_back and not arguments.resume:
        raise ConfigurationError("--fall-back says how to resume; it requires --resume")
    every_s, keep = arguments.checkpoint_every_s, arguments.checkpoint_keep
    for name, value in (("--checkpoint-every-s", every_s), ("--checkpoint-keep", keep)):
        if value is not None and arguments.checkpoint is None:
            raise ConfigurationError(f"{name} requires --checkpoint DIR, where they are written")
    if every_s is not None and not 0 <= every_s < float("inf"):
        raise ConfigurationError(f"--checkpoint-every-s must be 0 or more seconds; got {every_s}")
    if keep is not None and keep < 1:
        raise ConfigurationError(f"--checkpoint-keep must be at least 1; got {keep}")
    check_limit_arguments(arguments)
    if arguments.session_log and arguments.checkpoint:
        log, checkpoints = Path(arguments.session_log), Path(arguments.checkpoint)
        if log.absolute() == checkpoints.absolute():
            raise ConfigurationError(
                f"--session-log and --checkpoint must be two folders; got {log} twice"
            )


class Safety:
    """Signals, checkpoints and the log of one command that takes its sources in turn.

    Raises:
        StreamVdibError: an option is wrong, a folder cannot be used, or the checkpoint to go on
            from must not be loaded; nothing has begun.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        check_safety_arguments(arguments)
        keep_memory_flat()
        self.signals = Signals()
        self.stopped: Stopped | None = None
        self._heartbeat = Heartbeat()
        self._arguments = arguments
        self._lag_s: Callable[[], float] | None = None  # of a live source that can tell
        self._guardian: Guardian | None = None
        self._checkpoints: Checkpoints | None = None
        self._writer: CheckpointWriter | None = None
        self._log: SessionLog | None = None
        self._session: Session | None = None
        self._resumed: Checkpoint | None = None
        try:
            self._open(arguments)
        except BaseException:
            self._close()
            raise

    @property
    def exit_code(self) -> int:
        """0, or 128 + the signal that ended the run."""
        return 0 if self.stopped is None else self.stopped.exit_code

    def is_done(self, index: int) -> bool:
        """Whether the checkpoint to go on from is of a later source."""
        return self._resumed is not None and index < self._resumed.position.index

    def packets(
        self,
        engine: Engine,
        source: EventSource,
        packets: Iterable[EventPacket],
        index: int = 0,
        learner: Mapping[str, Any] | None = None,
    ) -> Iterator[EventPacket]:
        """Take charge of an engine, and go on where the checkpoint says.

        Args:
            engine: fresh, for this source.
            source: what is read.
            packets: its packets, or what filters made of them.
            index: number of the source.
            learner: what a rerun must know to make the engine's learner again.

        Returns:
            The packets that are left to push.
        """
        from streamvdib.checkpoints import Position, skip_to
        from streamvdib.session import Session

        position = Position(source.name, index)
        resumed = self._resumed
        if resumed is not None and resumed.position.index == index:
            engine.restore(resumed.state)
            self._resumed = None
            if not source.is_live:
                position = resumed.position
                packets = skip_to(packets, position)
        shedding = self._watch(source)
        self._session = Session(
            engine,
            checkpoints=self._writer,
            log=self._log,
            shedding=shedding,
            position=position,
            learner=learner,
        )
        yield from self.signals.interruptible(packets)

    def advance(self, packet: EventPacket) -> list[Frame]:
        """Push a packet; a signal that comes meanwhile waits until it is done."""
        assert self._session is not None, "packets must be iterated over first"
        session, guardian = self._session, self._guardian
        lag_s = 0.0 if self._lag_s is None else self._lag_s()
        if session.shedding is not None:
            session.shedding.observe(lag_s)
        if guardian is None:
            frames = session.advance(packet)
        else:
            guardian.packet_comes(has_events=len(packet.events) > 0, lag_s=lag_s)
            frames = session.advance(packet)
            guardian.packet_is_done()
        self._heartbeat.beat()
        return frames

    @property
    def counters(self) -> dict[str, int]:
        """What checkpoints, log, load shedding and the watchdog count, by name."""
        session = {} if self._session is None else self._session.counters
        return session | ({} if self._guardian is None else self._guardian.counters)

    def __enter__(self) -> Self:
        self.signals.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, Stopped):
            self.stopped = error
        self._close()
        self.signals.__exit__(kind, error, trace)
        return self.stopped is not None

    def finish(self) -> None:
        """A source has ended or the run is being stopped: write what must not be lost."""
        if self._guardian is not None:
            self._guardian.rest()
        if self._session is not None:
            self._session.finish()

    def _open(self, arguments: argparse.Namespace) -> None:
        if arguments.checkpoint is not None:
            from streamvdib.checkpoints import Checkpoints, CheckpointWriter

            keep, every_s = arguments.checkpoint_keep, arguments.checkpoint_every_s
            self._checkpoints = Checkpoints(
                Path(arguments.checkpoint), keep=KEEP if keep is None else keep
            )
            if arguments.resume and self._checkpoints.generations:
                self._resume(self._checkpoints, fall_back=arguments.fall_back)
            self._writer = CheckpointWriter(
                self._checkpoints, every_s=EVERY_S if every_s is None else every_s
            )
        if arguments.session_log is not None:
            from streamvdib.session_log import SessionLog

            self._log = SessionLog(Path(arguments.session_log))
        self._guardian = make_guardian(arguments, source_s=arguments.source_stall_s)

    def _watch(self, source: EventSource) -> Shedding | None:
        """Have this source and the engine that takes it watched; the load shedding that answers."""
        shedding = make_shedding(self._arguments, is_live=source.is_live)
        self._lag_s = source_lag(source) if source.is_live else None
        if self._guardian is not None:
            self._guardian.policies.clear()
            self._guardian.policies.update(source_policy(source))
            self._guardian.begins(is_live=source.is_live)
            if shedding is not None:
                self._guardian.policies.update(engine_policies(lambda: shedding))
        return shedding

    def _resume(self, checkpoints: Checkpoints, *, fall_back: bool) -> None:
        import torch

        from streamvdib.checkpoints.fingerprint import differences

        torch.set_num_threads(1)  # as the engine will have it, so that no false difference is told
        self._resumed = checkpoints.load(fall_back=fall_back)
        _tell(f"going on from checkpoint {self._resumed.generation}")
        passed_over: list[Damaged] = checkpoints.find()[1]
        for damaged in passed_over:
            _tell(f"passed over: {damaged.reason}")
        for text in differences(self._resumed.fingerprint):
            _tell(f"last bits may differ: {text}")

    def _close(self) -> None:
        """Close what is open."""
        if self._guardian is not None:
            self._guardian.close()
        if self._session is not None:
            self._session.close()
        if self._writer is not None:
            self._writer.close()
            if self._writer.last_error is not None:
                _tell(f"the last checkpoint failed: {self._writer.last_error}")
        if self._log is not None:
            self._log.close()
            if self._log.last_error is not None:
                _tell(f"the session's log was interrupted: {self._log.last_error}")
        if self._checkpoints is not None:
            self._checkpoints.close()


def _tell(text: str) -> None:
    print(f"streamvdib: {text}", file=sys.stderr)  # noqa: T201 - the command line's own output
