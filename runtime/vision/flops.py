"""How many floating-point operations it takes to encode one view, part by part.

Plain arithmetic on the sizes of the model. There are two counts:

*usual* counts the matrix products that the graphs compute, a multiply-add as two
operations, and nothing else: no biases, norms, activations, softmax or residuals, which
together are under 1 % of it. It equals the sum over every MatMul of the exported
graphs. With T tokens of width d and an MLP of width m, a layer's linears take
2 * T * (4 * d**2 + 2 * d * m) and its attention 4 * d * T**2, half for the scores and half
for mixing the values. The compressor attends within its windows of w patches, which takes
4 * d * w * N for N patches.

*paper* reproduces the tables of LLaVA-UHD v4 (arXiv 2605.08985, Tables 4, 5 and A3), whose
convention is not described there and was found from the numbers. They count one view of
2448 patches. A multiply-add is two operations here as well, and patch embedding and linears
are counted as usual. What differs:

- Attention costs 8.25 * d * T**2, a little over twice the usual: the difference between
  two insertion points in Table 5 leaves no other factor. Twice is what a profiler gives
  that counts a fused attention and the products inside it; what is left, about 18
  operations for each score of each head, is softmax and scaling.
- The compressor's attention is counted as if every patch attended to every other under a
  mask, as it was run, not within windows.
- The connector is left out.

With that the sums agree with the tables to within 0.1 %. The savings the paper prints are
larger than the usual count's because attention, which the compressor cuts to a sixteenth,
weighs twice, and because its view has 2448 patches where a 448 x 448 view has 1024.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypeAlias

from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.model_sizes import ModelSizes

Count: TypeAlias = Literal["usual", "paper"]


@dataclass(frozen=True)
class Flops:
    """Operations of encoding, by part.

    `layers_before` are those up to the place of the compressor, `layers_after` the rest; an
    encoding without a compressor has both too, and 0 for `compressor`. In the paper's count
    `connector` is 0.
    """

    patch_embedding: int
    layers_before: int
    compressor: int
    layers_after: int
    connector: int

    @property
    def encoder(self) -> int:
        """Everything but the connector; what the paper's tables add up."""
        return self.total - self.connector

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(getattr(self, part.name) for part in fields(self))

    def __add__(self, other: Flops) -> Flops:
        parts = (getattr(self, part.name) + getattr(other, part.name) for part in fields(self))
        return Flops(*parts)


NO_FLOPS = Flops(0, 0, 0, 0, 0)


def view_flops(model: ModelSizes, patches: int, *, compressed: bool, count: Count = "usual") -> Flops:
    """Count one view of `patches` patches, with the compressor (16x) or without it (4x, post-ViT).

    See above for the counts. Raises `OptionError` when `patches` is no multiple of what
    becomes one token of the language model.
    """
    vision = model.vision
    window = vision.window**2
    merged = vision.merge ** (2 * vision.merge_rounds) * (window if compressed else 1)
    if patches < 1 or patches % merged:
        raise OptionError(
            f"{patches} patches do not become whole tokens: {merged} patches become one; give a multiple of it"
        )
    before = vision.insert_layer + 1
    features = patches // window if compressed else patches
    return Flops(
        patch_embedding=2 * patches * model.patch_values * vision.hidden_size,
        layers_before=before * _layer(model, patches, count),
        compressor=_compressor(model, patches, count) if compressed else 0,
        layers_after=(vision.layers - before) * _layer(model, features, count),
        connector=_connector(model, features) if count == "usual" else 0,
    )


def _layer(model: ModelSizes, tokens: int, count: Count) -> int:
    width = model.vision.hidden_size
    mlp = 2 * tokens * 2 * width * model.mlp_width
    return _projections(width, tokens) + _full_attention(width, tokens, count) + mlp


def _compressor(model: ModelSizes, patches: int, count: Count) -> int:
    """Attention within windows, then the fused MLP: w*d -> w*m -> d for each window of w patches."""
    width, window = model.vision.hidden_size, model.vision.window**2
    attention = 4 * width * window * patches if count == "usual" else _full_attention(width, patches, count)
    inner = window * model.mlp_width
    mlp = 2 * (patches // window) * (window * width * inner + inner * width)
    return _projections(width, patches) + attention + mlp


def _connector(model: ModelSizes, features: int) -> int:
    """Each round: merge, merge*d -> merge*d -> d, the last one -> d_llm."""
    vision = model.vision
    merged = vision.merge**2 * vision.hidden_size
    flops, tokens = 0, features
    for index in range(vision.merge_rounds):
        output = model.llm_width if index == vision.merge_rounds - 1 else vision.hidden_size
        tokens //= vision.merge**2
        flops += 2 * tokens * (merged * merged + merged * output)
    return flops


def _projections(width: int, tokens: int) -> int:
    """Queries, keys, values and output."""
    return 2 * tokens * 4 * width**2


def _full_attention(width: int, tokens: int, count: Count) -> int:
    """Scores and mixing, every token with every token; 8.25 * d * T**2 in the paper's count."""
    return 4 * width * tokens**2 if count == "usual" else 33 * width * tokens**2 // 4
