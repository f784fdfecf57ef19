"""The bundle of a command: its argument BUNDLE, or `--bundle NAME`, whichever is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

bundle_option = click.option("--bundle", metavar="NAME|DIR", help="Another way to give BUNDLE.")


def one_bundle(argument: str | None, option: str | None) -> str | None:
    """Return the bundle, given as an argument or as an option; None where neither is. Both are a `UsageError`."""
    if argument is not None and option is not None:
        raise click.UsageError(f"the bundle is given twice: {argument} and --bundle {option}; give it once")
    return argument if option is None else option


def required_bundle(argument: str | None, option: str | None) -> str:
    """Return the bundle as `one_bundle` does; neither argument nor option is a `UsageError`."""
    bundle = one_bundle(argument, option)
    if bundle is None:
        raise click.UsageError("Missing argument 'BUNDLE'.")
    return bundle


def bundle_before_images(arguments: Sequence[str], option: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the bundle and the images: the first argument is the bundle, unless `--bundle` names it."""
    if option is not None:
        return option, tuple(arguments)
    return required_bundle(next(iter(arguments), None), None), tuple(arguments[1:])


def known_models_as_text() -> str:
    """List the known models for the end of a command's help, as they are."""
    from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS

    width = max(map(len, KNOWN_MODELS))
    lines = [f"  {name:<{width}}  {model.checkpoint}" for name, model in KNOWN_MODELS.items()]
    return "\n".join(["\b", "Known models:", *lines])
