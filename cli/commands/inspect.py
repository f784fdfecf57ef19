"""`uhd inspect`: what a bundle contains, with its files checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uhd_edge.cli.bundle import bundle_option, one_bundle
from uhd_edge.runtime.checking.counted import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import Origin, Vision

MOST_DIFFERENCES = 5  # in one message


@click.command()
@click.argument("folder", metavar="[BUNDLE]", required=False)
@bundle_option
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.option("--checksums", is_flag=True, help="Print the SHA-256 of every file, for --against on other machines.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fail if a file is missing, changed or not listed in FILE, which --checksums printed.",
)
def inspect(folder: str | None, *, bundle: str | None, as_json: bool, checksums: bool, against: Path | None) -> None:
    """Show what BUNDLE contains, and check the SHA-256 of every file; without BUNDLE, the built-in uhd-tiny.

    With --checksums or --against, BUNDLE may be the folder of an unpacked kit too.
    """
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.update import abandoned_in, interrupted
    from uhd_edge.runtime.llm.gguf_header import check_file

    if checksums or against is not None:
        _compare(one_bundle(folder, bundle), against)
        return
    opened = Bundle.open(one_bundle(folder, bundle))
    opened.check_files()
    check_file(opened.llm_path)
    click.echo(opened.manifest.model_dump_json(indent=2) if as_json else _table(opened))
    for left, size in abandoned_in(opened.path):
        click.echo(f"{left} ({_size(size)}) was left by a run that was killed; the next run removes it", err=True)
    for left in interrupted(opened.path):
        click.echo(f"{left} is of a calibration that was interrupted; the same command goes on with it", err=True)


def _compare(named: str | None, against: Path | None) -> None:
    """Print the checksums of a bundle or a kit, or compare it with those in a file."""
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.fleet_manifest import find_differences, read_fleet_manifest, write_fleet_manifest
    from uhd_edge.runtime.errors import BundleError

    is_kit = named is not None and (Path(named) / "bundle" / "bundle.json").is_file()
    folder = Path(named) if named is not None and is_kit else Bundle.open(named).path
    if against is None:
        click.echo(write_fleet_manifest(folder), nl=False)
        return
    listed = read_fleet_manifest(against)
    differences = find_differences(folder, listed)
    if differences:
        shown = "; ".join(differences[:MOST_DIFFERENCES])
        more = f"; and {len(differences) - MOST_DIFFERENCES} more" if len(differences) > MOST_DIFFERENCES else ""
        raise BundleError(f"{folder}: is not what {against} lists: {shown}{more}")
    click.echo(f"{folder}: as listed in {against}, {counted(len(listed), 'file')}")


def _table(bundle: Bundle) -> str:
    manifest = bundle.manifest
    vision, preprocessing, llm = manifest.vision, manifest.preprocessing, manifest.llm
    total = sum(record.bytes for record in manifest.files.values())
    rows = [
        ("bundle", f"{manifest.name} at {bundle.path}"),
        ("format", f"{manifest.format}, architecture {manifest.architecture}"),
        (
            "vision",
            f"{counted(vision.layers, 'layer')} of width {vision.hidden_size}, {_merging(vision)}",
        ),
        (
            "views",
            f"{preprocessing.scale_resolution} x {preprocessing.scale_resolution} pixels, "
            f"patch {preprocessing.patch_size}, at most {counted(preprocessing.max_slices, 'slice')}"
            + (" in one view of the image's own size" if preprocessing.encoding == "global" else ""),
        ),
        ("graphs", f"{bundle.describe_graphs()}; the default is {manifest.default_mode}{_modes_apart(bundle)}"),
        *_chosen(bundle),
        ("llm", f"{llm.architecture}, {llm.type}, width {llm.hidden_size}, {llm.vocabulary_size} tokens"),
        *(
            (name, f"{_size(record.bytes)}  SHA-256 {record.sha256[:12]}.. ok")
            for name, record in manifest.files.items()
        ),
        ("total", _size(total)),
        *_engines(bundle),
        *_origin(manifest.origin),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _merging(vision: Vision) -> str:
    from uhd_edge.runtime.bundles.compressors import DEFAULT

    other = "" if vision.compressor == DEFAULT else f" {vision.compressor}"
    compressor = f"compressor{other} after layer {vision.insert_layer}" if vision.has_compressor else "no compressor"
    if vision.queries is not None:
        return f"{compressor}, a resampler with {vision.queries} queries"
    return compressor if vision.has_compressor else f"{compressor}, the connector merges {vision.merge_rounds} times"


def _chosen(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Say what `uhd ask` would run each mode with on this machine, and why with nothing better; nothing is opened."""
    from uhd_edge.runtime.vision.opening import EngineOpener

    notes: list[str] = []
    opener = EngineOpener(bundle, engine="auto", precision="auto", threads=None, notes=notes)
    for mode in bundle.manifest.graphs:
        choice = opener.best(mode)
        yield (
            f"auto, {mode}",
            f"{choice.precision} on {choice.engine}" + (f": {choice.reason}" if choice.reason else ""),
        )
    for note in notes:
        click.echo(f"uhd: {note}", err=True)


def _engines(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Tell of the engines that were built, and of what they were found to do on a GPU."""
    from uhd_edge.engines.building.engine_record import find_engines
    from uhd_edge.engines.tensorrt.library import NAMES
    from uhd_edge.runtime.vision.verdicts.kept import read_verdicts

    records = find_engines(bundle.path, lambda _: None)  # `_chosen` tells of those that cannot be read
    for record in records:
        name = record.path.relative_to(bundle.path).as_posix()
        built = f"{record.precision}, {NAMES[record.backend]} {record.backend_version}"
        yield name, f"{_size(record.engine.bytes)}  {built} for compute capability {record.compute_capability}"
    precisions = {record.engine.sha256: record.precision for record in records}
    for verdict in read_verdicts(bundle):
        if found := {precisions[engine] for engine in verdict.engines if engine in precisions}:
            agrees = "agrees with FP32" if verdict.passed else "differs too much from FP32, and auto does not use it"
            yield f"{verdict.mode} on {verdict.gpu}", f"{found.pop()} {', '.join([agrees, *verdict.measurements])}"


def _origin(origin: Origin | None) -> Iterator[tuple[str, str]]:
    if origin is None:
        return
    yield "from", _at(origin.checkpoint, origin.checkpoint_revision)
    if origin.language_model is not None:
        yield "llm from", _at(origin.language_model, origin.language_model_revision)


def _at(source: str, revision: str | None) -> str:
    return source if revision is None else f"{source} at {revision}"


def _modes_apart(bundle: Bundle) -> str:
    """Tell of a bundle from before one encoder served both modes."""
    by_kind = bundle.manifest.graphs.values()
    if len(by_kind) == 1 or all(graphs.both_modes for kinds in by_kind for graphs in kinds.values()):
        return ""
    return "; each mode has its own encoder (exported again, both would share one, and its memory)"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
