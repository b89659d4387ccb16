"""What a run folder has come to, for comparing runs that were stopped with ones that never were."""

from pathlib import Path

from pisensory.runs import read_metrics
from pisensory.runs.checkpoint import read_checkpoint

TIMES = {"seconds", "rollout_seconds", "steps_per_second", "elapsed"}


def results(folder: Path) -> dict:
    """What a run has come to, file by file, but for times."""
    found: dict = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "metrics.csv":
            rows = read_metrics(path.parent)
            found[name] = [{column: value for column, value in row.items() if column not in TIMES} for row in rows]
        elif path.name == "checkpoint.npz":
            arrays, progress = read_checkpoint(path.parent)
            found[name] = {**{key: value.tobytes() for key, value in arrays.items()}, **progress, "elapsed": 0}
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
