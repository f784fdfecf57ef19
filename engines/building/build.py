"""Build engines into a bundle: one file per graph, and a record of what it was built from and for.

An engine gets its final name once it is complete, and its record after that. An engine
without a record is not used. Until then the previous engine stays in use. TensorRT's timing
cache is kept next to the engines, so that rebuilding takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from uhd_edge.engines.building.builder import compile_graph
from uhd_edge.engines.building.ended import PARTIAL, tell_killed
from uhd_edge.engines.building.engine_record import (
    ENGINE_SUFFIX,
    FOLDER,
    RECORD_SUFFIX,
    EngineRecord,
    read_digest,
    read_digests,
    remove_engine,
    unfinished_files,
    write_record,
    write_whole,
)
from uhd_edge.engines.building.targets import BuiltPrecision, Target, why_unbuildable
from uhd_edge.engines.building.trtexec import blames_timing_cache, build_arguments, find_trtexec, run_trtexec
from uhd_edge.engines.errors import EngineBuildError, EngineUnavailableError, MissingExtraError
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.engines.tensorrt.library import import_tensorrt
from uhd_edge.engines.unfinished import locked, remove_abandoned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.engines.building.profiles import Profile
    from uhd_edge.engines.unfinished import Tell

TIMING_CACHE = "timing.cache"


@dataclass(frozen=True)
class EngineOrder:
    """One engine to build: its name, the path of its graph in the bundle, its precision and its shapes.

    With `write_padded`, called with the graph and the file to write, attention heads are padded first.
    `replaces` names engines that this one covers, which are removed once it is complete. A graph that is
    `shared` serves modes that are not built now, too.
    """

    name: str
    graph: str
    precision: BuiltPrecision
    profiles: tuple[Profile, ...]
    write_padded: Callable[[Path, Path], None] | None = None
    replaces: tuple[str, ...] = ()
    shared: bool = False


@dataclass(frozen=True)
class _Origin:
    """The TensorRT version that built an engine, and the GPU; `gpu` is None if built ahead of time."""

    version: str
    compute_capability: str
    gpu: str | None


def build_engines(
    bundle: Path,
    orders: Sequence[EngineOrder],
    *,
    target: Target,
    progress: Callable[[str], None],
) -> list[EngineRecord]:
    """Build `orders` into `bundle`/engines/TARGET and return their records; `progress` gets each name.

    Engines for RTX cards are built ahead of time by TensorRT-RTX, with or without a GPU.
    Engines for `here` are built by TensorRT's Python package if it can be imported, otherwise
    by trtexec. An engine of the same name is replaced once the new one is complete, and so are those that it covers.

    Raises `EngineBuildError` if a graph is rejected, the build fails or the folder cannot be
    written, and `EngineUnavailableError` or `MissingExtraError` if no builder is available.
    Engines finished before the error are kept.
    """
    build = _builder(target)
    with _writing(bundle / FOLDER / target.name, progress) as folder:
        records = []
        for order in orders:
            progress(order.name)
            if record := _build(build, order, bundle, folder, target):
                records.append(record)
        return records


def build_if_accepted(
    bundle: Path, order: EngineOrder, *, target: Target, accept: Callable[[Path], bool], progress: Callable[[str], None]
) -> EngineRecord | None:
    """Build `order`, and put it in the place of the engine of its name if `accept` says so of the engine's file.

    Returns its record, None if the former engine stays. Raises the errors of `build_engines`.
    """
    build = _builder(target)
    with _writing(bundle / FOLDER / target.name, progress) as folder:
        return _build(build, order, bundle, folder, target, accept=accept)


_Build: TypeAlias = "Callable[[Path, Path, Sequence[Profile]], _Origin]"


def _builder(target: Target) -> _Build:
    """Choose the function that compiles (graph, engine file, profiles) for `target`."""
    if target.backend == "tensorrt-rtx":
        version: str = import_tensorrt("tensorrt-rtx").__version__
        return lambda graph, engine, profiles: _ahead_of_time(graph, engine, profiles, target, version)
    try:
        import_tensorrt("tensorrt")
    except (MissingExtraError, EngineUnavailableError) as error:
        program = find_trtexec()
        if program is None:
            raise EngineUnavailableError(
                f"this device has neither TensorRT's Python package nor trtexec ({error}); for an RTX card build "
                "ahead of time, for example with --target rtx-40"
            ) from error
        return lambda graph, engine, profiles: _with_trtexec(graph, engine, profiles, program)
    return _with_python


def _ahead_of_time(graph: Path, engine: Path, profiles: Sequence[Profile], target: Target, version: str) -> _Origin:
    capability = target.compute_capability
    try:
        content = compile_graph(
            graph, profiles, backend="tensorrt-rtx", compute_capability=capability, timing_cache=None
        )
    except EngineBuildError as error:
        reason = why_unbuildable(target, str(error))
        raise (EngineBuildError(f"{graph}: {reason}") if reason else error) from error
    write_whole(_partial(engine), content)
    return _Origin(version, capability or "", None)


def _with_python(graph: Path, engine: Path, profiles: Sequence[Profile]) -> _Origin:
    gpu = first_gpu()
    cache = engine.with_name(TIMING_CACHE)
    content = compile_graph(graph, profiles, backend="tensorrt", compute_capability=None, timing_cache=cache)
    write_whole(_partial(engine), content)
    return _Origin(import_tensorrt("tensorrt").__version__, gpu.compute_capability, gpu.name)


def _with_trtexec(graph: Path, engine: Path, profiles: Sequence[Profile], program: str) -> _Origin:
    partial, log, cache = _partial(engine), engine.with_suffix(".log"), engine.with_name(TIMING_CACHE)
    arguments = build_arguments(graph, partial, profiles, timing_cache=cache)
    try:
        report = run_trtexec(program, arguments, log, graph)
    except EngineBuildError:
        if not (cache.is_file() and blames_timing_cache(log)):
            raise
        cache.unlink()  # from another version, for example after a JetPack upgrade: measure again
        report = run_trtexec(program, arguments, log, graph)
    if not partial.is_file() or partial.stat().st_size == 0:
        raise EngineBuildError(f"{graph}: trtexec reported PASSED but wrote no engine; check the free disk space")
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    return _Origin(report.tensorrt, report.compute_capability, report.gpu)


def _partial(engine: Path) -> Path:
    """Where an engine is written until it is complete; the folder's lock allows one build at a time."""
    return engine.with_name(f".{engine.name}{PARTIAL}")


