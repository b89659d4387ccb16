"""Teachers that see the simulator: one file each."""

from .base import Teacher
from .driver import Driver

TEACHERS: dict[str, type[Teacher]] = {teacher.kind: teacher for teacher in (Driver,)}

__all__ = ["TEACHERS", "Driver", "Teacher"]
