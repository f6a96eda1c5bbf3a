"""Groups and the model: a chosen part must be one that the model takes, a needed part must be chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hydramol.core.errors import ConfigError
from hydramol.runtime.check.signatures import arguments_of

PARTS = ("net", "transport", "sampler", "adapter", "task", "objective", "labeler", "matching", "optimizer", "scheduler")
"""Groups that a model may take in its constructor, each by its own name."""

SUPPLIED: Mapping[str, frozenset[str]] = {
    "model": frozenset({*PARTS, "statistics", "seed"}),
    "trainer": frozenset({"callbacks", "logger", "plugins"}),
}
"""Arguments that `runtime.assemble` gives, so that the configuration neither must nor may name them."""

TAKEN: Mapping[str, frozenset[str]] = {"data": frozenset({"n_views", "loader"})}
"""Keys of a group's node that `runtime.assemble` takes for itself; they are not arguments of its target."""


def check_groups(config: Mapping[str, Any], model: Any, choices: Mapping[str, str]) -> Iterator[ConfigError]:
    """Compares the chosen groups with the model's constructor.

    Args:
        config: Unresolved plain configuration.
        model: The model's class.
        choices: Option of each group, for the message.
    """
    accepted = arguments_of(model)
    chosen = f"model={choices.get('model', model.__name__)}"
    takes = ", ".join(name for name in PARTS if name in accepted)
    for group in PARTS:
        is_set = holds_node(config.get(group))
        if is_set and group not in accepted:
            option = choices.get(group, "...")
            yield ConfigError(f"{chosen} does not accept {group}={option}; it takes {takes}", fix=f"set {group}=none")
        if not is_set and group in accepted and accepted[group].required:
            yield ConfigError(
                f"{chosen} needs a {group}, but {group}={choices.get(group, 'none')}", fix=f"choose {group}=..."
            )


def holds_node(value: Any) -> bool:
    """Whether something is to be built, at once or in an ordered mapping."""
    return isinstance(value, Mapping) and ("_target_" in value or any(holds_node(one) for one in value.values()))
