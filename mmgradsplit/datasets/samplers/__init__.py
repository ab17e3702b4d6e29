"""The samplers that the paper uses and no toolbox has."""

from .random_identity import RandomIdentitySampler

__all__ = ['RandomIdentitySampler']
