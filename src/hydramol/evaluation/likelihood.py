"""Bounds on the likelihood of structures, put into words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hydramol.core.results import Results, Section, Table

Bound = Mapping[str, Tensor]
"""Upper bound of the negative log density of each item in parts: "prior", "steps", "decoder", nats; the standard
"error" of their sum, and the dimensions, "freedom"; each ``[items]``."""


def likelihood(model: Bound, linear: Bound) -> Results:
    """Scalars ``nll_nats`` (a molecule), ``nll_bits_per_dimension``, the same with ``_linear``, and a table.

    Args:
        model: Of the model.
        linear: Of the best linear guess, for the same structures, times and noises.
    """
    rows: list[list[Any]] = []
    scalars: dict[str, float] = {}
    for name, key, bound in (("model", "", model), ("best linear guess", "_linear", linear)):
        found = _averages(bound)
        scalars |= {f"nll_nats{key}": found["nats"], f"nll_bits_per_dimension{key}": found["bits"]}
        figures = (found[one] for one in ("nats", "error", "bits", "prior", "steps", "decoder"))
        rows.append([name, len(bound["freedom"]), *(_rounded(one) for one in figures)])
    table = Table(
        ["", "molecules", "nats", "± (drawn times and noises)", "bits per dimension", "prior", "steps", "decoder"],
        rows,
        note="Upper bound of the negative log-likelihood, nats averaged over molecules; less is better. It is that of "
        "a density in the 3(n - 1) dimensions of centred structures, lengths in Å, so it may be negative. Bits per "
        "dimension divide the total by all dimensions. Prior, steps and decoder are its parts, in nats.",
    )
    section = Section(
        "Likelihood (variational bound)", "How likely held-out structures are, given their composition.", [table]
    )
    return Results(scalars, [section], {"bits per dimension": f"{scalars['nll_bits_per_dimension']:.2f}"})


def _averages(bound: Bound) -> Mapping[str, float]:
    """Means over molecules, the standard error of their bound, and bits over all dimensions."""
    found = {name: float(bound[name].mean()) for name in ("prior", "steps", "decoder")}
    found["nats"] = sum(found.values())
    n, freedom = len(bound["freedom"]), int(bound["freedom"].sum())
    found["bits"] = found["nats"] * n / (math.log(2.0) * freedom) if freedom else math.nan
    found["error"] = float(bound["error"].square().sum().sqrt()) / n
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
