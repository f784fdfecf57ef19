"""Attention and feed-forward as torch modules, which layers, compressors and connectors are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from uhd_edge.export.rotary import turn


class Attention(nn.Module):
    """Multi-head attention over the second-to-last axis, without a mask: to the tokens themselves, or by queries."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(hidden, hidden)
        self.k_proj = nn.Linear(hidden, hidden)
        self.v_proj = nn.Linear(hidden, hidden)
        self.out_proj = nn.Linear(hidden, hidden)

    def forward(
        self,
        hidden_states: Tensor,
        *,
        queries: Tensor | None = None,
        keys: Tensor | None = None,
        angles: Tensor | None = None,
        query_angles: Tensor | None = None,
    ) -> Tensor:
        """[.., T, d] -> [.., T, d], or with `queries` [.., Q, d] -> [.., Q, d].

        `keys` [.., T, d] are read in place of `hidden_states` where tokens and what is known of their
        places are not the same. Queries and keys turn by `angles` [.., T, d / heads / 2], if there are
        any; `queries` by `query_angles` [.., Q, d / heads / 2].
        """
        asked, told, read = (
            projection(given).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for projection, given in (
                (self.q_proj, hidden_states if queries is None else queries),
                (self.k_proj, hidden_states if keys is None else keys),
                (self.v_proj, hidden_states),
            )
        )  # each [.., heads, T, d/heads]
        asked = turn(asked, angles if queries is None else query_angles)
        mixed = functional.scaled_dot_product_attention(asked, turn(told, angles), read)
        output: Tensor = self.out_proj(mixed.transpose(-3, -2).flatten(-2))
        return output


class FeedForward(nn.Module):
    """Linear, tanh-GELU, Linear."""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, intermediate)
        self.fc2 = nn.Linear(intermediate, hidden)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[.., d] -> [.., d]."""
        output: Tensor = self.fc2(functional.gelu(self.fc1(hidden_states), approximate="tanh"))
        return output
