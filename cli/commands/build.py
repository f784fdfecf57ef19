"""`uhd build`: engines from a bundle's graphs, or a kit that builds them on a Jetson."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uhd_edge.cli.bundle import bundle_option, required_bundle
from uhd_edge.cli.commands.export import parser_of_names
from uhd_edge.cli.commands.verify import verify
from uhd_edge.engines.building.targets import TARGETS
from uhd_edge.engines.errors import EngineError, UhdError

if TYPE_CHECKING:
    from uhd_edge.engines.building.build import BuiltPrecision, EngineOrder
    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.building.targets import Target
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode


@click.command()
@click.argument("folder", metavar="BUNDLE", required=False)
@bundle_option
@click.option(
    "--target", required=True, metavar="T", help=f"Device to build for: {', '.join(t.name for t in TARGETS)}."
)
@click.option("--precision", default="fp16", show_default=True, metavar="fp16|int8", help="Precision of the engines.")
@click.option(
    "--modes", type=parser_of_names("16x", "4x"), metavar="16x,4x", help="Modes to build.  [default: the bundle's]"
)
@click.option(
    "--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices in one batch.  [default: the bundle's]"
)
@click.option("--image", "images", multiple=True, metavar="FILE", help="For here: compare on this image; repeatable.")
@click.option("--picture", "pictures", multiple=True, hidden=True)  # the former name of --image
@click.option("--jetpack", metavar="V", help="For orin and thor: JetPack version of the device, such as 6.2.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="For orin and thor: where to write the kit, a folder or a .tar.gz.",
)
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
    images: tuple[str, ...],
    pictures: tuple[str, ...],
    jetpack: str | None,
    output: Path | None,
) -> None:
    """Build engines for a device from BUNDLE's graphs and keep them in the bundle.

    Engines for RTX cards can be built on any x86-64 machine. Engines for `here` are built with
    this device's TensorRT and compared with FP32 before they are used. For another Jetson
    (orin, thor) a kit is written: copy it to the device and run its build.sh there.
    """
    from uhd_edge.engines.building.build import build_engines
    from uhd_edge.engines.building.targets import check_precision, find_jetpack, find_target
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.checking.building import engine_orders, has_reference

    named = required_bundle(folder, bundle)
    if pictures:
        _say("uhd: --picture is now called --image; the old name goes away with the next release")
    images += pictures
    wanted = find_target(target)
    check_precision(wanted, precision)
    if jetpack is not None or wanted.jetpacks:
        find_jetpack(wanted, jetpack)
    if output is not None and not wanted.jetpacks:
        raise click.UsageError("--output is for the kits of orin and thor; other engines are written into the bundle")
    opened = Bundle.open(named)
    modes = list(opened.manifest.graphs) if modes is None else modes
    checked: BuiltPrecision = precision  # type: ignore[assignment]  # by `check_precision`
    orders = engine_orders(opened, modes=modes, precision=checked, max_slices=max_slices)
    if wanted.backend == "tensorrt" and not has_reference(opened, modes):
        _say(f"uhd: {opened.path} has no FP32 graphs, so the engines cannot be compared with FP32 before they are used")
    if wanted.jetpacks:
        _make_kit(opened, orders, wanted, modes, max_slices=max_slices, jetpack=jetpack, output=output)
        return
    records = build_engines(opened.path, orders, target=wanted, progress=_say)
    if wanted.backend == "tensorrt":
        _verify(ctx, opened, records, modes, images)
    for record in records:
        click.echo(str(record.path))


def _make_kit(
    bundle: Bundle,
    orders: list[EngineOrder],
    target: Target,
    modes: list[Mode],
    *,
    max_slices: int | None,
    jetpack: str | None,
    output: Path | None,
) -> None:
    from uhd_edge.engines.building.kit import write_kit
    from uhd_edge.engines.building.targets import find_jetpack
    from uhd_edge.runtime.checking.building import kit_contents

    release = find_jetpack(target, jetpack)
    contents = kit_contents(bundle, modes=modes, precision=orders[0].precision, max_slices=max_slices)
    place = Path(f"{bundle.path.resolve().name}-{target.name}-jetpack{release.version}") if output is None else output
    write_kit(place, contents, orders, target=target, jetpack=release, progress=_say)
    _say(f"copy it to the {target.device} and run ./build.sh there")
    click.echo(str(place))


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
                f"built, but not verified: {error}; then run uhd verify {bundle.path} --engine tensorrt "
                f"--precision {records[0].precision}"
            ) from error


def _say(step: str) -> None:
    click.echo(step, err=True)
