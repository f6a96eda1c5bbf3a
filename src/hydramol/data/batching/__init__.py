"""Batch plans: which items come together, as pure functions of (sizes, seed, epoch)."""

from hydramol.data.batching.bucket import BucketPlan
from hydramol.data.batching.cost import CostPlan
from hydramol.data.batching.plan import BoundPlan, Cut, Plan, PlannedBatch, padded_cost
from hydramol.data.batching.random import RandomPlan

__all__ = ["BoundPlan", "BucketPlan", "CostPlan", "Cut", "Plan", "PlannedBatch", "RandomPlan", "padded_cost"]
