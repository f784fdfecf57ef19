"""`uhd pull`: a model from the Hub, kept on this machine under a name."""

from __future__ import annotations

import click

from uhd_edge.cli.bundle import known_models_as_text
from uhd_edge.cli.commands.export import advise_calibrating, parser_of_names, warn_without_fp32
from uhd_edge.cli.progress import say, shown_progress
from uhd_edge.engines.extras import extra_needed


@click.command(epilog=known_models_as_text())
@click.argument("model")
@click.option("--name", help="Name to keep it under.  [default: the model's]")
@click.option("--llm", metavar="FILE.gguf", help="Language model to use.  [default: the official one]")
@click.option(
    "--llm-type",
    default="q4_k_m",
    show_default=True,
    help="Type of the language model: q4_k_m, q8_0, f16, ...",
)
@click.option("--revision", metavar="REV", help="Branch, tag or commit of the checkpoint.  [default: main]")
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
@click.option("--keep-checkpoint", is_flag=True, help="Keep the downloaded files.")
@click.option("--force", is_flag=True, help="Replace the model if it is here already.")
def pull(
    model: str,
    *,
    name: str | None,
    llm: str | None,
    llm_type: str,
    revision: str | None,
    modes: list[str] | None,
    precisions: list[str],
    keep_checkpoint: bool,
    force: bool,
) -> None:
    """Bring MODEL to this machine: download it, check it, and export it as a bundle.

    MODEL is a known model's name, a repository OWNER/NAME on Hugging Face, or the folder of a
    checkpoint. Afterwards `--bundle NAME` uses it. A pull that was interrupted goes on where it
    stopped when it is run again.
    """
    with extra_needed("pull", "a pull"), shown_progress() as progress:
        import huggingface_hub  # noqa: F401 - what is missing is said before anything is downloaded
        import ml_dtypes  # noqa: F401
        import onnx_ir  # noqa: F401
        import safetensors  # noqa: F401
        import tokenizers  # noqa: F401

        from uhd_edge.export.pulling.pull import pull_model

        bundle = pull_model(
            model,
            name=name,
            llm=llm,
            llm_type=llm_type,
            revision=revision,
            modes=modes,  # type: ignore[arg-type]  # checked by `parser_of_names`
            precisions=precisions,  # type: ignore[arg-type]
            keep_checkpoint=keep_checkpoint,
            overwrite=force,
            progress=progress,
            tell=say,
        )
    kept = bundle.path.name
    say(f'ask it with: uhd ask photo.jpg "What is this?" --bundle {kept}')
    click.echo(str(bundle.path))
    warn_without_fp32(precisions)
    if "fp32" in precisions and "int8" not in bundle.manifest.graphs[bundle.manifest.default_mode]:
        advise_calibrating(bundle.manifest, kept)
