"""Episodes to look at: videos, and a window; what agents do, sense, and attend to (extra `viz`)."""

from .show import Watched, watch
from .write import write_video

__all__ = ["Watched", "watch", "write_video"]
