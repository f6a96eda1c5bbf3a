"""Relaxation pairs of our own: frames of GFN2-xTB dynamics of the embedded molecules, and the minima they relax to."""

from hydramol.prepare.md_pairs.build import MDPairsBuilder

__all__ = ["MDPairsBuilder"]
