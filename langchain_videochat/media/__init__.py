"""Media files: metadata, frames, audio, subtitles and clips. All decoding of this package happens here."""

from langchain_videochat.media.audio import AudioChunk, read_audio
from langchain_videochat.media.clips import cut_clip, thumbnail
from langchain_videochat.media.damage import Damage, OnDamage, log_damage, sum_damage
from langchain_videochat.media.folder_events import FileAdded, FolderListed, PathRemoved, watch_sources
from langchain_videochat.media.frames import FrameBatch, SamplingMode, sample_frames
from langchain_videochat.media.info import StreamInfo, VideoInfo
from langchain_videochat.media.isolation import isolated_media
from langchain_videochat.media.pictures import read_picture
from langchain_videochat.media.probe import media_duration, probe
from langchain_videochat.media.source_listing import iter_sources, list_sources
from langchain_videochat.media.sources import local_file, local_path, video_id
from langchain_videochat.media.subtitles import Cue, PictureCue, find_sidecars, read_subtitle_pictures, read_subtitles

__all__ = [
    "AudioChunk",
    "Cue",
    "Damage",
    "FileAdded",
    "FolderListed",
    "FrameBatch",
    "OnDamage",
    "PathRemoved",
    "PictureCue",
    "SamplingMode",
    "StreamInfo",
    "VideoInfo",
    "cut_clip",
    "find_sidecars",
    "isolated_media",
    "iter_sources",
    "list_sources",
    "local_file",
    "local_path",
    "log_damage",
    "media_duration",
    "probe",
    "read_audio",
    "read_picture",
    "read_subtitle_pictures",
    "read_subtitles",
    "sample_frames",
    "sum_damage",
    "thumbnail",
    "video_id",
    "watch_sources",
]
