"""Necks that tasks share or have of their own."""

from .aspp_neck import ASPPNeck
from .bi_fpn import BiFPN

__all__ = ['ASPPNeck', 'BiFPN']
