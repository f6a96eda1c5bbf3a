"""Values that are fixed, because another one would break a promise silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hydramol.core.errors import ConfigError

FIXED: Mapping[tuple[str, str], tuple[Any, str]] = {
    ("trainer", "use_distributed_sampler"): (
        False,
        "our plans share the items out over ranks; Lightning would do it again",
    ),
    ("trainer", "inference_mode"): (False, "forces need gradients in validation and test"),
}


def check_fixed(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Complains about changed values that must stay.

    Args:
        config: Unresolved plain configuration.
    """
    for (group, key), (value, reason) in FIXED.items():
        node = config.get(group)
        if isinstance(node, Mapping) and "_target_" in node and node.get(key, "left out") is not value:
            yield ConfigError(f"{group}.{key} must stay {str(value).lower()}: {reason}")
