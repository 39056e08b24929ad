"""Documents: they render, and the files and targets that they name exist."""

from __future__ import annotations

import importlib.util
import io
import re
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

import aiohttp
import aiohttp_worker
from aiohttp import errors
from aiohttp_worker.integration.names import WORKERS

ROOT = Path(__file__).resolve().parent.parent
# These have directives of Sphinx, and are reached within the site alone; `make docs` holds them.
OF_THE_SITE = {ROOT / "docs" / name for name in ("index.rst", "reference.rst", "changes.rst", "contributing.rst")}
DOCUMENTS = sorted([*ROOT.glob("*.rst"), *ROOT.glob("docs/*.rst"), *ROOT.glob("benchmarks/*.rst"), *ROOT.glob("tests/**/*.rst")])
DOCUMENTS = [path for path in DOCUMENTS if path not in OF_THE_SITE]


def parsed(path: Path) -> tuple[nodes.document, str]:
    """The document and what docutils has to say about it."""
    warnings = io.StringIO()
    settings = {"report_level": 2, "halt_level": 5, "warning_stream": warnings, "syntax_highlight": "none"}
    text = path.read_text(encoding="utf-8")
    return publish_doctree(text, source_path=str(path), settings_overrides=settings), warnings.getvalue()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document(path: Path) -> None:
    document, warnings = parsed(path)
    assert not warnings
    for reference in document.findall(nodes.reference):
        target = str(reference.get("refuri", "")).partition("#")[0]
        if target and not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), target


def test_the_readme_is_complete() -> None:
    """Each document is reachable from the first one."""
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    for path in set(ROOT.glob("docs/*.rst")) - OF_THE_SITE:
        assert str(path.relative_to(ROOT)) in text


def test_the_site_has_every_page() -> None:
    index = (ROOT / "docs" / "index.rst").read_text(encoding="utf-8")
    assert {path.stem for path in ROOT.glob("docs/*.rst")} == {*re.findall(r"^   ([\w-]+)$", index, re.MULTILINE), "index"}


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.rst").read_text(encoding="utf-8")
    documented = {name.rpartition(".")[2] for name in re.findall(r"^\.\. auto\w+:: (\S+)$", text, re.MULTILINE)}
    assert "errors" in documented  # the module, with all that its __all__ lists
    aliases = {"BaseConnector", "TCPConnector", "UnixConnector", "__version__"}
    public = {*aiohttp.__all__, *aiohttp_worker.__all__, *WORKERS}
    assert public - set(errors.__all__) - aliases <= documented


def test_targets_of_make_are_explained() -> None:
    """What CONTRIBUTING.rst lists exists, and CI uses nothing else."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    explained = set(re.findall(r"^make ([a-z]+)", (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8"), re.MULTILINE))
    stages = set(re.findall(r"^stage ([a-z]+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE))
    assert stages
    assert explained
    assert (explained | stages) <= targets


def test_the_picture_shows_the_imports_as_they_are() -> None:
    """``python docs/draw_rooms.py`` draws it anew."""
    spec = importlib.util.spec_from_file_location("draw_rooms", ROOT / "docs" / "draw_rooms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.draw() == (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8")
    ranks = list(module.ROOMS)
    assert all(ranks.index(above) < ranks.index(below) for above, below in module.arrows())
