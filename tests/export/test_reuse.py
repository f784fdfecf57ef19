"""The compressor's first weights, compared with what transformers computes with the layer before it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers.models.minicpmv4_6.configuration_minicpmv4_6 import MiniCPMV4_6VisionConfig
from transformers.models.minicpmv4_6.modeling_minicpmv4_6 import (
    MiniCPMV4_6VisionEncoderLayer,
    MiniCPMV4_6VisionMLP,
    MiniCPMV4_6ViTWindowAttentionMerger,
)

from uhd_edge.export.reuse import reuse_initialisation

HIDDEN, INTERMEDIATE, WINDOW = 24, 40, 4
VISION = {"hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": 1, "num_attention_heads": 3}


def layer_and_compressor() -> tuple[MiniCPMV4_6VisionEncoderLayer, MiniCPMV4_6ViTWindowAttentionMerger]:
    """transformers' own two modules in float64: a layer of random weights, norms and biases among them."""
    torch.manual_seed(0)
    config = MiniCPMV4_6VisionConfig(**VISION, layer_norm_eps=1e-6, attn_implementation="sdpa")
    layer = MiniCPMV4_6VisionEncoderLayer(config).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    compressor = MiniCPMV4_6ViTWindowAttentionMerger(config).double()
    compressor.load_state_dict(reuse_initialisation(layer.state_dict(), WINDOW))
    return layer, compressor


def fused_mlp(compressor: MiniCPMV4_6ViTWindowAttentionMerger, windows: Tensor) -> Tensor:
    """[n, 4, d] -> [n, d]: what follows the norm."""
    output: Tensor = compressor.linear_2(compressor.act(compressor.linear_1(windows.flatten(1))))
    return output


def mean_of_branches(mlp: MiniCPMV4_6VisionMLP, windows: Tensor) -> Tensor:
    """[n, 4, d] -> [n, d]: the layer's MLP on each of the four tokens by itself, added up and divided."""
    total = torch.zeros(len(windows), HIDDEN, dtype=torch.float64)
    for branch in range(WINDOW):
        total += mlp(windows[:, branch])
    return total / WINDOW


def tokens_of_one_mean_and_variance() -> Tensor:
    """Five windows [5, 4, d] of different tokens, each of them as large and as spread as the others."""
    windows = torch.randn(5, WINDOW, HIDDEN, dtype=torch.float64)
    windows = windows - windows.mean(dim=2, keepdim=True)
    return windows / windows.std(dim=2, correction=0, keepdim=True) * 1.7 + 0.3


@torch.no_grad()
def test_the_fused_mlp_is_the_mean_of_the_layers_mlp_over_any_four_tokens() -> None:
    layer, compressor = layer_and_compressor()
    windows = torch.randn(5, WINDOW, HIDDEN, dtype=torch.float64)
    expected = mean_of_branches(layer.mlp, windows)
    torch.testing.assert_close(fused_mlp(compressor, windows), expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_norm_and_fused_mlp_are_that_mean_too_where_the_four_tokens_share_mean_and_variance() -> None:
    layer, compressor = layer_and_compressor()
    windows = tokens_of_one_mean_and_variance()
    fused = fused_mlp(compressor, compressor.pre_norm(windows.flatten(1)))
    expected = mean_of_branches(layer.mlp, layer.layer_norm2(windows))
    torch.testing.assert_close(fused, expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_the_norm_over_all_four_tokens_is_not_the_layers_norm_of_each() -> None:
    """Only the docstring's condition makes it so: tokens of other sizes keep their proportion to each other."""
    layer, compressor = layer_and_compressor()
    windows = tokens_of_one_mean_and_variance() * torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)[:, None]
    together = compressor.pre_norm(windows.flatten(1)).unflatten(1, (WINDOW, HIDDEN))
    assert (together - layer.layer_norm2(windows)).abs().max() > 0.1


@torch.no_grad()
def test_a_window_of_equal_tokens_becomes_what_the_layer_makes_of_one_of_them() -> None:
    """Attention, both norms, MLP and both residuals at once."""
    layer, compressor = layer_and_compressor()
    token = torch.randn(1, 1, HIDDEN, dtype=torch.float64)
    alone = layer(token, None, cu_seqlens=torch.tensor([0, 1], dtype=torch.int32), max_seqlen=1)
    merged = compressor(token.repeat(1, WINDOW, 1), torch.tensor([[2, 2]]))
    torch.testing.assert_close(merged.flatten(), alone.flatten(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("window", [1, 4])
def test_the_layer_itself_is_left_as_it_was(window: int) -> None:
    layer, _ = layer_and_compressor()
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    for tensor in reuse_initialisation(layer.state_dict(), window).values():
        tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in layer.state_dict().items())
