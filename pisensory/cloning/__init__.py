"""Behavioural cloning: a student learns to act as a teacher does, by gradient descent through time."""

from .loop import CloneResult, clone
from .recipe import TAUGHT_POLICY, train_with_teacher

__all__ = ["TAUGHT_POLICY", "CloneResult", "clone", "train_with_teacher"]
