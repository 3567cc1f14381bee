"""Progress bars in seconds of video."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # Without ipywidgets, notebooks get text bars; importing this package should not warn about that.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


@contextmanager
def video_progress(title: str, duration: float, *, show: bool, line: int = 0) -> Iterator[Callable[[float], None]]:
    """Show the progress through a video and the estimated time left.

    Args:
        title: Text before the bar.
        duration: Length of the video in seconds.
        show: Whether to display the bar.
        line: The line of the bar, from 0, if there are several.

    Yields:
        A function that moves the bar to a position, in seconds of video.
    """
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of video [{elapsed}<{remaining}]"
    with tqdm(
        desc=title, total=round(duration, 1), bar_format=layout, leave=False, disable=not show, position=line
    ) as bar:

        def advance_to(position: float) -> None:
            bar.update(max(0.0, min(position, duration) - bar.n))

        yield advance_to


@contextmanager
def total_progress(*, show: bool) -> Iterator[Callable[[float], None]]:
    """Show the number of finished videos, and how many times as fast as playing they are processed.

    Args:
        show: Whether to display it.

    Yields:
        A function that counts a video and its length in seconds.
    """
    begin, seconds = time.monotonic(), 0.0
    layout = "finished videos: {n:.0f}{postfix} [{elapsed}]"
    with tqdm(bar_format=layout, leave=False, disable=not show, position=0) as bar:

        def count(duration: float) -> None:
            nonlocal seconds
            seconds += duration
            speed = seconds / max(time.monotonic() - begin, 0.001)
            bar.set_postfix_str(f"{seconds / 3600:.1f} h of video, {speed:.1f} times playing", refresh=False)
            bar.update()

        yield count
