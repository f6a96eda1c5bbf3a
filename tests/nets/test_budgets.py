"""Presets of one budget: an EdgeTransformer and the PaiNN that it is compared with have as many parameters."""

from __future__ import annotations

import pytest
import torch

from hydramol.runtime.assemble import assemble_model
from hydramol.runtime.callbacks.run_summary import parameters_by_module
from hydramol.runtime.compose import composition, to_plain


def parameters(net: str) -> int:
    """Of a noise-predicting model, its head included, as the summary of a run counts them."""
    composed = composition("train", ["experiment=null", f"net={net}"])
    assert not composed.errors()
    config = to_plain(composed.config)
    model = assemble_model(config, {"position_variance": torch.tensor(1.0)})
    return parameters_by_module(model, 1)["total"]


@pytest.mark.parametrize(
    ("matched", "to"),
    [("edge_transformer_as_painn", "painn"), ("edge_transformer_small_as_painn_small", "painn_small")],
)
def test_budgets_agree(matched: str, to: str) -> None:
    assert parameters(matched) == pytest.approx(parameters(to), rel=0.02)
