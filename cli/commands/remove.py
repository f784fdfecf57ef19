"""`uhd remove`: free the disk that models take."""

from __future__ import annotations

import click

from uhd_edge.engines.unfinished import readable_size


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Remove models, by their names in `uhd list`, and what was downloaded for them."""
    from uhd_edge.runtime.bundles.kept_models import remove_model

    for name in names:
        click.echo(f"{name}: {readable_size(remove_model(name))} freed")
