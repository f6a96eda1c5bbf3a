"""QM7-X: 4.2 million structures of 6,950 molecules of H, C, N, O, S, Cl with up to seven heavy atoms, PBE0+MBD.

Hoja, Medrano Sandonas, Ernst, Vazquez-Mayagoitia, DiStasio Jr. & Tkatchenko, Sci. Data 8, 43 (2021),
doi:10.1038/s41597-021-00812-2; files: Zenodo record 4288677 (CC BY 4.0).
"""

from hydramol.data.qm7x.dataset import QM7X

__all__ = ["QM7X"]
