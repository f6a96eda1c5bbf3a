"""What parts need of each other, against what the others provide.

A class states ``needs`` and ``provides`` (sets of words); where that depends on arguments, it has the class methods
``needs_for(...)`` and ``provides_for(...)``, which name the constructor arguments they depend on. A class attribute
``discrete`` says the words "discrete" or "continuous" of a path. There is no rule for a pair of parts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from hydramol.core.errors import ConfigError
from hydramol.runtime.check.signatures import arguments_of


@dataclass(frozen=True)
class Part:
    """A built part as far as the check knows it.

    Attributes:
        name: Group and option, ``sampler=ddpm``.
        target: Its class.
        arguments: What the configuration passes, resolved.
    """

    name: str
    target: Any
    arguments: Mapping[str, Any]


def needs(part: Part) -> frozenset[str]:
    """Words that some other part must provide."""
    return _stated(part, "needs")


def provides(part: Part) -> frozenset[str]:
    """Words that the part provides."""
    words = _stated(part, "provides")
    discrete = getattr(part.target, "discrete", None)
    return words | {"discrete" if discrete else "continuous"} if isinstance(discrete, bool) else words


def settings_that_provide(word: str, parts: Mapping[str, Part]) -> Iterator[str]:
    """Values of chosen parts that would provide a word, ``model.heads=joint``.

    Args:
        word: What is needed.
        parts: By path in the configuration.
    """
    for path, part in parts.items():
        asked = getattr(part.target, "provides_for", None)
        for name in inspect.signature(asked).parameters if asked is not None else ():
            annotation = arguments_of(part.target)[name].annotation
            for value in get_args(annotation) if get_origin(annotation) is Literal else ():
                if word in provides(Part(part.name, part.target, {**part.arguments, name: value})):
                    yield f"{path}.{name}={value}"


def _stated(part: Part, what: str) -> frozenset[str]:
    by_arguments = getattr(part.target, f"{what}_for", None)
    if by_arguments is not None:
        asked = inspect.signature(by_arguments).parameters
        return frozenset(by_arguments(**{name: value for name, value in part.arguments.items() if name in asked}))
    words: object = getattr(part.target, what, frozenset())
    return frozenset(words) if isinstance(words, (frozenset, set, tuple, list)) else frozenset()


def check_needs(parts: Iterable[Part], providers: Callable[[str], list[str]]) -> Iterator[ConfigError]:
    """Complains about each need that no chosen part meets.

    Args:
        parts: All chosen parts, nested ones included.
        providers: Options (``transport=vp_discrete``) that would provide a word.
    """
    parts = list(parts)
    provided = frozenset().union(*(provides(part) for part in parts)) if parts else frozenset()
    for part in parts:
        for word in sorted(needs(part) - provided):
            options = ", ".join(providers(word))
            fix = f"provided by {options}" if options else "no option provides it"
            yield ConfigError(f"{part.name} needs {word!r}, which nothing chosen provides", fix=fix)
