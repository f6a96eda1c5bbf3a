"""EdgeTransformer: attention between pairs of atoms that share an atom (MD-ET, arXiv 2503.01431)."""

from hydramol.nets.edge_transformer.edge_transformer import EdgeTransformer
from hydramol.nets.edge_transformer.head import NoiseHead

__all__ = ["EdgeTransformer", "NoiseHead"]
