"""The interface of an engine: named numpy arrays in, named numpy arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

Array: TypeAlias = NDArray[Any]


class Engine(Protocol):
    """A compiled graph, open on a device; close it, or use it in a `with` statement."""

    @property
    def provider(self) -> str:
        """What the graph actually runs on, as the backend reports it after opening."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; raises `EngineError` for a wrong name, shape or dtype."""
        ...

    def close(self) -> None:
        """Release the device memory; running a closed engine raises `EngineError`."""
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ClosedByWith:
    """A class with `close` that may be used in a `with` statement."""

    def close(self) -> None:
        """Release what is held open."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
