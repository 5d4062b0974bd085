"""What a CUDA graph does, on the CPU: the operations of one step again, on the same tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from streamvdib.backends.torch_buffers import Run


class OperationLog(TorchDispatchMode):
    """Keeps every operation with its arguments and the memory that its result lies in."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result


class RecordedSteps:
    """A ``Recorder`` for any device; a result goes where it lay when it was recorded."""

    def __init__(self) -> None:
        self.log = OperationLog()

    def check(self, device: torch.device) -> None:
        """Every device will do."""

    def record(self, step: Run, device: torch.device) -> Callable[[], None]:
        step()
        with self.log:
            step()
        return self.replay

    def replay(self) -> None:
        for func, args, kwargs, result in self.log.operations:
            again = func(*args, **kwargs)
            if isinstance(again, Tensor) and again.data_ptr() != result.data_ptr():
                result.copy_(again)
