"""Arguments that every sampler has."""

from __future__ import annotations


def check_counts(n_samples: int, max_steps: int | None, record_every: int) -> None:
    """Checks them.

    Raises:
        ValueError: One of them makes no sense; the key is named.
    """
    if n_samples < 1:
        raise ValueError(f"sampler.n_samples={n_samples}: at least 1")
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"sampler.max_steps={max_steps}: at least 1, or null for as many as the path has")
    if record_every < 0:
        raise ValueError(f"sampler.record_every={record_every}: 0 (nothing) or more")
