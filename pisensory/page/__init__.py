"""A page to play with trained cart-pole agents in the browser: one file that works from disk."""

from .build import MAX_COPIES, MAX_NOISE, PageSettings, fingerprint, make_page, write_page

__all__ = ["MAX_COPIES", "MAX_NOISE", "PageSettings", "fingerprint", "make_page", "write_page"]
