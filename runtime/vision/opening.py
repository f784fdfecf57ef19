"""Opening the engines of a mode: the one that was asked for, or the best that works."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from uhd_edge.engines.selection import open_onnxruntime, open_openvino, open_tensorrt
from uhd_edge.runtime.errors import EngineError, MissingExtraError
from uhd_edge.runtime.vision.engine_choice import BACKENDS, Choice, PrecisionChoice, choices, select_records
from uhd_edge.runtime.vision.usable import first_usable, known_weights
from uhd_edge.runtime.vision.vision_engines import VisionEngines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.engine import Engine
    from uhd_edge.engines.names import EngineName
    from uhd_edge.engines.openvino import Arithmetic
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.verdicts.kept import Verdict

Key: TypeAlias = "tuple[str, Path, tuple[Path, ...]]"


class EngineOpener:
    """Opens the engines of a bundle, each graph once, for any number of threads; close it.

    `notes` gets a line for each engine that `auto` preferred and could not use, for the precision it
    chose where the bundle holds INT8, and for each TensorRT engine that was compared with FP32 before its
    first use: `auto` uses no other. Where there are several, all are compared and timed, and the fastest is used.
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
        self._by_mode: dict[Mode, VisionEngines] = {}
        self._chosen: dict[Mode, list[Choice]] = {}
        self._used: dict[Mode, Choice] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._built = self._find_built()

    def check(self, mode: Mode) -> None:
        """Raise `EngineUnavailableError` when nothing can run `mode`, without opening anything."""
        self._choices(mode)

    def best(self, mode: Mode) -> Choice:
        """Return what `auto` runs `mode` with here, as far as that shows without opening it; notes why nothing better.

        Raises `EngineUnavailableError` when nothing can run `mode`.
        """
        return first_usable(self._bundle, mode, self._choices(mode), self._built, self._note)

    def open_mode(self, mode: Mode) -> VisionEngines:
        """Open the engines of `mode`, or return those that are open. Raises `EngineError`."""
        with self._lock:
            if self._closed:
                raise EngineError("the vision encoder is closed; make a new one")
            if mode not in self._by_mode:
                self._by_mode[mode] = self._open_best(mode)
            return self._by_mode[mode]

    def is_open(self, mode: Mode) -> bool:
        """Whether `open_mode` returns at once."""
        return mode in self._by_mode

    def open_instead(self, failed: VisionEngines, error: EngineError) -> VisionEngines:
        """Open engines for what `failed` cannot run, such as a view larger than an engine was built for.

        Only where `auto` had a choice is there one; raises `error` otherwise.
        """
        mode = failed.mode
        last = self._choices(mode)[-1]
        if last.engine != "onnxruntime" or self._closed:
            raise error
        with self._lock:
            engines = self._open(mode, last)
        if engines.encoder is failed.encoder:
            raise error
        self._note(str(error))
        self._note(f"{mode} runs in {engines.precision} on {engines.encoder.provider} where that happens")
        return engines

    def keep_verdict(self, mode: Mode, *, passed: bool) -> Verdict | None:
        """Keep whether the TensorRT engines that run `mode` agreed with FP32, with what a view takes them.

        Returns what was kept; other engines are not measured, and None is returned.
        """
        choice = self._used.get(mode)
        if choice is None or choice.engine not in BACKENDS:
            return None
        from uhd_edge.runtime.vision.verdicts.kept import keep_verdict, verdict_about
        from uhd_edge.runtime.vision.verdicts.measuring import measured

        graph, _ = choice.graphs(self._bundle, mode)
        verdict = verdict_about(mode, self._records(mode, choice), passed=passed)
        verdict = measured(self._bundle, self.open_mode(mode), graph, verdict)
        keep_verdict(self._bundle, verdict)
        return verdict

    def close(self) -> None:
        """Close every engine. Safe to call twice."""
        with self._lock:
            self._closed = True
            self._by_mode.clear()
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()

    def _find_built(self) -> list[EngineRecord]:
        if self._engine in ("onnxruntime", "openvino"):
            return []
        if not (self._bundle.path / "engines").is_dir():
            return []  # nothing was built, so the validation of records need not be imported
        from uhd_edge.engines.building.engine_record import find_engines

        return find_engines(self._bundle.path, self._note if self._engine == "auto" else None)

    def _choices(self, mode: Mode) -> list[Choice]:
        if mode not in self._chosen:
            found = choices(self._bundle, mode, engine=self._engine, precision=self._precision, built=self._built)
            self._chosen[mode] = self._fastest_first(mode, found)
        return self._chosen[mode]

    def _fastest_first(self, mode: Mode, found: list[Choice]) -> list[Choice]:
        if not any(choice.engine in BACKENDS for choice in found):
            return found
        from uhd_edge.runtime.vision.verdicts.order import fastest_first

        return fastest_first(self._bundle, mode, found, self._built)

    def _compare_all(self, mode: Mode) -> bool:
        """Compare and time the TensorRT engines that `auto` chooses from, where that was not done on this GPU.

        One after the other, for each takes much memory. What fails is left out, and tried again at the next start.
        Returns whether none failed.
        """
        if not any(choice.engine in BACKENDS for choice in self._choices(mode)):
            return True
        from uhd_edge.runtime.vision.verdicts.order import not_compared

        left_out: list[Choice] = []
        for choice in not_compared(self._bundle, mode, self._choices(mode), self._built):
            already = set(self._engines)
            try:
                self._open(mode, choice)
            except (EngineError, MissingExtraError) as error:
                self._note(str(error))
                left_out.append(choice)
            self._close_all_but(already)
        kept = [choice for choice in self._choices(mode) if choice not in left_out]
        self._chosen[mode] = self._fastest_first(mode, kept or left_out)
        return not left_out

    def _records(self, mode: Mode, choice: Choice) -> list[EngineRecord]:
        built = select_records(self._bundle, mode, choice, self._built)
        return [record for records in built for record in records]

    def _open_best(self, mode: Mode) -> VisionEngines:
        all_compared = self._engine != "auto" or self._compare_all(mode)
        choice, engines = self._open_first(mode)
        instead = "" if choice is self._choices(mode)[0] and all_compared else " instead"
        had_a_choice = choice.engine in BACKENDS or "int8" in self._bundle.manifest.graphs[mode]
        why = f": {choice.reason}" if choice.reason and had_a_choice else ""
        if instead or why:
            self._note(f"{mode} runs in {engines.precision} on {engines.encoder.provider}{instead}{why}")
        return engines

    def _open_first(self, mode: Mode) -> tuple[Choice, VisionEngines]:
        *better, last = self._choices(mode)
        for choice in better:
            try:
                return choice, self._open(mode, choice)
            except (EngineError, MissingExtraError) as error:
                self._note(str(error))
        return last, self._open(mode, last)

    def _open(self, mode: Mode, choice: Choice) -> VisionEngines:
        both_modes = self._bundle.manifest.graphs[mode][choice.kind].both_modes
        built = select_records(self._bundle, mode, choice, self._built)
        with self._closing_new_on_failure():
            encoder, connector = (
                self._open_graph(graph, choice, records)
                for graph, records in zip(choice.graphs(self._bundle, mode), built, strict=True)
            )
            engines = VisionEngines(encoder, connector, self._bundle.manifest, mode, choice.precision, both_modes)
            if self._engine == "auto" and choice.engine in BACKENDS:
                self._check(engines, choice)
        self._used[mode] = choice
        return engines

    def _check(self, engines: VisionEngines, choice: Choice) -> None:
        from uhd_edge.runtime.vision.verdicts.first_check import check_before_use

        graph, _ = choice.graphs(self._bundle, engines.mode)
        records = self._records(engines.mode, choice)
        if found := check_before_use(self._bundle, engines, graph, records, self._threads):
            self._note(found)

    @contextmanager
    def _closing_new_on_failure(self) -> Iterator[None]:
        """Close what the block opened if it fails: an encoder without its connector is of no use."""
        already = set(self._engines)
        try:
            yield
        except BaseException:
            self._close_all_but(already)
            raise

    def _close_all_but(self, already: set[Key]) -> None:
        for key in set(self._engines) - already:
            self._engines.pop(key).close()

    def _open_graph(self, graph: Path, choice: Choice, records: list[EngineRecord]) -> Engine:
        # Engines that were built for one mode each have one graph, yet are two.
        key = (choice.engine, graph, tuple(record.path for record in records))
        if key not in self._engines:
            if choice.engine == "onnxruntime":
                self._engines[key] = open_onnxruntime(graph, threads=self._threads, tell=self._note)
            elif choice.engine == "openvino":
                arithmetic: Arithmetic = "exact" if choice.precision == "fp32" else "half"
                self._engines[key] = open_openvino(graph, threads=self._threads, arithmetic=arithmetic)
            else:
                self._engines[key] = open_tensorrt(
                    graph, backend=choice.engine, records=records, known_sha256=known_weights(self._bundle)
                )
        return self._engines[key]

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)
