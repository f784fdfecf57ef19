"""What every engine is: named numpy arrays in, named numpy arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

Array: TypeAlias = NDArray[Any]


class Engine(Protocol):
    """A compiled graph held open on a device; close it, or use it with `with`."""

    @property
    def provider(self) -> str:
        """What the graph really runs on, asked of the backend after it was opened."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; raises `EngineError` on a wrong name, shape or dtype."""
        ...

    def close(self) -> None:
        """Release the device's memory; a closed engine raises `EngineError` when run."""
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
