"""Builds the API pages into build/docs and checks every page of the house; works offline.

A broken link or anchor, a name or path that is gone, a public object without a docstring, or a warning of pdoc is an
error: each is printed as one line, and the exit code is 1.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "build" / "docs"

_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_NAME = re.compile(r"hydramol(\.\w+)+")
_PATH = re.compile(r"(src|configs|tests|docs|benchmarks|scripts|slurm)/[\w./-]*[\w/]")


def prose(page: Path) -> str:
    """The text of a page without code blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", page.read_text()))


def pages(root: Path) -> list[Path]:
    """The Markdown pages: those beside the README and those of docs/ and slurm/."""
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("slurm/**/*.md")])


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def broken_links(page: Path) -> Iterator[str]:
    """Links to files or headings that do not exist. Addresses on the net are left alone."""
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        if not linked.exists():
            yield f"link to {target}, which does not exist"
        elif anchor and anchor not in anchors(linked):
            yield f"link to {target}, which has no such heading"


def stale_names(page: Path, root: Path) -> Iterator[str]:
    """Code spans that are a full name of ours or a path of this tree, and lead nowhere."""
    for span in _CODE.findall(prose(page)):
        if _NAME.fullmatch(span) and not resolves(span):
            yield f"`{span}` cannot be imported"
        if _PATH.fullmatch(span) and not (root / span).exists():
            yield f"`{span}` does not exist"


def resolves(name: str) -> bool:
    """Whether a dotted name is a module or an attribute of one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def undocumented(name: str) -> Iterator[str]:
    """Public classes and functions of one of our modules without a docstring of their own or an inherited one."""
    import pdoc.doc

    module = pdoc.doc.Module(importlib.import_module(name))
    found: list[pdoc.doc.Doc] = [module, *module.own_members]
    for member in module.own_members:
        if isinstance(member, pdoc.doc.Class):
            found += member.own_members
    for member in found:
        described = isinstance(member, pdoc.doc.Module | pdoc.doc.Class | pdoc.doc.Function)
        public = not any(part.startswith("_") for part in member.qualname.split("."))
        if described and public and not member.docstring:
            yield f"{member.fullname} has no docstring"


def build_api(output: Path) -> Iterator[str]:
    """Writes the API pages; yields what pdoc warned of, a module that cannot be imported for example."""
    import pdoc
    import pdoc.render

    pdoc.render.configure(docformat="google", search=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pdoc.pdoc("hydramol", "!hydramol.configs", output_directory=output)
    for warning in caught:
        line = " ".join(str(warning.message).split())
        # pdoc cannot resolve the annotations that NamedTuple writes into its __init__; it shows them as text.
        if "pdoc" in Path(warning.filename).parts and not line.startswith("Error parsing type annotation"):
            yield line


def modules() -> list[str]:
    """Full names of all our modules."""
    import hydramol

    return ["hydramol", *(found.name for found in pkgutil.walk_packages(hydramol.__path__, "hydramol."))]


def main() -> int:
    """Checks and builds everything; returns the exit code."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    problems = []
    for page in pages(ROOT):
        name = page.relative_to(ROOT)
        problems += [f"{name}: {line}" for line in (*broken_links(page), *stale_names(page, ROOT))]
    problems += build_api(OUTPUT)
    for module in modules():
        problems += undocumented(module)
    for line in problems:
        print(line, file=sys.stderr)
    print(f"{len(problems)} problems; the API pages: {(OUTPUT / 'hydramol.html').relative_to(ROOT)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
