"""One layer of the EdgeTransformer."""

from __future__ import annotations

from torch import Tensor, nn

from hydramol.nets.edge_transformer.triangular_attention import TriangularAttention


class Modulation(nn.Module):
    """Adaptive layer norm: shift, scale and gate of a layer's two branches from a condition (Peebles & Xie 2023).

    The map starts at zero, where the layer is what it would be without.

    Args:
        width: Features of condition and layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Shift, scale and gate of attention, then of the feed-forward net, each ``[items, 1, 1, width]``.

        Args:
            condition: ``[items, width]``.
        """
        shift, scale, gate, shift_2, scale_2, gate_2 = self.map(condition)[:, None, None].chunk(6, dim=-1)
        return shift, 1 + scale, 1 + gate, shift_2, 1 + scale_2, 1 + gate_2


class EdgeTransformerLayer(nn.Module):
    """Triangular attention and a feed-forward net, each normalised before and after.

    Args:
        width: Features of a pair.
        n_heads: Heads.
        ffn_factor: Hidden features of the feed-forward net over width.
        dropout: Share of both branches' outputs dropped in training.
        modulated: Whether a condition shifts, scales and gates the branches.
        attention: "lean" or "dense", see `TriangularAttention`.
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        ffn_factor: float = 2,
        dropout: float = 0.0,
        modulated: bool = False,
        attention: str = "lean",
    ) -> None:
        super().__init__()
        hidden = int(ffn_factor * width)
        self.norm_in = nn.LayerNorm(width)
        self.attention = TriangularAttention(width, n_heads, attention)
        self.norm_attention = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.norm_out = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.modulation = Modulation(width) if modulated else None

    def forward(self, pairs: Tensor, mask: Tensor | None, condition: Tensor | None = None) -> Tensor:
        """Updates pair features.

        Args:
            pairs: ``[items, atoms, atoms, width]``.
            mask: True on real atoms, ``[items, atoms]``; None where all are.
            condition: ``[items, width]``, for a modulated layer.

        Returns:
            ``[items, atoms, atoms, width]``.
        """
        if self.modulation is None or condition is None:
            pairs = self.norm_attention(pairs + self.dropout(self.attention(self.norm_in(pairs), mask)))
            return self.norm_out(pairs + self.dropout(self.ffn(pairs)))
        shift, scale, gate, shift_2, scale_2, gate_2 = self.modulation(condition)
        update = self.attention(self.norm_in(pairs) * scale + shift, mask)
        pairs = self.norm_attention(pairs + gate * self.dropout(update))
        update = self.ffn(pairs * scale_2 + shift_2)
        return self.norm_out(pairs + gate_2 * self.dropout(update))
