"""How the docs are built. Their examples are run by pytest: see conftest.py at the root."""

from importlib.metadata import version as installed_version

project = "partner_vouchers"
author = "The partner_vouchers authors"
copyright = "2026, The partner_vouchers authors"
release = version = installed_version("partner-vouchers")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "partner_vouchers"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "separated"

# Or the attributes of a dataclass would be described twice.
napoleon_use_ivar = True

# No inventory of other projects is fetched, so only names of this one can be checked.
nitpick_ignore_regex = [(r"py:.*", r"(?!partner_vouchers\.).*\..*")]
nitpick_ignore = [
    ("py:class", "partner_vouchers.adapters.simple.part.Tx"),
    ("py:class", "partner_vouchers.ports.storage.T"),
    ("py:class", "partner_vouchers.usecases.paging.T"),
    ("py:class", "partner_vouchers.wire.promo_events.E"),
    ("py:class", "partner_vouchers.testing.hooks.F"),
]
