"""What turns this folder into the site: reference pages out of the code, and links that leave the folder.

Pages stay plain markdown that a git host shows as it is. In the pages of `reference/` a line
`<!-- members: DBOS dbos.api.communication.Communication -->` stands for the public methods of that class, and
`<!-- table: … -->` for a table made by `tables.py`. A link to a file outside of this folder leads to a page made of
that file.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

import tables
from definitions import public_members
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OUTSIDE = "repository"
"""Where the site has the pages that are made of files outside of `docs/`."""
ALWAYS = ("CHANGELOG.md", "CONTRIBUTING.md")
logger = logging.getLogger("mkdocs.plugins.dbos")

_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_MACRO = re.compile(r"^<!-- (members|table): (.+?) -->$", re.MULTILINE)
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_OWNERS = {
    "DBOS": "dbos.api.app.DBOS",
    "DBOSClient": "dbos.api.client.DBOSClient",
    "Queue": "dbos.api.queues.Queue",
}
TABLES: Mapping[str, Callable[..., str]] = {
    "fields": tables.fields_of,
    "commands": tables.commands,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside of `docs/` that a page links to."""
    wanted = {ROOT / name for name in ALWAYS}
    for file in files.documentation_pages():
        source = Path(file.abs_src_path or "")
        wanted |= {target for target in _targets(source) if not target.is_relative_to(DOCS)}
    done: set[Path] = set()
    while wanted - done:
        target = (wanted - done).pop()
        done.add(target)
        if not target.exists():
            logger.warning("A page links to %s, which does not exist", target.relative_to(ROOT))
            continue
        content = _content(target)
        files.append(File.generated(config, _page_of(target), content=content))
        base = target if target.is_dir() else target.parent
        wanted |= {each for each in _links(content, base) if not each.is_relative_to(DOCS) and each.exists()}
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """The page with its macros filled in and its links turned to pages of the site."""
    uri = page.file.src_uri
    filled = _MACRO.sub(lambda macro: _expand(macro[1], macro[2]), markdown)
    return "".join(
        part if part.startswith("```") else _LINK.sub(lambda link: _relink(link, uri), part)
        for part in _FENCE.split(filled)
    )


def _expand(kind: str, arguments: str) -> str:
    name, *rest = arguments.split()
    if kind == "table":
        return TABLES[name](*rest)
    (definition,) = rest
    # What a metaclass defines is read on the class, and found by no tool there.
    owner = definition if definition.rpartition(".")[2].startswith("_") else _OWNERS[name]
    return "\n".join(_directive(name, owner, member) for member in public_members(definition))


def _directive(name: str, owner: str, member: str) -> str:
    options = {"heading": f"{name}.{member}", "toc_label": member}
    lines = "\n".join(f"      {key}: {value}" for key, value in options.items())
    return f"::: {owner}.{member}\n    options:\n{lines}\n"


def _targets(source: Path) -> set[Path]:
    return _links(source.read_text(encoding="utf-8"), source.parent)


def _links(markdown: str, base: Path) -> set[Path]:
    text = "".join(part for part in _FENCE.split(markdown) if not part.startswith("```"))
    return {
        Path(os.path.normpath(base / unquote(path)))
        for _, path, _, _ in _LINK.findall(text)
        if "://" not in path and not path.startswith("mailto:")
    }


def _page_of(target: Path) -> str:
    relative = target.relative_to(ROOT).as_posix()
    return f"{OUTSIDE}/{relative}" if relative.endswith(".md") else f"{OUTSIDE}/{relative}.md"


def _content(target: Path) -> str:
    """A file as a page: markdown as it is, anything else in a block; a folder as its README and its files."""
    relative = target.relative_to(ROOT).as_posix()
    if target.suffix == ".md":
        return target.read_text(encoding="utf-8")
    if target.is_file():
        return f"# {relative}\n\n{_block(target)}"
    readme = target / "README.md"
    opening = readme.read_text(encoding="utf-8") if readme.exists() else f"# {relative}\n"
    shown = sorted(each for each in target.iterdir() if each.suffix in {".py", ".yaml"})
    return opening + "".join(f"\n## `{each.name}`\n\n{_block(each)}" for each in shown)


def _block(file: Path) -> str:
    return f"```{file.suffix.lstrip('.')}\n{file.read_text(encoding='utf-8').rstrip()}\n```\n"


def _relink(link: re.Match[str], uri: str) -> str:
    """The link as it leads from one page of the site to another."""
    opening, path, anchor, closing = link.groups()
    if "://" in path or path.startswith("mailto:"):
        return link[0]
    is_outside = uri.startswith(f"{OUTSIDE}/")
    base = _source_folder(uri) if is_outside else DOCS / Path(uri).parent
    target = Path(os.path.normpath(base / unquote(path)))
    if not is_outside and target.is_relative_to(DOCS):
        return link[0]
    wanted = target.relative_to(DOCS).as_posix() if target.is_relative_to(DOCS) else _page_of(target)
    relative = os.path.relpath(wanted, Path(uri).parent).replace(os.sep, "/")
    return f"{opening}{relative}{anchor or ''}{closing}"


def _source_folder(uri: str) -> Path:
    """The folder in the repository that links of a page made of one of its files start from."""
    source = ROOT / uri.removeprefix(f"{OUTSIDE}/")
    folder = source.with_suffix("")
    return folder if not source.exists() and folder.is_dir() else source.parent
