"""List the files of a graph, and count its operators, by reading its ONNX file without the onnx package.

An engine is valid only for the exact graph and weights it was built from, and a device that
runs engines has no onnx package. Only the few fields that name external files and operators are
read. Everything else is skipped, including weights inside the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.fusing.wire import messages

# Field numbers in onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_OPERATOR = 4
_TENSOR_EXTERNAL_DATA = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def graph_files(graph: Path) -> tuple[Path, ...]:
    """Return `graph` itself, followed by the files that hold its weights, sorted by name.

    Raises `EngineError` if the graph cannot be read, is not ONNX, or names a file outside its folder.
    """
    with _reading(graph) as content:
        names = {_location(entries) for entries in _external_data(content)} - {""}
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise EngineError(f"{graph}: keeps weights outside its folder ({name}); export the bundle again")
    return (graph, *(graph.parent / name for name in sorted(names)))


def weights_elsewhere(graph: Path) -> str | None:
    """Say which weights of `graph` are links out of its folder, and what to do; None if there are no such links.

    ONNX Runtime and OpenVINO open no file that a graph names and that lies elsewhere, though the graph's folder
    may be a link itself.
    """
    folder = graph.parent.resolve()
    try:
        _, *files = graph_files(graph)
    except EngineError:  # an engine knows more of what is wrong with it
        return None
    for weights in files:
        target = weights.resolve()
        if weights.is_symlink() and not target.is_relative_to(folder):
            return (
                f"{weights} is a link to {target}, and engines open no weights outside the graph's folder; "
                "put the file there (`cp -rL` copies a bundle with what its links name), or link the whole folder"
            )
    return None


def count_operators(graph: Path, operator: str) -> int:
    """Count the nodes of `graph` that are `operator`, such as "Softmax"; raises `EngineError` as `graph_files` does."""
    with _reading(graph) as content:
        nodes = [node for part in messages(content, _MODEL_GRAPH) for node in messages(part, _GRAPH_NODE)]
        return sum(bytes(name) == operator.encode() for node in nodes for name in messages(node, _NODE_OPERATOR))


@contextmanager
def _reading(graph: Path) -> Iterator[memoryview]:
    try:
        yield memoryview(graph.read_bytes())
    except OSError as error:
        raise EngineError(f"{graph}: cannot be read ({error.strerror}); export the bundle again") from error
    except (ValueError, IndexError) as error:
        raise EngineError(f"{graph}: is not an ONNX graph; export the bundle again") from error


def _external_data(model: memoryview) -> Iterator[list[memoryview]]:
    """Yield the external-data entries of each initializer; empty for weights inside the file."""
    for graph in messages(model, _MODEL_GRAPH):
        for tensor in messages(graph, _GRAPH_INITIALIZER):
            yield list(messages(tensor, _TENSOR_EXTERNAL_DATA))


def _location(entries: list[memoryview]) -> str:
    """Return the file name from a tensor's key-value pairs, or an empty string."""
    for entry in entries:
        key, value = (bytes(next(messages(entry, number), b"")).decode() for number in (_ENTRY_KEY, _ENTRY_VALUE))
        if key == "location":
            return value
    return ""
