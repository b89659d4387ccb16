"""A window that shows pictures at a steady rate and tells which keys were pressed (extra `viz`, pygame)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import DisplayError, import_extra

CLOSED = "closed"


class Window:
    """A window of pygame's, opened with the first picture.

    Args:
        frames_per_second: at most so many pictures are shown in a second.
        title: of the window.

    Raises:
        MissingExtraError: if pygame is not installed.
        DisplayError: if there is no display to open a window on.
    """

    def __init__(self, frames_per_second: float, title: str = "pisensory") -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        self._pygame = import_extra("pygame", "viz")
        self._frames_per_second = frames_per_second
        self._screen: Any = None
        try:
            self._pygame.display.init()
        except self._pygame.error as error:
            raise _no_display(str(error)) from None
        # Without a display SDL may take one that nobody sees.
        if self._pygame.display.get_driver() == "offscreen" and os.environ.get("SDL_VIDEODRIVER") != "offscreen":
            self.close()
            raise _no_display("there is no display")
        self._pygame.display.set_caption(title)
        self._clock = self._pygame.time.Clock()

    def show(self, picture: np.ndarray) -> None:
        """Show a picture (height, width, 3), uint8, once the last one has stood its time."""
        height, width, _ = picture.shape
        if self._screen is None or self._screen.get_size() != (width, height):
            try:
                self._screen = self._pygame.display.set_mode((width, height))
            except self._pygame.error as error:
                raise _no_display(str(error)) from None
        surface = self._pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        self._screen.blit(surface, (0, 0))
        self._pygame.event.pump()
        self._pygame.display.flip()
        self._clock.tick(self._frames_per_second)

    def pressed(self) -> list[str]:
        """Return the names of the keys pressed since this was last asked, such as "space"; CLOSED if the window was."""
        pygame, keys = self._pygame, []
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                keys.append(CLOSED)
            elif event.type == pygame.KEYDOWN:
                keys.append(pygame.key.name(event.key))
        return keys

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()


def _no_display(reason: str) -> DisplayError:
    return DisplayError(
        f"no window can be opened ({reason}): run it where there is a screen, or write a file with pisensory video or "
        "render_mode='rgb_array'"
    )
