"""Did you mean."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word a mistyped one most probably stands for, or None."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``, did you mean x?`` or nothing: made to follow a complaint."""
    found = closest(word, known)
    return f", did you mean {found}?" if found else ""


def unknown_key(path: str, known: Iterable[str]) -> str:
    """The complaint about a key (given with its whole path) that its mapping does not have."""
    known = [name for name in known if not name.startswith("_")]
    name = path.rpartition(".")[2]
    hint = did_you_mean(name, known)
    if hint:
        return f"unknown key {path}{hint}"
    listed = ", ".join(sorted(known)) or "none"
    return f"unknown key {path}; known here: {listed}"


def unknown_option(group: str, option: str, known: Iterable[str]) -> str:
    """The complaint about an option that its group does not have."""
    known = sorted(known)
    hint = did_you_mean(option, known)
    return f"{group}={option}: unknown option{hint or ';'} options: {', '.join(known) or 'none'}"
