"""How many floating-point operations it takes to encode one view, part by part.

Plain arithmetic on the sizes of the model. There are two counts:

*usual* counts the matrix products that the graphs compute, a multiply-add as two
operations, and nothing else: no biases, norms, activations, softmax or residuals, which
together are under 1 % of it. It equals the sum over every MatMul of the exported
graphs. With T tokens of width d and an MLP of width m, a layer's linears take
2 * T * (4 * d**2 + 2 * d * m) and its attention 4 * d * T**2, half for the scores and half
for mixing the values. The compressor attends within its windows of w patches, which takes
4 * d * w * N for N patches. Other compressors and the resampler are counted by their products too.

*paper* reproduces the tables of LLaVA-UHD v4 (arXiv 2605.08985, Tables 4, 5 and A3), whose
convention is not described there and was found from the numbers. They count one view of
2448 patches. A multiply-add is two operations here as well, and patch embedding and linears
are counted as usual. What differs:

- Attention costs 8.25 * d * T**2, a little over twice the usual: the difference between
  two insertion points in Table 5 leaves no other factor. Twice is what a profiler gives
  that counts a fused attention and the products inside it; what is left, about 18
  operations for each score of each head, is softmax and scaling.
- The compressor's attention is counted as if every patch attended to every other under a
  mask, as it was run, not within windows. Cross-attention is counted within them, and projects
  the queries of all patches, of which the graphs project one for each window.
- The connector is left out.

With that the sums agree with the tables to within 0.1 %. The savings the paper prints are
larger than the usual count's because attention, which the compressor cuts to a sixteenth,
weighs twice, and because its view has 2448 patches where a 448 x 448 view has 1024.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypeAlias

from uhd_edge.runtime.bundles.compressors import COMPRESSORS, CrossMerge
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
    merged = patches_per_token(model, compressed=compressed)
    if patches < 1 or patches % merged:
        raise OptionError(
            f"{patches} patches do not become whole tokens: {merged} patches become one; give a multiple of it"
        )
    before = vision.insert_layer + 1
    features = patches // window if compressed else patches
    return Flops(
        patch_embedding=2 * patches * model.patch_values * vision.hidden_size,
        layers_before=before * _layer(model, patches, count),
        compressor=_compressor(model, patches, count) if compressed and vision.has_compressor else 0,
        layers_after=(vision.layers - before) * _layer(model, features, count),
        connector=_connector(model, features) if count == "usual" else 0,
    )


def _layer(model: ModelSizes, tokens: int, count: Count) -> int:
    width = model.vision.hidden_size
    mlp = 2 * tokens * 2 * width * model.mlp_width
    return _projections(width, tokens) + _full_attention(width, tokens, count) + mlp


def patches_per_token(model: ModelSizes, *, compressed: bool) -> int:
    """How many patches become one embedding; of a resampler, one of the features it reads."""
    vision = model.vision
    merged = 1 if vision.connector == "resampler" else vision.merge ** (2 * vision.merge_rounds)
    return int(merged * (vision.window**2 if compressed else 1))


def _compressor(model: ModelSizes, patches: int, count: Count) -> int:
    """Each compressor's products, over N patches in windows of w."""
    width, window = model.vision.hidden_size, model.vision.window**2
    merge = COMPRESSORS[model.vision.compressor]
    if isinstance(merge, CrossMerge):
        return _cross(model, patches // window, window, count)
    attention = 4 * width * window * patches if count == "usual" else _full_attention(width, patches, count)
    flops = _projections(width, patches) + attention if merge.attends else 0
    if merge.mlp is not None:
        inner = window * (model.mlp_width if merge.mlp == "wide" else width)
        flops += 2 * (patches // window) * (window * width * inner + inner * width)
    return flops


def _cross(model: ModelSizes, windows: int, window: int, count: Count) -> int:
    """One query of each window attends to its tokens, then a layer's MLP."""
    width = model.vision.hidden_size
    queries = windows if count == "usual" else windows * window
    projections = 2 * (queries + 2 * windows * window + windows) * width**2
    scores = 4 * width * windows * window
    attention = scores if count == "usual" else 33 * scores // 16
    return projections + attention + 2 * windows * 2 * width * model.mlp_width


def _connector(model: ModelSizes, features: int) -> int:
    return (_merging if model.vision.queries is None else _resampler)(model, features)


def _merging(model: ModelSizes, features: int) -> int:
    """Each round: merge, merge*d -> merge*d -> d, the last one -> d_llm."""
    vision = model.vision
    merged = vision.merge**2 * vision.hidden_size
    flops, tokens = 0, features
    for index in range(vision.merge_rounds):
        output = model.llm_width if index == vision.merge_rounds - 1 else vision.hidden_size
        tokens //= vision.merge**2
        flops += 2 * tokens * (merged * merged + merged * output)
    return flops


def _resampler(model: ModelSizes, features: int) -> int:
    """Features d -> d_llm, keys and values of them; queries, attention, and two linears behind it."""
    width, queries = model.llm_width, model.vision.queries or 0
    linears = 2 * features * width * (model.vision.hidden_size + 2 * width) + 2 * queries * 3 * width**2
    return linears + 4 * width * queries * features


def _projections(width: int, tokens: int) -> int:
    """Queries, keys, values and output."""
    return 2 * tokens * 4 * width**2


def _full_attention(width: int, tokens: int, count: Count) -> int:
    """Scores and mixing, every token with every token; 8.25 * d * T**2 in the paper's count."""
    return 4 * width * tokens**2 if count == "usual" else 33 * width * tokens**2 // 4
