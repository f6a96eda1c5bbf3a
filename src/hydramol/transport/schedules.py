"""Noise schedules of discrete variance-preserving diffusion: alpha_bar at steps 0 ... T-1, float64.

Entry t belongs to the state after t + 1 noising steps. The ratios of neighbours are bounded from below, so that no
single step destroys everything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_RATIO = 0.001


def _from_curve(alpha_bar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drops the noiseless start of a curve of T + 1 points and bounds the ratios of neighbours."""
    ratios = np.clip(alpha_bar[1:] / alpha_bar[:-1], SMALLEST_RATIO, 1.0)
    return np.cumprod(ratios, dtype=np.float64)


def polynomial(n_steps: int, precision: float = 1e-5) -> NDArray[np.float64]:
    """``(1 - u^2)^2``, kept away from 0 and 1 by the precision (Hoogeboom et al., EDM, ICML 2022, appendix B)."""
    u = np.linspace(0.0, 1.0, n_steps + 1)
    return _from_curve((1.0 - u**2) ** 2) * (1.0 - 2.0 * precision) + precision


def cosine(n_steps: int, offset: float = 0.008, exponent: float = 1.0) -> NDArray[np.float64]:
    """``cos^2(pi/2 (u^exponent + offset) / (1 + offset))`` over its start (Nichol & Dhariwal, ICML 2021, eq. 17)."""
    u = np.linspace(0.0, 1.0, n_steps + 1)
    return _from_curve(np.cos((u**exponent + offset) / (1.0 + offset) * np.pi / 2.0) ** 2)


def linear(n_steps: int, beta_start: float = 1e-4, beta_end: float = 0.02) -> NDArray[np.float64]:
    """Variances that grow linearly, given for 1000 steps and scaled to T of them (Ho et al., NeurIPS 2020)."""
    scale = 1000.0 / n_steps
    beta = np.linspace(scale * beta_start, scale * beta_end, n_steps)
    if beta.max() >= 1.0:
        raise ValueError(f"n_steps={n_steps} is too few for the linear schedule: a variance reaches {beta.max():.3g}")
    return np.cumprod(1.0 - beta, dtype=np.float64)
