"""The rendered API reference: every public name with all its sections, and nothing private."""

import html
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import langchain_videochat
from tests import api_docs

ROOT = Path(__file__).parents[2]
HEADINGS = {"Args": "Arguments", "Returns": "Returns", "Yields": "Yields", "Raises": "Raises", "Example": "Example"}

BAD_DOCSTRINGS = '''
def undocumented():
    pass


def count(sheep: int) -> int:
    """Count.

    Args:
        sheep: Which.
        goats: Which.

    Raises:
        ValueError: There are none.
        NoSheepError: There are none.

    Note:
        Sheep move.

    Example:
        Count them::

            count(sheep)
    """
    return sheep
'''


pytestmark = pytest.mark.slow  # rendering takes about ten seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render the pages in a subprocess, as pdoc executes the TYPE_CHECKING blocks of the modules."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "tests.api_docs", str(folder)]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert written.returncode == 0, written.stderr  # includes all warnings
    return folder


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, str]:
    """The HTML of each page by module."""
    found = {}
    for path in sorted(folder.rglob("*.html")):
        if path.name != "index.html":
            whole = path.read_text(encoding="utf-8")
            name = ".".join(path.relative_to(folder).with_suffix("").parts)
            found[name] = whole[whole.index("<main") : whole.index("</main>")]
    return found


@pytest.fixture(scope="module")
def entries(pages: dict[str, str]) -> dict[str, str]:
    """The text about each public name, by module and name."""
    found: dict[str, str] = {}
    for page, content in pages.items():
        parts = re.split(r'<(?:section|div) id="([^"]+)"[^>]*>', content)
        found |= {f"{page}.{name}": text_of(part) for name, part in zip(parts[1::2], parts[2::2], strict=True)}
    return found


def text_of(content: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", content)).split())


def test_public_packages_have_pages_and_internal_modules_have_none(pages: dict[str, str]) -> None:
    packages = {
        "app",
        "embed",
        "evaluation",
        "instruct",
        "mcp",
        "media",
        "perception",
        "server",
        "store",
        "text",
        "timeline",
        "training",
    }

    assert {name.split(".")[1] for name in pages if "." in name} == packages | {"errors"}
    assert "langchain_videochat.media.probe" not in pages  # the name is a function there


@pytest.mark.parametrize("name", langchain_videochat.__all__)
def test_public_name_is_listed_on_the_first_page_and_described_once(
    name: str, pages: dict[str, str], entries: dict[str, str]
) -> None:
    docstring = inspect.getdoc(getattr(langchain_videochat, name)) or ""

    (place,) = [one for one in entries if one.rpartition(".")[2] == name]

    assert f'.html#{name}">{place}</a>' in pages["langchain_videochat"]
    assert text_of(docstring.partition("\n")[0].replace("`", "")) in entries[place]
    for section in re.findall(r"^(\w+):$", docstring, re.MULTILINE):
        assert f"{HEADINGS[section]}:" in entries[place]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "store.VideoTimelineStore.search",
            ["k: int = 4", "Arguments: query: Search text.", "Returns: One Document", "Raises: InputError: The"],
        ),
        ("media.local_file", ["Yields: An absolute path"]),
        ("embed.VideoChatEmbedProcessor.__call__", ["Returns: input_ids and attention_mask, [B, L], padded"]),
        ("embed.VideoChatEmbed", ["class VideoChatEmbed(langchain_core.language_models.chat_models.BaseChatModel)"]),
        ("embed.VideoChatEmbed.num_frames", ["num_frames: int = 8", "Frames to sample per video"]),
        ("embed.VideoChatEmbed.allowed_hosts", ["allowed_hosts: list[str] Hosts in private networks"]),
        ("instruct.QAPair.q", ["q: str The question."]),
        ("timeline.Timeline.video_id", ["video_id: str Hash of the file's content"]),
        ("text.question_answering.VideoQuestion.start", ["Restricts the answer to moments that end after this time"]),
        ("timeline.MOMENT_SECONDS", ["MOMENT_SECONDS = 30.0 Maximum length of a moment in seconds"]),
    ],
)
def test_members_show_their_docstrings(name: str, parts: list[str], entries: dict[str, str]) -> None:
    entry = entries[f"langchain_videochat.{name}"]

    assert [part for part in parts if part not in entry] == []


def test_code_is_rendered_as_code(pages: dict[str, str]) -> None:
    assert '<pre><code>store = VideoTimelineStore("index")\n' in pages["langchain_videochat.store"]
    assert '<span class="gp">&gt;&gt;&gt; </span>' in pages["langchain_videochat.errors"]
    for page in pages.values():
        outside = re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
        assert re.findall(r"::|&gt;&gt;&gt;|```|doctest", outside) == []


def test_nothing_private_is_published(pages: dict[str, str], folder: Path) -> None:
    local_paths = [str(ROOT), sys.prefix, str(Path.home()) + "/", str(folder)]
    for page in pages.values():
        text = text_of(page)
        assert re.findall(r"0x[0-9a-fA-F]{4,}", text) == []
        assert re.findall(r"(?<!\w)_[a-zA-Z]\w*", text) == []
        assert [path for path in local_paths if path in text] == []


def test_links_resolve(folder: Path) -> None:
    files = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    anchors = {path: {"", *re.findall(r'\bid="([^"]+)"', content)} for path, content in files.items()}

    for path, content in files.items():
        for link in re.findall(r'href="(?!https?:|\$)([^"]+)"', content):
            page, _, anchor = link.partition("#")
            assert anchor in anchors[(path.parent / page).resolve() if page else path], link


def test_mistakes_in_docstrings_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad_docstrings.py").write_text(BAD_DOCSTRINGS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    page = api_docs.read(api_docs.load("bad_docstrings"))

    assert sorted(api_docs.find_problems(page, errors={"InputError"})) == [
        "bad_docstrings.count: '    Count them::' is not valid",
        "bad_docstrings.count: 'NoSheepError' is not valid",
        "bad_docstrings.count: 'Note' is not valid",
        "bad_docstrings.count: 'goats' is not valid",
        "bad_docstrings.undocumented has no docstring",
    ]
