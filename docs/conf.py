"""How Sphinx builds the documentation: `make docs`. Nothing is fetched from the network, at build or when read."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_extensions")]

import rushlight  # noqa: E402

project = "Rushlight"
author = "The Rushlight authors"
version = release = rushlight.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_parser",
    "plain_docstrings",
    "command_help",
    "package_reference",
]
exclude_patterns = ["_build"]
default_role = "literal"  # `name` in a docstring is code
highlight_language = "none"
nitpicky = True
# Names of other projects are not looked up: that would take the network. A public name of ours must be found.
nitpick_ignore_regex = [(r"py:.*", r"(?!rushlight\.).*"), (r"py:.*", r"rushlight\..*\._\w+")]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "Rushlight"
html_static_path = ["_static"]
html_css_files = ["rushlight.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#8a4b08", "color-brand-content": "#8a4b08"},
    "dark_css_variables": {"color-brand-primary": "#f0b35b", "color-brand-content": "#f0b35b"},
}
