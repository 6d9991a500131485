"""Settings of the Sphinx site; ``make docs`` builds it. Nothing is fetched from the network."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import pipeline

project = "Lookalike"
author = "the Lookalike authors"
project_copyright = "the Lookalike authors"
version = release = pipeline.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["drawings"]
root_doc = "index"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say them
autodoc_class_signature = "separated"
maximum_signature_line_length = 90
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"Lookalike {version}"
html_copy_source = False
html_show_sphinx = False

LINK_UP = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(?:#[^)\s]*)?\)")


def offer_files(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn links to files outside of ``docs`` into downloads: the site has no page of them."""
    folder, root = Path(app.srcdir, docname).parent, Path(app.srcdir).resolve()

    def offered(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if target.is_relative_to(root):
            return link[0]
        if not target.is_file():
            raise ExtensionError(f"{docname}: links to {link[2]}, which is no file")
        return f"{{download}}`{link[1].replace('`', '')} <{link[2]}>`"

    source[0] = LINK_UP.sub(offered, source[0])


def setup(app: Sphinx) -> None:
    """Tell Sphinx of :func:`offer_files`."""
    app.connect("source-read", offer_files)
