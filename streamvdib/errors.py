"""Every error that streamvdib raises on purpose, in one tree.

    StreamVdibError
    |-- EventOrderError (ValueError)         time stamps run backwards
    |-- EventRangeError (ValueError)         an event lies off the sensor
    |-- RecordingError (ValueError)          a file that does not hold what it should
    |   |-- UnknownFormatError               no reader recognises its content
    |   `-- TruncatedRecordingError          it ends inside an event or a block
    |-- LiveSourceError (ConnectionError)    a camera, socket or pipe failed
    |-- MissingExtraError (ImportError)      an optional dependency is not installed
    |-- GeometryError (ValueError)           sensor and model do not fit
    |-- ConfigurationError (ValueError)      an option, key or value that cannot be meant
    |-- ModelError (ValueError)              weights that do not fit their description
    |   `-- ModelNotFoundError               no model of that name or at that path
    |-- CheckpointError (ValueError)         a checkpoint that must not be loaded
    |-- TargetError (ValueError)             a learning target that must not be learned from
    |-- LearningError (ArithmeticError)      an update that is not finite or too large
    |-- SinkError (OSError)                  frames could not be written
    `-- ServiceError (RuntimeError)          sockets, wire messages, control

A message says what must hold, what came instead, and what to do. The command line prints it
without a traceback and exits with 2.
"""


class StreamVdibError(Exception):
    """Base of the tree: ``except StreamVdibError`` catches what this package raises on purpose."""


class EventOrderError(StreamVdibError, ValueError):
    """Events run backwards in time where that would make the data wrong."""


class EventRangeError(StreamVdibError, ValueError):
    """An event lies off the sensor."""


class RecordingError(StreamVdibError, ValueError):
    """A recording does not hold what its format promises; the message names file and offset."""


class UnknownFormatError(RecordingError):
    """No reader recognises the content of a file."""


class TruncatedRecordingError(RecordingError):
    """A recording ends in the middle of an event or a block."""


class LiveSourceError(StreamVdibError, ConnectionError):
    """A camera, socket or pipe could not be opened or failed for good."""


class MissingExtraError(StreamVdibError, ImportError):
    """An optional dependency is needed and not installed; the message names the extra."""

    def __init__(self, purpose: str, *, extra: str, missing: str) -> None:
        super().__init__(
            f"{purpose} requires the package {missing}; it is not installed. "
            f"Install it with: pip install 'streamvdib[{extra}]'"
        )
        self.extra = extra


class GeometryError(StreamVdibError, ValueError):
    """The sensor does not fit the model; the message names the option that makes it fit."""


class ConfigurationError(StreamVdibError, ValueError):
    """An option, a key or a value that cannot be meant."""


class ModelError(StreamVdibError, ValueError):
    """Weights that do not fit their description."""


class ModelNotFoundError(ModelError):
    """There is no model of that name and no file at that path."""


class CheckpointError(StreamVdibError, ValueError):
    """A checkpoint that is damaged, of another model or of another version."""


class TargetError(StreamVdibError, ValueError):
    """A learning target that is not finite, of the wrong shape, or of the wrong time."""


class LearningError(StreamVdibError, ArithmeticError):
    """A weight update that is not finite or too large; the last good weights are in place."""


class SinkError(StreamVdibError, OSError):
    """Frames could not be written; what was written before stays valid."""


class ServiceError(StreamVdibError, RuntimeError):
    """A socket, a wire message or a control request that cannot be served."""
