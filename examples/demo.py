"""Index a video by what it shows and says, print its timeline, and answer three questions, all on this machine.

Usage: python -m examples.demo [VIDEO ...]
"""

import re
import sys
from pathlib import Path

import yaml
from langchain_core.documents import Document

from examples.render_demo import render
from examples.whisper_base import whisper_folder
from langchain_videochat import VideoTimelineStore
from langchain_videochat.utils.timecode import format_timecode

VIDEO = Path("demo/quick_recipes.mp4")
PROFILE = Path("demo/profile.yaml")
QUESTIONS = ["recipe PX-4471", "When is the sugar added?", "How do I get more juice out of the fruit?"]


def main() -> None:
    """Index the demo video and those on the command line, and search them."""
    if not VIDEO.exists():
        print(f"Rendering {VIDEO}")
        render(VIDEO)

    # Like the profile `talk`, with weights that are installed rather than downloaded.
    speech = {"speech": {"model": str(whisper_folder())}}
    PROFILE.write_text(yaml.safe_dump(["subtitles", "screen_text", "scenes", speech]), encoding="utf-8")

    store = VideoTimelineStore("demo/store")
    report = store.index([VIDEO, *sys.argv[1:]], profile=PROFILE, on_error="skip")
    print(report)

    recipes = report.videos[0].video_id
    assert recipes
    print(f"\n== Timeline of {VIDEO}\n\n{store.timeline(recipes).to_prompt()}")

    for question in QUESTIONS:
        print(f"\n== {question}\n")
        for moment in store.search(question, k=1, video_id=recipes):
            print_answer(store, moment, question)

    if sys.argv[1:]:
        question = "What is this about?"
        print(f"\n== {question} (the first minute of {len(store.videos())} videos)\n")
        for moment in store.search(question, k=5, end=60):
            print_answer(store, moment, question)


def print_answer(store: VideoTimelineStore, moment: Document, question: str) -> None:
    """Print the line of a moment that shares most words with the question, and the moment's citation."""
    metadata = moment.metadata
    timeline = store.timeline(metadata["video_id"], metadata["start"], metadata["end"])
    line = max(timeline, key=lambda one: len(words(one.text) & words(question)))
    times = f"{format_timecode(line.start)}-{format_timecode(line.end)}"
    print(f"{metadata['title']}, {times}: {line.text}\n{metadata['citation']}")


def words(text: str) -> set[str]:
    """Return the words of a text."""
    return set(re.findall(r"\w+", text.lower()))


if __name__ == "__main__":
    main()
