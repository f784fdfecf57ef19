"""`uhd export`: a bundle from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from uhd_edge.cli.bundle import bundle_option, required_bundle
from uhd_edge.cli.progress import shown_progress
from uhd_edge.engines.extras import extra_needed

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.manifest import Manifest


def parser_of_names(*valid: str) -> Callable[[str], list[str]]:
    """Return a parser of names separated by commas; an unknown name is refused with the list of valid ones."""

    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",")]
        for name in found:
            if name not in valid:
                raise click.BadParameter(f"{name!r} is not one of {', '.join(valid)}")
        return found

    return names


@click.command()
@click.argument("checkpoint")
@click.argument("folder", metavar="BUNDLE", required=False)
@bundle_option
@click.option("--base", metavar="MODEL", help="Base model of a state dict, CHECKPOINT.pt: a folder or a name.")
@click.option("--llm", metavar="FILE.gguf", help="Language model to use.  [default: the checkpoint's, converted]")
@click.option(
    "--llm-type",
    default="f16",
    show_default=True,
    help="Type of the converted language model: f32, f16, q8_0, q4_k_m, ...",
)
@click.option(
    "--modes",
    type=parser_of_names("16x", "4x"),
    metavar="16x,4x",
    help="Modes to export.  [default: all that the checkpoint has]",
)
@click.option(
    "--precisions",
    type=parser_of_names("fp32", "fp16"),
    default="fp32,fp16",
    show_default=True,
    metavar="fp32,fp16",
    help="Precisions to export.",
)
@click.option("--tokenizer-pre", metavar="NAME", help="llama.cpp's name of the pre-tokenizer, if it is not recognized.")
@click.option("--name", help="Name of the bundle.  [default: the checkpoint's]")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
def export(
    checkpoint: str,
    folder: str | None,
    *,
    bundle: str | None,
    base: str | None,
    llm: str | None,
    llm_type: str,
    modes: list[str] | None,
    precisions: list[str],
    tokenizer_pre: str | None,
    name: str | None,
    force: bool,
) -> None:
    """Export CHECKPOINT, a folder, a Hugging Face name or a state dict, into the folder BUNDLE."""
    target = required_bundle(folder, bundle)
    with extra_needed("export", "an export"), shown_progress() as progress:
        from uhd_edge.export.export import export_bundle

        written = export_bundle(
            checkpoint,
            target,
            base=base,
            llm=llm,
            llm_type=llm_type,
            modes=modes,  # type: ignore[arg-type]  # checked by `parser_of_names`
            precisions=precisions,  # type: ignore[arg-type]
            tokenizer_pre=tokenizer_pre,
            name=name,
            progress=progress,
            overwrite=force,
            tell=lambda line: click.echo(line, err=True),
        )
    click.echo(str(written.path))
    warn_without_fp32(precisions)
    if "fp32" in precisions:
        advise_calibrating(written.manifest, written.path)


def warn_without_fp32(precisions: Sequence[str]) -> None:
    """Say what a CPU does with a bundle that has FP16 graphs alone."""
    if "fp32" not in precisions:
        click.echo(
            "uhd: no FP32 graphs: a CPU runs the FP16 ones, which is slower, engines are compared with them, "
            "and `uhd calibrate` cannot add INT8; FP16 alone is for devices with a GPU",
            err=True,
        )


def advise_calibrating(manifest: Manifest, bundle: str | Path) -> None:
    """Name the command that adds INT8 to a bundle, called by its folder or its name, where this machine gains by it."""
    from uhd_edge.engines.processor import this_processor
    from uhd_edge.engines.selection import cpu_precision
    from uhd_edge.runtime.bundles.how_to_calibrate import how_to_calibrate

    here = cpu_precision(this_processor())
    if here.precision == "int8":
        click.echo(f"uhd: `{how_to_calibrate(manifest, 'int8', bundle)}` adds INT8: {here.reason}", err=True)
