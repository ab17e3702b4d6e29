"""Odd files of all data sets, drawn: what is common in the field, and what breaks.

:mod:`corpus.sets` writes a small whole data set of each kind, and :mod:`corpus.cases` lists what is
changed in it, with what has to come of it: the file is read right, or an error names it.
"""

from .cases import CASES, Case
from .sets import SETS

__all__ = ['CASES', 'SETS', 'Case']
