"""The documentation site: `make docs` builds it, offline, with warnings as errors."""

from importlib.metadata import version as installed_version

project = "SymTorch"
author = "The SymTorch developers"
release = version = installed_version("symtorch")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["inventories"]

html_theme = "furo"
html_title = "SymTorch"

# Docstrings name things in single backticks; what is no public object is shown as code.
default_role = "py:obj"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_use_ivar = True
# Examples are copied without their prompts and without what they print.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# The inventories lie in the repository (see inventories/make.py): nothing is fetched.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.inv"),
    "torch": ("https://docs.pytorch.org/docs/stable", "inventories/torch.inv"),
    "numpy": ("https://numpy.org/doc/stable", "inventories/numpy.inv"),
    "pandas": ("https://pandas.pydata.org/docs", "inventories/pandas.inv"),
    "sympy": ("https://docs.sympy.org/latest", "inventories/sympy.inv"),
}
