"""Subtitles of a video: text and picture tracks in the file, and subtitle files beside it."""

from langchain_videochat.media.subtitles.cues import Cue
from langchain_videochat.media.subtitles.reader import read_subtitles
from langchain_videochat.media.subtitles.sidecars import find_sidecars
from langchain_videochat.media.subtitles.subtitle_pictures import PictureCue, read_subtitle_pictures

__all__ = ["Cue", "PictureCue", "find_sidecars", "read_subtitle_pictures", "read_subtitles"]
