"""Opening the engines of a bundle's modes: what was asked for, or the best that works."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias

from uhd_edge.engines.selection import open_onnxruntime, open_openvino, open_tensorrt
from uhd_edge.runtime.errors import EngineError, MissingExtraError
from uhd_edge.runtime.vision.engine_choice import Choice, PrecisionChoice, choices, records_of
from uhd_edge.runtime.vision.vision_engines import Towers

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.engine import Engine
    from uhd_edge.engines.openvino import Arithmetic
    from uhd_edge.engines.selection import EngineName
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

Key: TypeAlias = "tuple[str, Path]"


class TowerOpener:
    """Holds the engines of a bundle open, each graph's once, for whichever threads want them; close it.

    What `auto` would rather have used, and why it did not, goes into `notes`.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: EngineName,
        precision: PrecisionChoice,
        threads: int | None,
        notes: list[str],
    ) -> None:
        self._bundle = bundle
        self._engine: EngineName = engine
        self._precision: PrecisionChoice = precision
        self._threads = threads
        self._notes = notes
        self._engines: dict[Key, Engine] = {}
        self._towers: dict[Mode, Towers] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._built = self._find_built()

    def check(self, mode: Mode) -> None:
        """Raise `EngineUnavailableError` when nothing can run `mode`, without opening anything."""
        self._choices(mode)

    def towers(self, mode: Mode) -> Towers:
        """Open the engines of `mode`, or return those that are open. Raises `EngineError`."""
        with self._lock:
            if self._closed:
                raise EngineError("the vision encoder is closed; make a new one")
            if mode not in self._towers:
                self._towers[mode] = self._open_best(mode)
            return self._towers[mode]

    def is_open(self, mode: Mode) -> bool:
        """Whether `towers` has nothing to open and nothing to wait for."""
        return mode in self._towers

    def instead_of(self, failed: Towers, error: EngineError) -> Towers:
        """Open what runs where `failed` cannot, as with a view larger than an engine was built for.

        Only `auto` has something else to offer; raises `error` otherwise.
        """
        mode = failed.mode
        last = self._choices(mode)[-1]
        if self._engine != "auto" or last.engine != "onnxruntime":
            raise error
        with self._lock:
            towers = self._open(mode, last)
        if towers.encoder is failed.encoder:
            raise error
        self._note(str(error))
        self._note(f"{mode} runs in {towers.precision} on {towers.encoder.provider} where that happens")
        return towers

    def close(self) -> None:
        """Close every engine; again is harmless."""
        with self._lock:
            self._closed = True
            self._towers.clear()
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()

    def _find_built(self) -> list[EngineRecord]:
        if self._engine in ("onnxruntime", "openvino"):
            return []
        if not (self._bundle.path / "engines").is_dir():
            return []  # where nothing was built, what validates the records is not imported either
        from uhd_edge.engines.building.engine_record import find_engines

        return find_engines(self._bundle.path, self._note if self._engine == "auto" else None)

    def _choices(self, mode: Mode) -> list[Choice]:
        return choices(self._bundle, mode, engine=self._engine, precision=self._precision, built=self._built)

    def _open_best(self, mode: Mode) -> Towers:
        *better, last = self._choices(mode)
        for choice in better:
            try:
                return self._open(mode, choice)
            except (EngineError, MissingExtraError) as error:
                self._note(str(error))
        towers = self._open(mode, last)
        if better:
            self._note(f"{mode} runs in {towers.precision} on {towers.encoder.provider} instead")
        return towers

    def _open(self, mode: Mode, choice: Choice) -> Towers:
        already = set(self._engines)
        try:
            encoder, connector = (
                self._open_graph(graph, choice, records)
                for graph, records in zip(
                    choice.graphs(self._bundle, mode),
                    records_of(self._bundle, mode, choice, self._built),
                    strict=True,
                )
            )
        except BaseException:
            for key in set(self._engines) - already:
                self._engines.pop(key).close()  # an encoder without its connector only takes memory
            raise
        return Towers(encoder, connector, self._bundle.manifest, mode, choice.precision)

    def _open_graph(self, graph: Path, choice: Choice, records: list[EngineRecord]) -> Engine:
        key = (choice.engine, graph)
        if key not in self._engines:
            if choice.engine == "onnxruntime":
                self._engines[key] = open_onnxruntime(graph, threads=self._threads, tell=self._note)
            elif choice.engine == "openvino":
                arithmetic: Arithmetic = "exact" if choice.precision == "fp32" else "half"
                self._engines[key] = open_openvino(graph, threads=self._threads, arithmetic=arithmetic)
            else:
                self._engines[key] = open_tensorrt(
                    graph, backend=choice.engine, records=records, known_sha256=self._known_weights()
                )
        return self._engines[key]

    def _known_weights(self) -> dict[Path, str]:
        """Digests of the weight files, gigabytes in the real model; a graph is small and read again."""
        files = self._bundle.manifest.files.items()
        return {self._bundle.path / name: record.sha256 for name, record in files if not name.endswith(".onnx")}

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)
