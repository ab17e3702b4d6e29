"""What is checked of every sample of every data set as it is loaded."""

from .pipeline import CheckedPipeline

__all__ = ['CheckedPipeline']
