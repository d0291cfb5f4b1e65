# SPDX-License-Identifier: MIT
"""Sphinx's settings. Pictures and API pages are made before the build, from scripts and docstrings."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import make_api  # noqa: E402
import make_concepts  # noqa: E402
import make_figures  # noqa: E402
import make_recipes  # noqa: E402

import lamella  # noqa: E402

project, author, copyright = "lamella", "the lamella authors", "the lamella authors"
release = version = lamella.__version__
extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_block", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "pictures"]
html_theme = "furo"
html_title = f"lamella {release}"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
add_module_names = False
toc_object_entries = False
smartquotes = False
pygments_style = "friendly"


def setup(app):
    os.environ.update(LAMELLA_PICTURES=str(HERE / "pictures"), LAMELLA_PICTURE_TYPE="svg")
    make_figures.main(["--stale"])
    make_api.write(HERE / "api")
    make_concepts.write(HERE / "concepts")
    make_recipes.write(HERE)
