"""Options that several commands share."""

from __future__ import annotations

import click
import pytest

from uhd_edge.cli.options import parse_gpu_layers


@pytest.mark.parametrize(("text", "layers"), [("0", 0), ("12", 12), ("all", -1), ("auto", "auto")])
def test_gpu_layers_are_a_number_or_all_or_auto(text: str, layers: int | str) -> None:
    assert parse_gpu_layers(text) == layers


@pytest.mark.parametrize("text", ["some", "1.5", "-3"])
def test_other_gpu_layers_are_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError):
        parse_gpu_layers(text)
