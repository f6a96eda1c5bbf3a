"""Typed errors. Each says in one line what is wrong, where, and how to mend it; the doors turn them into exit codes."""

from __future__ import annotations


class HydramolError(Exception):
    """Base of every error a user can cause and mend.

    Args:
        what: What is wrong, in plain words.
        where: The config key, file or object it was found in.
        fix: How to mend it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(self.line)

    @property
    def line(self) -> str:
        """The whole message on one line: ``where: what (fix)``."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        text = f"{text} ({self.fix})" if self.fix else text
        return " ".join(text.split())


class ConfigError(HydramolError):
    """The configuration is wrong; nothing was read or written yet."""

    exit_code = 2


class DataError(HydramolError):
    """A data file or its content is wrong."""


class CheckpointError(HydramolError):
    """A checkpoint is missing, broken, unsafe or does not fit."""


class OutputError(HydramolError):
    """A result could not be written."""
