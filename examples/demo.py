"""Index a video, read its timeline, and ask it three questions, all on this machine.

Usage: python -m examples.demo [VIDEO ...]
"""

import re
import sys
from pathlib import Path

from langchain_core.documents import Document

from examples.render_demo import render
from langchain_videochat import VideoTimelineStore
from langchain_videochat.utils.timecode import format_timecode

VIDEO = Path("demo/quick_recipes.mp4")
QUESTIONS = ["recipe PX-4471", "How much sugar do I add?", "How do I get more juice out of the fruit?"]


def main() -> None:
    """Index the demo video, and the videos named on the command line."""
    if not VIDEO.exists():
        print(f"Rendering {VIDEO}")
        render(VIDEO)

    store = VideoTimelineStore("demo/store")
    report = store.index([VIDEO, *sys.argv[1:]], profile="lite", on_error="skip")
    print(report)

    recipes = report.videos[0].video_id
    assert recipes
    print(f"\n== The timeline of {VIDEO}\n\n{store.timeline(recipes).to_prompt()}")

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
    """Print where a moment is, what of it has most words of the question, and its address for a player."""
    found = moment.metadata
    timeline = store.timeline(found["video_id"], found["start"], found["end"])
    line = max(timeline, key=lambda one: len(words(one.text) & words(question)))
    print(
        f"{found['title']}, {format_timecode(line.start)}-{format_timecode(line.end)}: {line.text}\n{found['citation']}"
    )


def words(text: str) -> set[str]:
    """Split a text into its words."""
    return set(re.findall(r"\w+", text.lower()))


if __name__ == "__main__":
    main()
