"""Settings of the Sphinx site; ``make docs`` builds it. Nothing is fetched from the network."""

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
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"Lookalike {version}"
html_copy_source = False
html_show_sphinx = False
