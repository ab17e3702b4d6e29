"""Why a mutated config that trains without an error is a legal one."""

from .mutations import Mutation

UNEXPLAINED = 'NOT LEGAL'


def reason_of(mutation: Mutation) -> str:
    """The reason, or :data:`UNEXPLAINED`."""
    return UNEXPLAINED