def _build(
    build: _Build,
    order: EngineOrder,
    bundle: Path,
    folder: Path,
    target: Target,
    *,
    accept: Callable[[Path], bool] = lambda _: True,
) -> EngineRecord | None:
    graph, engine = bundle / order.graph, folder / f"{order.name}{ENGINE_SUFFIX}"
    before = read_digests(graph)
    try:
        # Until it is complete this shows a later run that one was killed, see `tell_killed`.
        _partial(engine).touch()
        with _as_ordered(graph, order) as source:
            origin = build(source, engine, order.profiles)
        if not accept(_partial(engine)):
            return None
        # An old record next to a new engine would be wrong; an engine without a record is not found.
        (folder / f"{order.name}{RECORD_SUFFIX}").unlink(missing_ok=True)
        _partial(engine).replace(engine)
    finally:
        _partial(engine).unlink(missing_ok=True)
    record = EngineRecord(
        backend=target.backend,
        backend_version=origin.version,
        target=target.name,
        compute_capability=origin.compute_capability,
        gpu=origin.gpu,
        precision=order.precision,
        attention="plain" if order.write_padded is None else "padded",
        graph=order.graph,
        graph_files=before,
        profiles=order.profiles,
        engine=read_digest(engine),
        path=engine,
    )
    write_record(record)
    for name in order.replaces:
        remove_engine(folder, name)
    return record


@contextmanager
def _as_ordered(graph: Path, order: EngineOrder) -> Iterator[Path]:
    """Yield the graph to build from: beside `graph` and its weights, with padded heads if that is ordered."""
    if order.write_padded is None:
        yield graph
        return
    padded = graph.with_name(f".{graph.stem}.padded{graph.suffix}")
    try:
        order.write_padded(graph, padded)
        yield padded
    finally:
        padded.unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path, tell: Tell) -> Iterator[Path]:
    """Lock the folder against other builds, remove leftovers of killed ones, and turn `OSError` into our errors."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, wait=False):
            tell_killed(folder, tell)
            remove_abandoned(unfinished_files(folder), tell)
            yield folder
    except BlockingIOError as error:
        raise EngineBuildError(f"{folder}: another build is writing there; wait for it to end") from error
    except OSError as error:
        where, reason = error.filename or folder, error.strerror or error
        raise EngineBuildError(f"{where}: cannot be written ({reason}); free some space, or copy the bundle") from error
