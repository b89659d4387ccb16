"""Behavioural cloning: a student learns to act as a teacher does, by gradient descent through time."""

from .loop import CloneResult, clone
from .recipe import train_with_teacher

__all__ = ["CloneResult", "clone", "train_with_teacher"]
