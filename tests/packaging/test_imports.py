"""What the source imports is what pyproject.toml asks for."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def _imports(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Top-level names of the modules imported with the file, and of those imported later (inside functions)."""
    nodes = {True: set(), False: set()}

    def visit(node: ast.AST, at_import: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                nodes[at_import] |= {alias.name.split(".")[0] for alias in child.names}
            elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
                nodes[at_import].add(child.module.split(".")[0])
            visit(child, at_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Try))

    visit(tree, True)
    return nodes[True], nodes[False]


@pytest.fixture(scope="module")
def found(root: Path) -> dict[str, tuple[set[str], set[str]]]:
    """Foreign imports by file."""
    ours = {"hydramol", "__future__", *sys.stdlib_module_names}
    files = sorted((root / "src").rglob("*.py"))
    imports = {str(file.relative_to(root)): _imports(ast.parse(file.read_text())) for file in files}
    return {file: (early - ours, late - ours) for file, (early, late) in imports.items()}


@pytest.fixture(scope="module")
def providers() -> dict[str, set[str]]:
    """Canonical names of the distributions that provide a module."""
    return {
        module: {canonicalize_name(name) for name in names}
        for module, names in metadata.packages_distributions().items()
    }


def _names(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_imports_are_declared(root: Path, found: dict, providers: dict) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    core = _names(project["dependencies"])
    anywhere = core | _names([line for extra in project["optional-dependencies"].values() for line in extra])
    for file, (early, late) in found.items():
        for module in early:
            assert providers[module] & core, f"{file} imports {module}, which is no core dependency"
        for module in late:
            assert providers.get(module, {canonicalize_name(module)}) & anywhere, f"{file}: {module} is in no extra"
