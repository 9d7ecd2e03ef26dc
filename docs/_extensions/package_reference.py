"""The directive `package-reference`: every module of a package, from its docstrings.

A module that is added to the package is on the page at the next build. `:first:` names those that should be read first.
"""

import importlib
import pkgutil
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class PackageReference(SphinxDirective):
    """Its argument is the package; `:first:` holds names of modules, relative to it."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"first": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """A section a module."""
        package = self.arguments[0]
        first = [f"{package}.{name}" for name in self.options.get("first", "").split()]
        found = modules_in(package)
        unknown = set(first) - set(found)
        if unknown:
            raise self.error(f"there is no module {', '.join(sorted(unknown))}")
        text = "\n".join(section_of(name) for name in [*first, *(name for name in found if name not in first)])
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def modules_in(package: str) -> list[str]:
    """The names of all modules below a package, without packages themselves."""
    path = importlib.import_module(package).__path__
    return [module.name for module in pkgutil.walk_packages(path, f"{package}.") if not module.ispkg]


def section_of(module: str) -> str:
    """reStructuredText of one module."""
    return f"{module}\n{'-' * len(module)}\n\n.. automodule:: {module}\n   :members:\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("package-reference", PackageReference)
    return {"parallel_read_safe": True}
