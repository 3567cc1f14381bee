"""Commands for the skill for command-line agents: skill install, skill show."""

from dataclasses import asdict, dataclass
from difflib import unified_diff
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from langchain_videochat.cli.options import JsonOption
from langchain_videochat.cli.output import errors, print_result
from langchain_videochat.errors import InputError

SKILL = Path(__file__).parent / "skill_files"
"""SKILL.md and the scripts that it names, in the format of agentskills.io."""

NAME = "videochat"
"""The skill's name, and the name of its folder."""


class Client(StrEnum):
    """Agents by the folder that they read skills from."""

    CLAUDE = "claude"
    OTHERS = "others"


FOLDERS = {Client.CLAUDE: Path(".claude", "skills"), Client.OTHERS: Path(".agents", "skills")}
"""Folders of skills, in a project or in the home folder."""


@dataclass(frozen=True)
class SkillFile:
    """A file of the skill, and where it is installed."""

    path: Path
    status: str
    """"new", "unchanged", or "changed" if another file has its name."""

    @classmethod
    def of(cls, path: Path, text: str) -> "SkillFile":
        """Compare an installed file with what it should contain."""
        if not path.exists():
            return cls(path, "new")
        return cls(path, "unchanged" if _read(path) == text else "changed")


def install(
    client: Annotated[
        list[Client] | None,
        typer.Option(
            help="*claude*: .claude/skills, for Claude Code; *others*: .agents/skills, for Codex, Gemini CLI, Cursor, "
            "GitHub Copilot and others; repeatable. Default: both."
        ),
    ] = None,
    user: Annotated[
        bool, typer.Option("--user", help="Install for all projects, in the home folder, not in the current folder.")
    ] = False,
    assume_yes: Annotated[bool, typer.Option("--yes", help="Replace files that differ.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Install the skill that teaches command-line agents when and how to use videochat.

    Prints the files that are written. Files that differ from those of this version, because you or another version have
    changed them, are shown and kept unless you pass --yes.

    Example: `videochat skill install --client claude --user`
    """
    root = Path.home() if user else Path.cwd()
    contents = {
        root / FOLDERS[one] / NAME / name: text
        for one in client or tuple(Client)
        for name, text in _read_skill().items()
    }
    files = [SkillFile.of(path, text) for path, text in contents.items()]
    changed = [file for file in files if file.status == "changed"]
    if changed and not assume_yes:
        for file in changed:
            _show_difference(file.path, contents[file.path])
        problem = f"{len(changed)} of the files differ from those of this version, so nothing was written"
        raise InputError(changed[0].path, problem, "Pass --yes to replace them")
    for file in files:
        if file.status != "unchanged":
            _write(file.path, contents[file.path])
    lines = "\n".join(f"{file.status:9}  {file.path}" for file in files)
    print_result([asdict(file) for file in files], f"{lines}\nRestart your agent to use the skill.", as_json)


def show(as_json: JsonOption = False) -> None:
    """Print the skill, to read it without installing it.

    Example: `videochat skill show`
    """
    files = _read_skill()
    print_result({str(name): text for name, text in files.items()}, files[Path("SKILL.md")].rstrip(), as_json)


def _read_skill() -> dict[Path, str]:
    """Return the text of each file of the skill, by its path in the skill's folder."""
    files = sorted(path for path in SKILL.rglob("*") if path.is_file())
    return {path.relative_to(SKILL): _read(path) for path in files}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _show_difference(path: Path, text: str) -> None:
    lines = unified_diff(_read(path).splitlines(), text.splitlines(), str(path), "this version", lineterm="")
    errors.print(escape("\n".join(lines)), highlight=False, soft_wrap=True)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror})", "Choose another folder, or --user") from error
