"""Goes through every data set of a config, and says what is wrong with it."""

from .check import check_data

__all__ = ['check_data']
