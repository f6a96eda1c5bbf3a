"""Which is the largest size that fits, with few questions."""

from __future__ import annotations

from collections.abc import Callable


def largest_that_fits(fits: Callable[[int], bool], most: int) -> int:
    """Doubles until a size does not fit, then bisects; asks for nothing above twice the largest that was seen to fit.

    After a size that fits only larger ones are asked for, after one that does not only smaller ones.

    Args:
        fits: Whether a size fits; if it does, so do all smaller ones.
        most: The largest size of interest, at least 1.

    Returns:
        The largest size in 1..most that fits, or 0.
    """
    good, bad = 0, most + 1
    while bad - good > 1:
        size = min(max(2 * good, 1), most) if bad > most else (good + bad) // 2
        if fits(size):
            good = size
        else:
            bad = size
    return good
