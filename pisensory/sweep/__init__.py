"""Many runs of the command line: a grid of settings and seeds, its table, and what it takes to go on with it."""

from .jobs import Job, Outcome, run_jobs
from .plan import Plan, Row, read_plan
from .table import Mean, csv_text, mean_over_seeds, table_text

__all__ = [
    "Job", "Mean", "Outcome", "Plan", "Row", "csv_text", "mean_over_seeds", "read_plan", "run_jobs", "table_text",
]  # fmt: skip
