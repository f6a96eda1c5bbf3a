"""Pairs against scipy's tree, their derivatives, and awkward batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from hydramol.core.batch import Batch
from hydramol.geometry.neighbours import all_pairs, neighbours
from hydramol.geometry.norms import safe_norm, split_length


def cloud(sizes: list[int], seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    pos = 2.5 * torch.randn(sum(sizes), 3, generator=generator, dtype=torch.float64)
    return Batch({"pos": pos}, {"atom": torch.tensor(sizes, dtype=torch.int64)})


def pairs_by_tree(batch: Batch, cutoff: float) -> list[tuple[int, int]]:
    """The same pairs by scipy, one molecule after the other."""
    found, start = [], 0
    for size in batch.sizes["atom"].tolist():
        points = batch["pos"][start : start + size].numpy()
        if size:
            pairs = cKDTree(points).query_pairs(cutoff, output_type="ndarray") + start
            found += [*map(tuple, pairs), *map(tuple, pairs[:, ::-1])]
        start += size
    return sorted((int(i), int(j)) for i, j in found)


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    cutoff=st.sampled_from([0.5, 2.0, 5.0, 1000.0]),
    seed=st.integers(0, 99),
)
def test_same_pairs_as_scipy(sizes: list[int], cutoff: float, seed: int) -> None:
    batch = cloud(sizes, seed)
    idx_i, idx_j, r_ij = neighbours(batch, cutoff)
    assert list(zip(idx_i.tolist(), idx_j.tolist(), strict=True)) == pairs_by_tree(batch, cutoff)
    assert torch.equal(r_ij, batch["pos"][idx_j] - batch["pos"][idx_i])


def test_all_pairs_are_sorted_and_complete() -> None:
    idx_i, idx_j = all_pairs(torch.tensor([3, 1, 0, 2]))
    assert list(zip(idx_i.tolist(), idx_j.tolist(), strict=True)) == [
        *[(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)],
        *[(4, 5), (5, 4)],
    ]


def test_without_cutoff_is_a_cutoff_beyond_everything() -> None:
    batch = cloud([4, 7])
    for a, b in zip(neighbours(batch), neighbours(batch, 1e6), strict=True):
        assert torch.equal(a, b)


def test_no_pairs_for_single_atoms() -> None:
    idx_i, idx_j, r_ij = neighbours(cloud([1, 1, 1]), 5.0)
    assert idx_i.shape == idx_j.shape == (0,)
    assert r_ij.shape == (0, 3)


def test_golden_pairs(golden) -> None:
    io = np.load(golden / "morered_painn_c5_io.npz")
    batch = Batch({"pos": torch.from_numpy(io["R"])}, {"atom": torch.from_numpy(io["n_atoms"])})
    idx_i, idx_j, r_ij = neighbours(batch)
    order = np.lexsort((io["idx_j"], io["idx_i"]))
    assert np.array_equal(idx_i.numpy(), io["idx_i"][order])
    assert np.array_equal(idx_j.numpy(), io["idx_j"][order])
    np.testing.assert_allclose(r_ij.numpy(), io["r_ij"][order], atol=1e-6)


def test_displacements_are_differentiable() -> None:
    batch = cloud([3, 4])

    def lengths(pos: torch.Tensor) -> torch.Tensor:
        return neighbours(batch.with_fields(pos=pos), 4.0).r_ij.square().sum(-1)

    assert torch.autograd.gradcheck(lengths, batch["pos"].clone().requires_grad_())


def test_refuses_padded_batches_and_bad_cutoffs() -> None:
    with pytest.raises(ValueError, match="flat"):
        neighbours(cloud([3, 4]).to_layout("padded"))
    with pytest.raises(ValueError, match="cutoff=0"):
        neighbours(cloud([3]), 0.0)


def test_norm_is_safe_at_zero_in_every_order() -> None:
    x = torch.tensor([[0.0, 0.0, 0.0], [0.3, -0.4, 1.2]], dtype=torch.float64, requires_grad=True)
    length, direction = split_length(x)
    assert length[:, 0].tolist() == pytest.approx([0.0, 1.3])
    assert direction[0].tolist() == [0.0, 0.0, 0.0]
    derivative = safe_norm(x).sum()
    for _ in range(3):
        (grad,) = torch.autograd.grad(derivative, x, create_graph=True)
        assert grad.isfinite().all()
        assert grad[0].tolist() == [0.0, 0.0, 0.0]
        derivative = grad.sum()
    assert torch.autograd.gradgradcheck(lambda y: safe_norm(y), x[1:].detach().requires_grad_())
