"""From a configuration with a memory cap to the same configuration with the batch size that was found."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydramol.core.errors import ConfigError
from hydramol.runtime.assemble import assemble_data, describe
from hydramol.runtime.build import build
from hydramol.runtime.find_batch_size.costliest import costliest_batches
from hydramol.runtime.find_batch_size.search import largest_that_fits
from hydramol.runtime.find_batch_size.trials import Trials

log = logging.getLogger(__name__)

GB = 2**30
"""Bytes, as GPU tools and the summary of a run count them."""


def with_found_batch_size(config: dict[str, Any]) -> dict[str, Any]:
    """Finds ``batching.batch_size``, or ``batching.max_cost`` of a plan by cost, where a memory cap is set.

    Args:
        config: Plain, resolved configuration of a training run.

    Returns:
        The configuration with that one value changed; as it was, without a cap.

    Raises:
        ConfigError: The cap is no positive number, the plan has no such value, several processes would train, or not
            even one item fits.
    """
    cap_gb = (config.get("find_batch_size") or {}).get("memory_gb")
    if cap_gb is None:
        return config
    _check(config, cap_gb)
    key = "max_cost" if "max_cost" in config["batching"] else "batch_size"
    n_views = int(config["data"].get("n_views", 1))
    # The value that is looked for may itself be one that the data refuse.
    data = assemble_data(_with(config, key, math.inf if key == "max_cost" else n_views))
    sizes = np.asarray(data.dataset.sizes["atom"])[data.indices("train")]
    bound: Any = data.plan("train").plan

    def value(n_items: int) -> float | int:
        """What lets that many of the largest items, all views of them, into a batch."""
        cost = float(sizes.max()) ** bound.power if key == "max_cost" else 1
        return n_items * n_views * cost

    log.info("trying batch sizes in processes of their own")
    peaks: dict[int, float] = {}
    with Trials(_with(config, key, value(1)), describe(config, data), cap_gb * GB) as trials:

        def fits(n_items: int) -> bool:
            plan = build(_with(config, key, value(n_items))["batching"])
            peak = trials.peak(costliest_batches(plan, sizes, n_views))
            if peak is not None:
                peaks[n_items] = peak / GB
            return peak is not None

        found = largest_that_fits(fits, len(sizes))
    if not found:
        raise ConfigError(
            f"find_batch_size.memory_gb={cap_gb:g}: a training step of one molecule needs more",
            fix="raise it, or choose a smaller net",
        )
    log.info(
        "batching.%s=%s: the largest below %g GB, %d of the largest molecules in a step take %.2f GB",
        key,
        value(found),
        cap_gb,
        found,
        peaks[found],
    )
    return _with(config, key, value(found))


def _with(config: Mapping[str, Any], key: str, value: float | int) -> dict[str, Any]:
    return {**config, "batching": {**config["batching"], key: value}}


def _check(config: Mapping[str, Any], cap_gb: Any) -> None:
    if isinstance(cap_gb, bool) or not isinstance(cap_gb, (int, float)) or not cap_gb > 0:
        raise ConfigError(f"find_batch_size.memory_gb={cap_gb} must be a positive number, or null")
    if not {"batch_size", "max_cost"} & set(config["batching"]):
        raise ConfigError("find_batch_size: the plan has neither batch_size nor max_cost", where="batching")
    devices = config["trainer"].get("devices", 1)
    one = devices in (1, "1") or (isinstance(devices, list) and len(devices) == 1)
    if not one or config["trainer"].get("num_nodes", 1) != 1:
        raise ConfigError(
            "find_batch_size measures a run of one process",
            fix="find it with trainer.devices=1 first, and give the others that many each",
        )
