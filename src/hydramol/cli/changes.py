"""Overrides that speak of a stored configuration.

`sample`, `evaluate` and `train resume=` start from the configuration in a checkpoint or run directory. What the user
types about it (``sampler=ddpm``, ``sampler.n_samples=4``) is no key of the door's own root, so it is set apart and
applied to the stored configuration later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

OPTION, VALUE = "++stored_option.", "++stored_value."
"""Disguises under which such overrides travel through Hydra's sweeps, which know only keys of the root."""


def top_key(override: str) -> str:
    """First part of an override's key: "sampler" of ``+sampler.n_samples=4``, "hydra" of ``hydra/launcher=basic``."""
    return re.split(r"[.=@/]", override.lstrip("+~"), maxsplit=1)[0]


def split(overrides: Sequence[str], own: Iterable[str]) -> tuple[list[str], list[str]]:
    """Overrides of the door's own keys, and those of a stored configuration."""
    own = {*own, "hydra"}
    mine = [override for override in overrides if top_key(override) in own]
    return mine, [override for override in overrides if top_key(override) not in own]


def disguise(override: str) -> str:
    """Makes an override of a stored configuration acceptable to Hydra."""
    key = override.partition("=")[0].lstrip("+")
    return f"{VALUE if '.' in key else OPTION}{override.lstrip('+')}"


def reveal(overrides: Iterable[str]) -> list[str]:
    """What was disguised among the overrides of one job."""
    return [
        override.removeprefix(prefix)
        for override in overrides
        for prefix in (OPTION, VALUE)
        if override.startswith(prefix)
    ]
