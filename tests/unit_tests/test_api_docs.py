"""The API documentation, as a reader finds it: every public name with its sections, and nothing that is private."""

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

MISTAKEN = '''
def grown():
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


pytestmark = pytest.mark.slow  # writing the pages takes about ten seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the pages in a process of its own: pdoc runs what stands under TYPE_CHECKING in the modules themselves."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "tests.api_docs", str(folder)]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert written.returncode == 0, written.stderr  # which tells all warnings
    return folder


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, str]:
    """What each page tells, as HTML, by the module."""
    found = {}
    for path in sorted(folder.rglob("*.html")):
        if path.name != "index.html":
            whole = path.read_text(encoding="utf-8")
            name = ".".join(path.relative_to(folder).with_suffix("").parts)
            found[name] = whole[whole.index("<main") : whole.index("</main>")]
    return found


@pytest.fixture(scope="module")
def entries(pages: dict[str, str]) -> dict[str, str]:
    """What is told of each name, as text, by page and name."""
    found: dict[str, str] = {}
    for page, content in pages.items():
        parts = re.split(r'<(?:section|div) id="([^"]+)"[^>]*>', content)
        found |= {f"{page}.{name}": text_of(part) for name, part in zip(parts[1::2], parts[2::2], strict=True)}
    return found


def text_of(content: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", content)).split())


def test_rooms_have_pages_and_what_is_internal_has_none(pages: dict[str, str]) -> None:
    rooms = {"app", "embed", "evaluation", "instruct", "media", "perception", "store", "text", "timeline", "training"}

    assert {name.split(".")[1] for name in pages if "." in name} == rooms | {"errors"}
    assert "langchain_videochat.media.probe" not in pages  # a function has the name of its module


@pytest.mark.parametrize("name", langchain_videochat.__all__)
def test_a_public_name_is_listed_first_and_described_once(
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
            ["k: int = 4", "Arguments: query: What to look for.", "Returns: One Document", "Raises: InputError: The"],
        ),
        ("media.local_file", ["Yields: An absolute path"]),
        ("embed.VideoChatEmbedProcessor.__call__", ["Returns: input_ids and attention_mask, [B, L], padded"]),
        ("embed.VideoChatEmbed", ["class VideoChatEmbed(langchain_core.language_models.chat_models.BaseChatModel)"]),
        ("embed.VideoChatEmbed.num_frames", ["num_frames: int = 8", "Frames that are looked at of each video"]),
        ("embed.VideoChatEmbed.allowed_hosts", ["allowed_hosts: list[str] Hosts of a private network"]),
        ("instruct.Pair.q", ["q: str What is asked."]),
        ("timeline.Timeline.video_id", ["video_id: str Hash of the file's content"]),
        ("text.question_answering.VideoQuestion.start", ["Only what holds at or after this time, in seconds"]),
        ("timeline.MOMENT_SECONDS", ["MOMENT_SECONDS = 30.0 The longest moment, in seconds"]),
    ],
)
def test_members_tell_what_their_docstrings_say(name: str, parts: list[str], entries: dict[str, str]) -> None:
    told = entries[f"langchain_videochat.{name}"]

    assert [part for part in parts if part not in told] == []


def test_code_is_shown_as_code(pages: dict[str, str]) -> None:
    assert '<pre><code>store = VideoTimelineStore("index")\n' in pages["langchain_videochat.store"]
    assert '<span class="gp">&gt;&gt;&gt; </span>' in pages["langchain_videochat.errors"]
    for page in pages.values():
        outside = re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
        assert re.findall(r"::|&gt;&gt;&gt;|```|doctest", outside) == []


def test_nothing_private_is_shown(pages: dict[str, str], folder: Path) -> None:
    of_this_machine = [str(ROOT), sys.prefix, str(Path.home()) + "/", str(folder)]
    for page in pages.values():
        told = text_of(page)
        assert re.findall(r"0x[0-9a-fA-F]{4,}", told) == []
        assert re.findall(r"(?<!\w)_[a-zA-Z]\w*", told) == []
        assert [place for place in of_this_machine if place in told] == []


def test_links_lead_somewhere(folder: Path) -> None:
    files = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    places = {path: {"", *re.findall(r'\bid="([^"]+)"', content)} for path, content in files.items()}

    for path, content in files.items():
        for link in re.findall(r'href="(?!https?:|\$)([^"]+)"', content):
            page, _, place = link.partition("#")
            assert place in places[(path.parent / page).resolve() if page else path], link


def test_mistakes_in_docstrings_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mistaken_docs.py").write_text(MISTAKEN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    page = api_docs.read(api_docs.load("mistaken_docs"))

    assert sorted(api_docs.find_problems(page, errors={"InputError"})) == [
        "mistaken_docs.count: '    Count them::' cannot be understood",
        "mistaken_docs.count: 'NoSheepError' cannot be understood",
        "mistaken_docs.count: 'Note' cannot be understood",
        "mistaken_docs.count: 'goats' cannot be understood",
        "mistaken_docs.grown has no docstring",
    ]
