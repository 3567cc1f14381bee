"""Progress bars in seconds of video."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # Without ipywidgets, notebooks get text bars; importing this package should not warn about that.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


@contextmanager
def video_progress(title: str, duration: float, *, show: bool) -> Iterator[Callable[[float], None]]:
    """Show the progress through a video and the estimated time left.

    Args:
        title: Text before the bar.
        duration: Length of the video in seconds.
        show: Whether to display the bar.

    Yields:
        A function that moves the bar to a position, in seconds of video.
    """
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of video [{elapsed}<{remaining}]"
    with tqdm(desc=title, total=round(duration, 1), bar_format=layout, leave=False, disable=not show) as bar:

        def advance_to(position: float) -> None:
            bar.update(max(0.0, min(position, duration) - bar.n))

        yield advance_to
