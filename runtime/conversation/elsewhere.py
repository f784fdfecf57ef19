"""Work of one answer that is done in another thread, while other answers go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Executor, Future

Result = TypeVar("Result")


class Elsewhere(str):
    """An empty piece of an answer, whose next step waits for work that `future` stands for."""

    future: Future[Any]

    def __new__(cls, future: Future[Any]) -> Elsewhere:  # `Self` is not in Python 3.10
        """Make an empty text that has the future."""
        piece = super().__new__(cls)
        piece.future = future
        return piece


def open_vision_thread() -> Executor:
    """Return what does work in one thread, which begins with the first; shut it down."""
    from concurrent.futures import ThreadPoolExecutor  # imported late: one answer at a time has no use for it

    return ThreadPoolExecutor(1, "uhd-edge vision")


def do_elsewhere(executor: Executor | None, work: Callable[[], Result]) -> Generator[str, None, Result]:
    """Do `work` in the executor, or at once without one, and return what it returns.

    Yields once, while it is being done. Closing the generator drops work that has not begun.
    """
    if executor is None:
        return work()
    future = executor.submit(work)
    try:
        yield Elsewhere(future)
        return future.result()
    finally:
        future.cancel()
