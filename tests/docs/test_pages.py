"""The checks behind `make docs`, and the pages themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def build(root: Path) -> ModuleType:
    """The script docs/build.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_build", root / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_have_no_broken_links_or_stale_names(root: Path, build: ModuleType) -> None:
    assert len(build.pages(root)) >= 5
    for page in build.pages(root):
        assert [*build.broken_links(page), *build.stale_names(page, root)] == [], page.name


@pytest.mark.parametrize("target", ["nowhere.md", "#no-heading", "other.md#no-heading"])
def test_broken_link_is_found(tmp_path: Path, build: ModuleType, target: str) -> None:
    (tmp_path / "other.md").write_text("# Another\n")
    page = tmp_path / "page.md"
    page.write_text(f"# Here: it is!\n[fine](#here-it-is) [fine](other.md#another) [broken]({target})\n")
    (line,) = build.broken_links(page)
    assert target in line


def test_code_blocks_and_comments_are_not_read(tmp_path: Path, build: ModuleType) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n[x](gone.md)\n# no heading\n```\n<!-- ![x](gone.png) -->\n")
    assert list(build.broken_links(page)) == []
    assert build.anchors(page) == set()


@pytest.mark.parametrize("span", ["hydramol.core.gone", "hydramol.core.batch.Gone", "src/hydramol/gone.py"])
def test_stale_name_is_found(root: Path, tmp_path: Path, build: ModuleType, span: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"`{span}` `hydramol.core.batch.Batch.select` `src/hydramol/core/batch.py` `configs`\n")
    (line,) = build.stale_names(page, root)
    assert span in line


def test_missing_docstring_is_found(tmp_path: Path, build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '"""Fine."""\nclass Bare:\n    def method(self): ...\n    def _private(self): ...\ndef plain(): ...\n'
    (tmp_path / "undocumented_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    found = {line.split()[0] for line in build.undocumented("undocumented_module")}
    assert found == {f"undocumented_module.{name}" for name in ("Bare", "Bare.method", "plain")}
