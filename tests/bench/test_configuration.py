"""Which configurations are measured, and which settings are refused."""

from __future__ import annotations

from typing import Any

import pytest
from support.bench.small_bench import SLICED, SMALL

from uhd_edge.bench.configuration import Settings, configurations
from uhd_edge.runtime.errors import OptionError


def test_every_picture_is_measured_in_every_mode_precision_and_engine() -> None:
    every = configurations([SMALL, SLICED], ["16x", "4x", "16x"], ["auto", "int8"], ["onnxruntime"])
    assert [(one.picture.name, one.mode, one.precision) for one in every] == [
        (size, mode, precision)
        for size in ("224x224", "448x300")
        for mode in ("16x", "4x")
        for precision in ("auto", "int8")
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((["8x"], ["auto"], ["auto"]), "no mode '8x'; valid are 16x, 4x"),
        ((["16x"], ["fp64"], ["auto"]), "no precision 'fp64'"),
        ((["16x"], ["auto"], ["abacus"]), "no engine 'abacus'"),
        (([], ["auto"], ["auto"]), "no mode given"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_the_list_of_valid_ones(
    names: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        configurations([SMALL], *names)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"warm_up": -1}, {"max_tokens": 0}, {"threads": 0}, {"context": 1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        Settings(**wrong)  # type: ignore[arg-type]
