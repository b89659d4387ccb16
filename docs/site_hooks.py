"""What mkdocs adds to the pages in docs: README, changelog, reference, and the files that pages link to.

The README is the first page. Links that lead out of docs are made to lead to copies in the site; one that leads nowhere
is left as it is, and then `mkdocs build --strict` fails. The reference has a section for each name of
`pisensory.__all__`, by the module that it comes from, so that a new name is there without being listed.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

import pisensory

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FROM_ROOT = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
TITLES = {
    "policies": "Policies and agents", "layers": "Policies and agents", "tasks": "Tasks and perturbations",
    "train": "Training and cloning", "cloning": "Training and cloning", "runs": "Training and cloning",
    "evaluate": "Scores", "rollout": "Scores", "executors": "Scores", "files": "Files and models",
    "models": "Files and models", "errors": "Errors",
}  # fmt: skip
# A link or picture of Markdown: what leads to it, with an anchor or a title behind.
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)")


def reference_pages() -> dict[str, tuple[str, list[str]]]:
    """Return the pages of the reference: address -> title, and the public names on it."""
    pages: dict[str, tuple[str, list[str]]] = {}
    for name in pisensory.__all__:
        module = getattr(pisensory, name).__module__.split(".")[1]
        title = TITLES.get(module, module.replace("_", " ").capitalize())
        address = f"reference/{title.lower().replace(' ', '-')}.md"
        pages.setdefault(address, (title, []))[1].append(name)
    return dict(sorted(pages.items()))


def resolve(target: str, folder: Path) -> tuple[str, Path] | None:
    """Return where in the site a relative link leads, and the file it is of; None if there is no such file."""
    path = (folder / target).resolve()
    if not path.exists() or not path.is_relative_to(ROOT):
        return None
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix(), path
    of_root = {source: page for page, source in FROM_ROOT.items()}
    name = path.relative_to(ROOT).as_posix()
    return of_root.get(name, f"source/{name}"), path


def on_config(config: Any) -> Any:
    """Take from the navigation what is not there, and put into it the reference and pages that it does not name."""
    named = re.findall(r"[\w/-]+\.md", str(config.nav))
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | set(FROM_ROOT)
    reference = [{title: address} for address, (title, _) in reference_pages().items()]
    more = sorted(there - set(named))
    nav = []
    for entry in config.nav:
        ((title, pages),) = entry.items()
        if isinstance(pages, list):
            pages = reference if title == "Reference" else [page for page in pages if page in there]
        nav += [{title: pages}] if pages else []
    config.nav = nav + ([{"More": more}] if more else [])
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages and files that are not in docs."""
    for page, source in FROM_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for page, (title, names) in reference_pages().items():
        sections = "\n\n".join(f"::: pisensory.{name}" for name in names)
        files.append(File.generated(config, page, content=f"# {title}\n\n{sections}\n"))
    for file in list(files.documentation_pages()):
        for target in LINK.findall(file.content_string):
            found = resolve(target, _folder(file.src_uri))
            if found and found[0].startswith("source/") and files.get_file_from_path(found[0]) is None:
                files.append(File.generated(config, found[0], abs_src_path=str(found[1])))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where their files are in the site."""
    here = posixpath.dirname(page.file.src_uri) or "."

    def lead(link: re.Match[str]) -> str:
        found = resolve(link[1], _folder(page.file.src_uri))
        return posixpath.relpath(found[0], here) if found else link[1]

    return LINK.sub(lead, markdown)


def _folder(page: str) -> Path:
    """Return the folder that the links of a page start from."""
    return ROOT if page in FROM_ROOT else (DOCS / page).parent
