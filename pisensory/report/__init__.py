"""The robustness lab: what shuffles, noise, lost and late inputs do to policies, as a page, JSON and figures."""

from .build import Subject, write_report

__all__ = ["Subject", "write_report"]
