"""Behavioural cloning: a student learns to act as a teacher does, by gradient descent through time."""

from .loop import CloneResult, clone

__all__ = ["CloneResult", "clone"]
