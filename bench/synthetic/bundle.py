"""A bundle of random weights in the sizes of a real model, to measure speed and memory without downloading it.

The answers are noise, and INT8 is not calibrated. The vision tower and the language model take as
long and as much memory as the real ones.

The bundle is made once and kept in the user's cache.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from uhd_edge.bench.synthetic.random_hybrid import RandomHybrid, write_random_hybrid
from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel, prompt, write_random_llm
from uhd_edge.bench.synthetic.random_weights import RandomConfig, RandomWeights
from uhd_edge.export.bundle_writer import BundleWriter
from uhd_edge.export.disk_space import BYTES, check_disk_space
from uhd_edge.export.export import EXPORTED_PRECISIONS
from uhd_edge.export.tower_config import TowerConfig
from uhd_edge.runtime.bundles.backbones import EPSILONS
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS, find_known
from uhd_edge.runtime.bundles.manifest import FORMAT_VERSION, Manifest
from uhd_edge.runtime.bundles.model_sizes import CHANNELS, ModelSizes
from uhd_edge.runtime.bundles.variants import VARIANTS, Variant, stand_on, vary
from uhd_edge.runtime.errors import BundleError, ExportError, OutputError
from uhd_edge.runtime.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from uhd_edge.runtime.bundles.manifest import GraphKind, Graphs, LanguageModelFile
    from uhd_edge.runtime.modes import Mode, Precision

    # Called with a line that says what is being done.
    Progress = Callable[[str], None]

VERSION = 3  # of what is made; another number makes it anew
LLM = "llm.gguf"


@dataclass(frozen=True)
class SyntheticModel:
    """The sizes of a real vision tower, and of its language model or of a smaller one in its place."""

    sizes: ModelSizes
    heads: int
    llm: RandomHybrid | RandomLanguageModel


# Of every known model; None is too large to be made. MiniCPM-V 4.7's has the layers of 4.6's, and the number of its
# parameters tells that the output layer is its own.
_LANGUAGE_MODELS: Final[Mapping[str, RandomHybrid | None]] = MappingProxyType(
    {
        "minicpm-v-4.6": RandomHybrid(),
        "minicpm-v-4.6-thinking": RandomHybrid(),
        "minicpm-v-4.7-1b": RandomHybrid(has_output=True, has_canvas=True),
        "llava-uhd-v4-8m": None,
        "llava-uhd-v4-8m-baseline": None,
    }
)
_HEADS = 16  # of the vision tower of each
_OTHER_WAYS = tuple(name for name, way in VARIANTS.items() if way != Variant())


def _real() -> Iterator[SyntheticModel]:
    for name, known in KNOWN_MODELS.items():
        llm = _LANGUAGE_MODELS[name]
        if llm is not None:
            yield SyntheticModel(known.sizes, _HEADS, llm)


def _on_moonvit(model: SyntheticModel) -> SyntheticModel:
    return replace(model, sizes=replace(stand_on(model.sizes, "moonvit"), name=f"{model.sizes.name}-moonvit"))


def _as_variant(model: SyntheticModel, name: str) -> SyntheticModel:
    sizes = vary(model.sizes, VARIANTS[name])
    return replace(model, sizes=replace(sizes, name=f"{sizes.name}-{name}"))


# The real models and the same with a MoonViT, and what all would be with every other way of encoding, such as
# minicpm-v-4.6-cross-mean and minicpm-v-4.6-moonvit-post-vit.
MODELS: Final[Mapping[str, SyntheticModel]] = MappingProxyType(
    {
        model.sizes.name: model
        for real in _real()
        for base in (real, _on_moonvit(real))
        for model in (base, *(_as_variant(base, name) for name in _OTHER_WAYS))
    }
)


def synthetic_bundle(
    name: str,
    *,
    precisions: Sequence[str] = ("fp32",),
    threads: int | None = None,
    progress: Progress = lambda _step: None,
) -> Bundle:
    """Open the synthetic bundle `name`, such as `minicpm-v-4.6`. It is made now if it is not in the user's cache.

    Another vision tower and a way of encoding may follow, as in `minicpm-v-4.6-cross-mean` or
    `minicpm-v-4.6-moonvit-cross-mean` (see `uhd_edge.runtime.bundles.variants`). The bundle always has
    FP32 graphs, and FP16 and INT8 ones if `precisions` names them. FP32 and the language model take
    2.7 GB of disk, FP16 another 1.1 GB, INT8 another 0.7 GB. The INT8 ranges are not calibrated; they
    are good for measuring speed only.

    Raises `ExportError` for an unknown name, and `OutputError` when the disk has too little space
    or the cache cannot be written.
    """
    known = find_known(name)
    model = MODELS.get(name.lower() if known is None else known.name)
    if model is None:
        why = "" if known is None else ", whose language model has 8 billion parameters"
        valid = ", ".join(real.sizes.name for real in _real())
        raise ExportError(
            f"there are no random weights for {name!r}{why}; valid are {valid}, and each of them with -moonvit, "
            f"with a variant ({', '.join(_OTHER_WAYS)}) or with both behind it"
        )
    return open_synthetic_bundle(
        model, user_cache() / "synthetic", precisions=precisions, threads=threads, progress=progress
    )


def open_synthetic_bundle(
    model: SyntheticModel,
    folder: Path,
    *,
    precisions: Sequence[str],
    threads: int | None,
    progress: Progress,
) -> Bundle:
    """Like `synthetic_bundle`, but with the sizes of `model`, and with the bundle in `folder`."""
    target = folder / f"{model.sizes.name}-{VERSION}"
    with _locked(folder, progress):
        bundle = _opened(target)
        missing = {"fp32", *precisions} - {"auto", "int8"} - _precisions(bundle)
        if bundle is None or missing:
            bundle = _make(model, target, sorted(_precisions(bundle) - {"int8"} | missing), progress)
        if "int8" in precisions and "int8" not in _precisions(bundle):
            from uhd_edge.bench.synthetic.random_int8 import add_random_int8

            progress("making INT8 graphs with ranges that are good for measuring speed only")
            bundle = add_random_int8(bundle, weights=_weights(model).count, threads=threads, progress=progress)
    return bundle


def _opened(target: Path) -> Bundle | None:
    """Open the bundle; None if there is none, or if it is damaged or was made by another version."""
    try:
        return Bundle.open(target)
    except BundleError:
        return None


def _precisions(bundle: Bundle | None) -> set[str]:
    """The precisions that the bundle has in every mode."""
    by_mode = [] if bundle is None else [set(by_kind) for by_kind in bundle.manifest.graphs.values()]
    return set(map(str, set.intersection(*by_mode))) if by_mode else set()


def _make(model: SyntheticModel, target: Path, precisions: Sequence[str], progress: Progress) -> Bundle:
    from uhd_edge.export.graphs.graphs import write_graphs

    chosen: list[Precision] = [precision for precision in EXPORTED_PRECISIONS if precision in precisions]
    weights = _weights(model)
    needed = weights.count * sum(BYTES[precision] for precision in chosen) + model.llm.bytes
    with BundleWriter(target, overwrite=True, tell=progress) as writer:
        check_disk_space(writer.folder, needed)
        progress(f"writing random weights of {model.sizes.name}, {needed / 1e9:.2g} GB, to {target}")
        modes: list[Mode] = ["16x", "4x"] if model.sizes.vision.has_both_modes else ["16x"]
        graphs = write_graphs(weights, writer.folder, modes=modes, precisions=chosen, progress=progress)
        progress("making the language model")
        return writer.finish(_manifest(model, graphs, _write_llm(writer.folder / LLM, model.llm)))


def _write_llm(file: Path, model: RandomHybrid | RandomLanguageModel) -> LanguageModelFile:
    return write_random_hybrid(file, model) if isinstance(model, RandomHybrid) else write_random_llm(file, model)


def _weights(model: SyntheticModel) -> RandomWeights:
    return RandomWeights(RandomConfig(tower_config(model)))


def _manifest(model: SyntheticModel, graphs: dict[Mode, dict[GraphKind, Graphs]], llm: LanguageModelFile) -> Manifest:
    has_canvas = isinstance(model.llm, RandomHybrid) and model.llm.has_canvas
    return Manifest(
        format=FORMAT_VERSION,
        architecture="minicpmv4_7" if has_canvas else "minicpmv4_6",
        name=f"{model.sizes.name}, random weights",
        default_mode="16x",
        vision=model.sizes.vision,
        preprocessing=model.sizes.preprocessing,
        prompt=prompt().model_copy(update={"canvas": has_canvas}),
        graphs=graphs,
        llm=llm,
        files={},
    )


def tower_config(model: SyntheticModel) -> TowerConfig:
    """The sizes of the vision tower in the form that the export uses."""
    vision = model.sizes.vision
    return TowerConfig(
        hidden=vision.hidden_size,
        intermediate=model.sizes.mlp_width,
        layers=vision.layers,
        heads=model.heads,
        patch=model.sizes.preprocessing.patch_size,
        channels=CHANNELS,
        table_side=vision.table_side,
        insert_layer=vision.insert_layer,
        window=vision.window**2,
        merge=vision.merge**2,
        merge_rounds=vision.merge_rounds,
        llm_hidden=model.sizes.llm_width,
        compressor=vision.compressor,
        connector=vision.connector,
        queries=vision.queries or 0,
        backbone=vision.backbone,
        epsilon=EPSILONS[vision.backbone],
    )


@contextmanager
def _locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Let one process at a time make a bundle in `folder`. The lock ends with the process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror}); set XDG_CACHE_HOME to another folder"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"another process is writing to {folder}; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
