"""Sphinx's settings for the site that ``make docs`` builds in ``build/docs``, and a check of the links inside of it."""

from __future__ import annotations

import html.parser
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

import aiohttp_worker

ROOT = Path(__file__).resolve().parent.parent

project = "aiohttp-worker"
version = release = aiohttp_worker.__version__
root_doc = "index"
extensions = ["sphinx.ext.autodoc"]
smartquotes = False
highlight_language = "none"
pygments_style = "friendly"

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_use_legacy_class_based = False
python_maximum_signature_line_length = 80

# Pages of the site for documents that lie elsewhere.
AT_THE_ROOT = {"../README.rst": "index.rst", "../CHANGES.rst": "changes.rst", "../CONTRIBUTING.rst": "contributing.rst"}


class LinksBetweenFiles(SphinxTransform):
    """The links that work where the pages are read as files, made links of the site.

    A page becomes a page of the site, which Sphinx looks up and complains of where it is missing;
    another file of the repository is offered for download.
    """

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        for topic in list(self.document.findall(nodes.topic)):
            if "contents" in topic["classes"]:  # furo has its own beside each page
                topic.parent.remove(topic)
                self.document.settings.toc_backlinks = False
        for reference in list(self.document.findall(nodes.reference)):
            target, _, fragment = str(reference.get("refuri", "")).partition("#")
            if not target or re.match(r"[a-z]+:", target):
                continue
            name = os.path.relpath(self.start_of(reference) / target, self.env.srcdir)
            page = AT_THE_ROOT.get(name, name.removeprefix("../docs/"))
            link: nodes.Element
            if page.endswith(".rst") and not page.startswith("../"):
                if fragment:
                    reference["refuri"] = f"{page.removesuffix('.rst')}.html#{fragment}"
                    continue
                link = addnodes.pending_xref(
                    refdomain="std",
                    reftype="doc",
                    refexplicit=True,
                    reftarget="/" + page.removesuffix(".rst"),
                    refdoc=self.env.docname,
                )
            else:
                link = addnodes.download_reference(reftarget=name, refdoc=self.env.docname, refdomain="", reftype="download")
            link += nodes.inline("", "", *reference.children)
            reference.replace_self(link)

    def start_of(self, node: nodes.Node) -> Path:
        """The folder of the file in which a link stands: an included one has its links from there."""
        source = (node.parent.source if node.parent is not None else None) or node.source
        return Path(source).parent if source and Path(source).is_file() else Path(self.env.srcdir)


class Page(html.parser.HTMLParser):
    """Targets and anchors of a page that has been written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            elif name == "id" and value:
                self.anchors.add(value)


def check_links(app: Sphinx, exception: Exception | None) -> None:
    """Complain of each link inside of the site that leads nowhere; with ``-W`` the build fails then."""
    if exception is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    pages = {path.name: Page(path) for path in site.glob("*.html")}
    for name, page in sorted(pages.items()):
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = unquote(parts.path) or name
            if not (site / file).is_file() or (file in pages and unquote(parts.fragment) not in pages[file].anchors):
                logging.getLogger(__name__).warning("%s has a link that leads nowhere: %s", name, target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Have Sphinx call the above."""
    app.add_transform(LinksBetweenFiles)
    app.connect("build-finished", check_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
