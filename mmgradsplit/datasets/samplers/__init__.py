"""The samplers that the paper uses and no toolbox has.

May import mmengine, torch, numpy and the registry.
"""

from .random_identity import RandomIdentitySampler

__all__ = ['RandomIdentitySampler']
