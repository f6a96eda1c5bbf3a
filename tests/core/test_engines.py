"""Missing engines are named with the extra that installs them."""

from __future__ import annotations

import pytest

from hydramol.core.engines import require, versions
from hydramol.core.errors import HydramolError


def test_missing_module_names_its_extra() -> None:
    with pytest.raises(HydramolError, match=r"no_such_engine.*pip install hydramol\[qm\]"):
        require("no_such_engine.ase", "qm")


def test_missing_distribution_names_its_extra() -> None:
    with pytest.raises(HydramolError, match=r"no-such-engine.*pip install hydramol\[qm\]"):
        versions("numpy", "no-such-engine", extra="qm")


def test_installed_engines_are_returned() -> None:
    assert require("json", "qm").loads("1") == 1
    assert set(versions("numpy", extra="qm")) == {"numpy"}
