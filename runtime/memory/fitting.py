"""Which settings of a bundle fit into a memory: precision, modes, largest view, context, type of language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from uhd_edge.engines.building.targets import buildable_precisions, find_target
from uhd_edge.runtime.bundles.how_to_calibrate import how_to_calibrate
from uhd_edge.runtime.checking.building import KINDS, engine_orders, has_reference
from uhd_edge.runtime.errors import EngineUnavailableError, OptionError
from uhd_edge.runtime.memory.building import build_need, verify_need
from uhd_edge.runtime.memory.enough import fits
from uhd_edge.runtime.memory.gguf_sizes import read_gguf_sizes
from uhd_edge.runtime.memory.language_model import ConversationSettings, language_model_parts, smaller_types
from uhd_edge.runtime.memory.machine import memory_with, usable_memory
from uhd_edge.runtime.memory.need import MemoryNeed
from uhd_edge.runtime.memory.running import RunSettings, cpu_vision_parts, jetson_vision_parts
from uhd_edge.runtime.vision.slicing import largest_view, usual_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from uhd_edge.engines.building.targets import BuiltPrecision
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind
    from uhd_edge.runtime.memory.gguf_sizes import GgufSizes
    from uhd_edge.runtime.memory.running import CpuPrecision
    from uhd_edge.runtime.modes import Mode

MemoryTarget = Literal["cpu", "orin", "thor"]

CONTEXTS = (8192, 4096, 2048)  # tokens; the longest that fits is taken
SMALLER_VIEW = 1.25  # of a square view's patches: pictures up to about 25 times as wide as high


@dataclass(frozen=True)
class Pinned:
    """What a person has settled and holds in every line; None is searched for. `context` is in tokens."""

    mode: Mode | None = None
    precision: str | None = None
    max_slices: int | None = None
    context: int | None = None


@dataclass(frozen=True)
class _Machine:
    target: MemoryTarget
    usable: int
    language_model: GgufSizes
    pinned: Pinned


@dataclass(frozen=True)
class FittedSettings:
    """One way to run a bundle, and what it `needs`: a `MemoryNeed` each to build, to verify and to run it.

    `language_model` is its type; `is_own` says that the bundle has that one. `largest_view` is in patches.
    `fits` says that the largest need, with a margin, is within the usable memory.
    """

    precision: str
    modes: tuple[Mode, ...]
    max_slices: int
    largest_view: int
    context: int
    language_model: str
    is_own: bool
    needs: Mapping[str, MemoryNeed]
    fits: bool

    @property
    def peak(self) -> int:
        """Bytes of the largest need."""
        return max(need.total for need in self.needs.values())

    @property
    def fits_from(self) -> int:
        """Bytes of the smallest memory of a machine that these settings fit into."""
        return memory_with(max(need.with_margin for need in self.needs.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "precision": self.precision,
            "modes": list(self.modes),
            "max_slices": self.max_slices,
            "largest_view": self.largest_view,
            "context": self.context,
            "language_model": self.language_model,
            "needs": {name: need.to_dict() for name, need in self.needs.items()},
            "fits": self.fits,
            "fits_from": self.fits_from,
        }


def fit_settings(bundle: Bundle, memory: int, target: MemoryTarget, pinned: Pinned = Pinned()) -> list[FittedSettings]:
    """List settings for a machine with `memory` bytes, the best first, those that do not fit at their smallest.

    Better is the bundle's own language model, then the more exact precision, then all modes. The first
    that fits is the one to take. What is `pinned` is the same in all of them. Raises `EngineUnavailableError`
    when the bundle has no such graphs for `target`, `OptionError` for a precision that does not run there,
    and `ModelError`.
    """
    machine = _Machine(target, usable_memory(memory), read_gguf_sizes(bundle.llm_path), pinned)
    every = _modes(bundle, pinned.mode)
    precisions = _precisions(bundle, target, every, pinned.precision)
    alone: list[tuple[Mode, ...]] = [(mode,) for mode in every] if len(every) > 1 else []
    found: list[FittedSettings] = []
    for llm_type in (None, *smaller_types(bundle.manifest.llm.type)):
        if choose_settings(found) is None:  # with the language model before it nothing fits
            found += [
                _largest_that_fits(list(_candidates(bundle, machine, precision, modes, llm_type)))
                for precision in precisions
                for modes in [every, *alone]
            ]
    return found


def choose_settings(found: Sequence[FittedSettings]) -> FittedSettings | None:
    """Return the first that fits; None if none does."""
    return next((settings for settings in found if settings.fits), None)


def _modes(bundle: Bundle, pinned: Mode | None) -> tuple[Mode, ...]:
    if pinned is not None and pinned not in bundle.manifest.graphs:
        raise EngineUnavailableError(f"{bundle.path}: has no {pinned} graphs; it has {bundle.describe_graphs()}")
    return tuple(bundle.manifest.graphs) if pinned is None else (pinned,)


def _precisions(bundle: Bundle, target: MemoryTarget, modes: Sequence[Mode], pinned: str | None) -> list[str]:
    kinds: Mapping[str, GraphKind] = (
        {"fp32": "fp32", "int8": "int8"}
        if target == "cpu"
        else {one: KINDS[one] for one in buildable_precisions(find_target(target))}
    )
    if pinned is not None and pinned not in kinds:
        raise OptionError(f"{pinned} cannot be planned for {target}; valid are {', '.join(kinds)}")
    wanted: Mapping[str, GraphKind] = kinds if pinned is None else {pinned: kinds[pinned]}
    found = [name for name, kind in wanted.items() if all(kind in bundle.manifest.graphs[mode] for mode in modes)]
    if not found:
        exported = {"fp32", "fp16"} & set(wanted.values())
        made = how_to_calibrate(bundle.manifest, next(iter(wanted.values())), bundle.path)
        raise EngineUnavailableError(
            f"{bundle.path}: no {' or '.join(wanted.values())} graphs for {target}; the bundle has "
            f"{bundle.describe_graphs()}; " + ("export it with them" if exported else f"make them: {made}")
        )
    return found


def _largest_that_fits(candidates: Sequence[FittedSettings]) -> FittedSettings:
    return next((one for one in candidates if one.fits), candidates[-1])


def _candidates(
    bundle: Bundle, machine: _Machine, precision: str, modes: tuple[Mode, ...], llm_type: str | None
) -> Iterator[FittedSettings]:
    """Yield settings from the largest on; the last takes the least memory."""
    preprocessing, pinned = bundle.manifest.preprocessing, machine.pinned
    usual = max(usual_view(preprocessing, mode) for mode in modes)
    most = largest_view(preprocessing)
    views = [most] if machine.target == "cpu" else [most, min(most, round(SMALLER_VIEW * usual))]
    for view in views:
        needs = _vision_needs(bundle, machine, precision, modes, view)
        for context in CONTEXTS if pinned.context is None else (pinned.context,):
            parts = language_model_parts(
                bundle,
                ConversationSettings(context, llm_type=llm_type),
                sizes=machine.language_model,
                on_gpu=machine.target != "cpu",
            )
            whole = {**needs, "run": MemoryNeed((*needs["run"].parts, *parts))}
            yield FittedSettings(
                precision,
                modes,
                preprocessing.max_slices if pinned.max_slices is None else pinned.max_slices,
                view,
                context,
                llm_type or bundle.manifest.llm.type,
                llm_type is None,
                whole,
                all(fits(need, machine.usable) for need in whole.values()),
            )


def _vision_needs(
    bundle: Bundle, machine: _Machine, precision: str, modes: tuple[Mode, ...], view: int
) -> dict[str, MemoryNeed]:
    """What each step needs, running without the language model."""
    slices = machine.pinned.max_slices
    if machine.target == "cpu":
        on_cpu: CpuPrecision = "int8" if precision == "int8" else "fp32"
        return {"run": MemoryNeed(cpu_vision_parts(bundle, RunSettings(modes, slices), on_cpu))}
    built: BuiltPrecision = next(one for one in KINDS if one == precision)
    orders = engine_orders(bundle, modes=modes, precision=built, max_slices=slices, largest=view)
    needs = {"build": build_need(bundle, orders, find_target(machine.target))}
    if has_reference(bundle, modes):
        needs["verify"] = verify_need(bundle, modes)
    return {**needs, "run": MemoryNeed(jetson_vision_parts(bundle, orders, modes))}
