"""The door to SchNetPack."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hydramol.compat.schnetpack import import_schnetpack
from hydramol.core.errors import HydramolError


def test_opens_on_this_torch() -> None:
    pytest.importorskip("ase")
    try:
        schnetpack = import_schnetpack()
    except HydramolError as error:
        pytest.skip(str(error))
    assert schnetpack.__name__ == "schnetpack"
    assert hasattr(import_schnetpack("representation"), "PaiNN")


def test_says_which_extra_is_missing() -> None:
    """In a fresh interpreter where SchNetPack cannot be found."""
    code = (
        "import sys; sys.modules['schnetpack'] = None\n"
        "from hydramol.compat.schnetpack import import_schnetpack\n"
        "from hydramol.core.errors import HydramolError\n"
        "try: import_schnetpack()\n"
        "except HydramolError as error: print(error.line)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "cannot import schnetpack (pip install 'hydramol[schnetpack]')"


def test_names_a_missing_submodule() -> None:
    with pytest.raises(HydramolError, match=r"schnetpack.*hydramol\[schnetpack\]"):
        import_schnetpack("no_such_part")
