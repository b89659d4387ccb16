"""Describe the package by its README; an index has no files beside it for links and pictures to lead to."""

import pathlib
import re

import setuptools


def describe(readme: str) -> str:
    """Return a README in Markdown with the words of its links to files, and without the pictures among these."""
    of_file = r"\[([^\]]*)\]\((?!https?://|#)[^)]*\)"
    without_pictures = re.sub(rf"^(\[)?!{of_file}(?(1)\]\([^)]*\))\n+", "", readme, flags=re.MULTILINE)
    return re.sub(of_file, r"\1", without_pictures)


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    readme = (here / "README.md").read_text(encoding="utf-8")
    setuptools.setup(long_description=describe(readme), long_description_content_type="text/markdown")
