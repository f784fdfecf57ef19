"""`uhd build`: engines from a bundle's graphs, or a kit that builds them on a Jetson."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from uhd_edge.cli.building.kit_output import ShapeLimits, make_kit
from uhd_edge.cli.building.memory import check_build_memory
from uhd_edge.cli.bundle import bundle_option, required_bundle
from uhd_edge.cli.commands.export import parser_of_names
from uhd_edge.cli.commands.verify import verify
from uhd_edge.cli.images import check_images
from uhd_edge.engines.building.targets import TARGETS
from uhd_edge.engines.errors import EngineError, UhdError
from uhd_edge.engines.extras import extra_needed

if TYPE_CHECKING:
    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.building.targets import BuiltPrecision, Target
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

Attention: TypeAlias = Literal["plain", "padded", "faster"]


@click.command()
@click.argument("folder", metavar="BUNDLE", required=False)
@bundle_option
@click.option(
    "--target", required=True, metavar="T", help=f"Device to build for: {', '.join(t.name for t in TARGETS)}."
)
@click.option(
    "--precision",
    default="fp16",
    show_default=True,
    metavar="fp16|int8|fp8|nvfp4",
    help="Precision of the engines; fp16,int8 builds both, in a kit too, and auto takes the faster.",
)
@click.option(
    "--modes", type=parser_of_names("16x", "4x"), metavar="16x,4x", help="Modes to build.  [default: the bundle's]"
)
@click.option(
    "--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices in one batch.  [default: the bundle's]"
)
@click.option(
    "--largest-view",
    type=click.IntRange(min=1),
    metavar="PATCHES",
    help="Largest view the engines are for; less takes less memory.  [default: 4096 with MiniCPM-V]",
)
@click.option("--image", "images", multiple=True, metavar="FILE", help="For here: compare on this image; repeatable.")
@click.option("--picture", "pictures", multiple=True, hidden=True)  # the former name of --image
@click.option(
    "--attention",
    type=click.Choice(["plain", "padded", "faster"]),
    help="Attention heads of FP16 encoders: as they are, padded for the GPU, or what is faster here, or where a kit "
    "builds.  [default: faster where this GPU can time them, else plain]",
)
@click.option("--jetpack", metavar="V", help="For orin and thor: JetPack version of the device, such as 6.2.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="For orin and thor: where to write the kit, a folder, .tar.gz, .tgz or .zip.",
)
@click.option("--ignore-memory", is_flag=True, help="Build even if this machine's memory is predicted not to suffice.")
@click.pass_context
def build(
    ctx: click.Context,
    folder: str | None,
    *,
    bundle: str | None,
    target: str,
    precision: str,
    modes: list[Mode] | None,
    max_slices: int | None,
    largest_view: int | None,
    images: tuple[str, ...],
    pictures: tuple[str, ...],
    attention: Attention | None,
    jetpack: str | None,
    output: Path | None,
    ignore_memory: bool,
) -> None:
    """Build engines for a device from BUNDLE's graphs and keep them in the bundle.

    Engines for RTX cards can be built on any x86-64 machine. Engines for `here` are built with
    this device's TensorRT and compared with FP32 before they are used. For another Jetson
    (orin, thor) a kit is written: copy it to the device and run its build.sh there.
    """
    from uhd_edge.engines.building.targets import check_precision, find_jetpack, find_target, for_this_gpu
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.checking.building import engine_orders, has_reference
    from uhd_edge.runtime.checking.padded_heads import pad_heads

    named = required_bundle(folder, bundle)
    if pictures:
        _say("uhd: --picture is now called --image; the old name goes away with the next release")
    images += pictures
    wanted = find_target(target)
    precisions: list[BuiltPrecision] = [check_precision(for_this_gpu(wanted), name) for name in _names(precision)]
    if attention == "padded" and "fp16" not in precisions:
        raise click.UsageError("--attention padded is for FP16 encoders; the weights of others are not padded")
    if jetpack is not None or wanted.jetpacks:
        find_jetpack(wanted, jetpack)
    _check_images(images, wanted)
    if output is not None and not wanted.jetpacks:
        raise click.UsageError("--output is for the kits of orin and thor; other engines are written into the bundle")
    _say_what_stays_plain(attention, precisions)
    opened = Bundle.open(named)
    modes = list(opened.manifest.graphs) if modes is None else modes
    limits: ShapeLimits = {"max_slices": max_slices, "largest": largest_view}
    ordered = [engine_orders(opened, modes=modes, precision=one, **limits) for one in precisions]
    if not has_reference(opened, modes):
        _say(
            f"uhd: {opened.path} has no FP32 or FP16 graphs to compare the engines with, so auto will not use them; "
            "export the bundle again with --precisions fp32,fp16"
        )
    if wanted.jetpacks:
        orders = [order for orders in ordered for order in orders]
        if attention not in (None, "plain"):
            orders = pad_heads(opened.path, orders, _write_padded)
        faster = attention == "faster"
        make_kit(opened, orders, wanted, modes, limits, jetpack=jetpack, output=output, faster=faster)
        return
    check_build_memory(opened, [order for orders in ordered for order in orders], wanted, modes, ignore=ignore_memory)
    built = [
        record
        for orders in ordered
        for record in _build(ctx, opened, orders, wanted, modes, attention=attention, images=images)
    ]
    _say_which_auto_takes(opened, modes)
    for record in built:
        click.echo(str(record.path))


def _build(
    ctx: click.Context,
    bundle: Bundle,
    orders: list[EngineOrder],
    target: Target,
    modes: list[Mode],
    *,
    attention: Attention | None,
    images: tuple[str, ...],
) -> list[EngineRecord]:
    """Build the engines of one precision, and compare those that were built for this device with FP32."""
    from uhd_edge.engines.building.build import build_engines
    from uhd_edge.engines.building.engine_record import find_engines
    from uhd_edge.engines.tensorrt.run_time import milliseconds_a_run
    from uhd_edge.runtime.checking.building import keep_other_modes
    from uhd_edge.runtime.checking.padded_heads import pad_heads, why_not_measured, with_faster_heads

    if attention == "padded":
        orders = pad_heads(bundle.path, orders, _write_padded)
    orders = keep_other_modes(orders, find_engines(bundle.path, lambda _: None), target.name)
    records = build_engines(bundle.path, orders, target=target, progress=_say)
    if attention in (None, "faster") and orders[0].precision == "fp16":
        reason = why_not_measured(target)
        if reason is None:
            records = with_faster_heads(
                bundle.path,
                orders,
                records,
                target=target,
                write_padded=_write_padded,
                timer=milliseconds_a_run,
                progress=_say,
            )
        else:
            _say(f"attention heads are not padded: {reason}, so nothing can be timed; --attention padded pads them")
    if target.backend == "tensorrt":
        # What other modes use too stays: `auto` compares it again before they do.
        own = [record for order, record in zip(orders, records, strict=True) if not order.shared]
        _verify(ctx, bundle, own, modes, images)
    return records


def _check_images(images: tuple[str, ...], target: Target) -> None:
    check_images(images)
    if images and target.name != "here":
        raise click.UsageError("--image is for --target here; a kit's build.sh takes images on the device")


def _say_what_stays_plain(attention: Attention | None, precisions: list[BuiltPrecision]) -> None:
    plain = ", ".join(one for one in precisions if one != "fp16")
    if attention in ("padded", "faster") and plain:
        _say(f"uhd: attention heads stay as they are in {plain}: only those of FP16 encoders are padded")


def _names(precision: str) -> list[str]:
    names = [name.strip() for name in precision.split(",")]
    if not all(names):
        raise click.UsageError(f"--precision {precision!r}: names with a comma between them, such as fp16,int8")
    return list(dict.fromkeys(names))


def _write_padded(graph: Path, file: Path) -> None:
    with extra_needed("pull", "padding attention heads"):
        from uhd_edge.export.graphs.padded_heads import write_padded
    write_padded(graph, file)


def _say_which_auto_takes(bundle: Bundle, modes: list[Mode]) -> None:
    """Say which precision is faster, where both were timed on this GPU."""
    from uhd_edge.runtime.vision.engine_choice import BACKENDS
    from uhd_edge.runtime.vision.opening import EngineOpener

    opener = EngineOpener(bundle, engine="auto", precision="auto", threads=None, notes=[])
    for mode in modes:
        choice = opener.best(mode)
        if choice.engine in BACKENDS and choice.reason:
            _say(f"{mode}: auto takes {choice.precision}: {choice.reason}")


def _verify(
    ctx: click.Context, bundle: Bundle, records: list[EngineRecord], modes: list[Mode], images: tuple[str, ...]
) -> None:
    """Set engines aside that miss the bundle's thresholds; those that cannot be compared stay in use."""
    from uhd_edge.engines.building.engine_record import set_aside

    for mode in modes:
        try:
            ctx.invoke(
                verify,
                arguments=images,
                bundle=str(bundle.path),
                engine="tensorrt",
                precision=records[0].precision,
                mode=mode,
            )
        except click.exceptions.Exit as error:
            for record in records:
                folder = set_aside(record).parent
            raise EngineError(
                f"the engines differ too much from FP32; they are kept in {folder} and are not used"
            ) from error
        except UhdError as error:
            raise EngineError(
                f"built, but not verified: {error}; then run uhd verify {shlex.quote(str(bundle.path))} "
                f"--engine tensorrt --precision {records[0].precision}"
            ) from error


def _say(step: str) -> None:
    click.echo(step, err=True)
