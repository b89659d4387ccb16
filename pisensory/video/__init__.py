"""Videos of episodes: what agents do, what they sense, and what they attend to (extra `viz`)."""

from .write import write_video

__all__ = ["write_video"]
