"""A trained agent as one file of C99 without dependencies, for a microcontroller or any other program."""

from .export import export_c

__all__ = ["export_c"]
