"""Progress bars in seconds of video."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # A notebook without ipywidgets gets bars of text; that is no reason to greet it with a warning.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


@contextmanager
def video_progress(title: str, seconds: float, *, show: bool) -> Iterator[Callable[[float], None]]:
    """Show how far into a video some work has come, and how long it will still take.

    Args:
        title: Stands before the bar.
        seconds: Length of the video.
        show: Whether to show anything.

    Yields:
        A function to call with the seconds of the video that are done.
    """
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of video [{elapsed}<{remaining}]"
    with tqdm(desc=title, total=round(seconds, 1), bar_format=layout, leave=False, disable=not show) as bar:

        def reach(done: float) -> None:
            bar.update(max(0.0, min(done, seconds) - bar.n))

        yield reach
