"""The compressors that LLaVA-UHD v4 compares (arXiv 2605.08985, Tables 4 and A3), and what each consists of.

All of them turn a window of tokens into one, inside the tower. The training code of the paper
(THUMAI-Lab/LLaVA-UHD-v4) has those with a window's attention or an MLP. The others it has not; their
steps are those that give the operations which the tables print. The graphs, the torch modules, the
tensors and the counts all follow from the descriptions here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

CompressorName: TypeAlias = Literal[
    "window-reuse",
    "window-mlp",
    "reused-mlp",
    "pixel-unshuffle",
    "average-pool",
    "cross-mean",
    "cross-top-left",
]
ConnectorName: TypeAlias = Literal["mlp", "resampler"]
DEFAULT: CompressorName = "window-reuse"  # of LLaVA-UHD v4 and MiniCPM-V
COMPRESSOR_NAMES: tuple[CompressorName, ...] = get_args(CompressorName)


@dataclass(frozen=True)
class WindowMerge:
    """The mean of a window's tokens, plus what an MLP makes of them side by side.

    With `attends`, the tokens attend to each other first, with a residual. The MLP has the width of
    the concatenated tokens outside; inside it is `wide` (a window of the layers' MLPs, tanh-GELU,
    whose first weights are those of the layer before) or `narrow` (a window of tokens, erf-GELU,
    new). Without one, the mean alone is left.
    """

    attends: bool
    mlp: Literal["wide", "narrow"] | None


@dataclass(frozen=True)
class CrossMerge:
    """One query of each window attends to the window's tokens; then the MLP of a layer. Both have residuals.

    The query is the `mean` of the normalized tokens, or the one at the `top-left`; the residual
    is the same of the tokens themselves. Tensors and first weights are those of a layer.
    """

    query: Literal["mean", "top-left"]


COMPRESSORS: Final[Mapping[CompressorName, WindowMerge | CrossMerge]] = MappingProxyType(
    {
        "window-reuse": WindowMerge(attends=True, mlp="wide"),
        "window-mlp": WindowMerge(attends=True, mlp="narrow"),
        "reused-mlp": WindowMerge(attends=False, mlp="wide"),
        "pixel-unshuffle": WindowMerge(attends=False, mlp="narrow"),
        "average-pool": WindowMerge(attends=False, mlp=None),
        "cross-mean": CrossMerge("mean"),
        "cross-top-left": CrossMerge("top-left"),
    }
)
