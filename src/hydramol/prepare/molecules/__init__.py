"""Small organic molecules of our own: drawn as graphs, relaxed with GFN2-xTB, packed into one small file."""

from hydramol.prepare.molecules.build import MoleculesBuilder

__all__ = ["MoleculesBuilder"]
