"""Settings of the docs site; `make docs` builds it into `docs/_build`."""

import sys
from pathlib import Path

from mmengine.registry import Registry
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from mmgradsplit import __version__  # noqa: E402

project = 'mmgradsplit'
author = 'the authors of mmgradsplit'
version = release = __version__

extensions = [
    'myst_nb',  # Markdown, and the notebook as a page
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
]
exclude_patterns = ['_build']

# A heading is a target, as on the code host.
myst_heading_anchors = 4
# The notebook is executed by a test; the site shows what is saved in it.
nb_execution_mode = 'off'
highlight_language = 'text'  # of fenced blocks that name none

# What a room exports is documented, in the order of its `__all__`.
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented_params'
# By its name, where its `repr` is a table of all that is registered.
Registry.__repr__ = lambda self: f"Registry('{self.name}')"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of a dataclass are described once, not also as attributes

html_theme = 'furo'
html_title = f'mmgradsplit {version}'
html_static_path = ['_static']
html_css_files = ['style.css']
html_copy_source = False
html_show_copyright = False
html_theme_options = {'navigation_with_keys': True}

# Files elsewhere in the repository that are pages of the site, by the page that includes them.
OUTSIDE = {
    DOCS.parent / 'README': 'index',
    DOCS.parent / 'CHANGELOG': 'changelog',
    DOCS.parent / 'CONTRIBUTING': 'contributing',
    DOCS.parent / 'configs/README': 'configs',
}


class LinksAsOnTheCodeHost(SphinxTransform):
    """Lets links read on the site as they do on the code host.

    A link to a file elsewhere in the repository leads to the page that includes it, and one whose
    text is a page's file name has the page's title. Links to other files that are there offer these
    for download; links to files that are not are warnings, and so errors of the build.
    """

    default_priority = 1

    def apply(self, **_: object) -> None:
        """Change targets and texts."""
        for link in self.document.findall(addnodes.pending_xref):
            if link.get('refdomain') == 'doc':
                target = (DOCS / link['reftarget']).resolve()
                link['reftarget'] = OUTSIDE.get(target, link['reftarget'])
                if link.astext().endswith('.md'):
                    link['refexplicit'] = False
                    link[0].clear()


def setup(app: Sphinx) -> None:
    """Add what is above to Sphinx."""
    app.add_transform(LinksAsOnTheCodeHost)
