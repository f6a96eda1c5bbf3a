"""The search finds the largest size that fits, and never reaches far beyond it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hydramol.runtime.find_batch_size.search import largest_that_fits


@given(limit=st.integers(0, 5000), most=st.integers(1, 3000))
def test_largest_that_fits(limit: int, most: int) -> None:
    asked: list[int] = []

    def fits(size: int) -> bool:
        seen = max((one for one in asked if one <= limit), default=0)
        assert 1 <= size <= most
        assert size <= max(2 * seen, 1)  # no leap into memory that was never seen to be there
        assert size not in asked
        asked.append(size)
        return size <= limit

    assert largest_that_fits(fits, most) == min(limit, most)
    assert len(asked) <= 2 * most.bit_length() + 1


@given(limit=st.integers(0, 5000), most=st.integers(1, 3000))
def test_one_process_serves_until_a_size_does_not_fit(limit: int, most: int) -> None:
    """A high-water mark only rises: after a size that fits comes a larger one."""
    last = 0

    def fits(size: int) -> bool:
        nonlocal last
        assert size > last
        last = size if size <= limit else 0
        return size <= limit

    largest_that_fits(fits, most)
