"""Teachers that see the simulator: one file each."""

from .base import Teacher
from .driver import Driver
from .player import Player, Returner

TEACHERS: dict[str, type[Teacher]] = {teacher.kind: teacher for teacher in (Driver, Player, Returner)}

__all__ = ["TEACHERS", "Driver", "Player", "Returner", "Teacher"]
