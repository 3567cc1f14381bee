"""Intact files that are mutated: all containers that the package reads, at most two seconds and some 50 KB each."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.edit_lists import write_edit_list
from tests.fuzz.mutations import checkpoints, ebml, flv, generic, mp4, ogg, riff, text, transport_stream
from tests.fuzz.mutations.generic import Mutator
from tests.hostile_files import make_huge_gif, make_talk
from tests.media_files import run_ffmpeg
from tests.picture_subtitles import make_picture_video

TITLE = ("-metadata", "title=A talk")


@dataclass(frozen=True)
class Seed:
    """An intact file."""

    name: str
    """Its name, whose suffix is that of the format."""

    make: Callable[[Path], object]
    """Writes it."""

    mutate: Mutator = generic.mutate
    """Changes it in the ways of its format."""


def _second(*options: str) -> Callable[[Path], None]:
    """Return a function that writes a second of pictures and sound."""
    pictures, sound = "testsrc=s=96x64:r=25:d=1", "sine=f=440:r=44100:d=1"
    inputs = ("-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound)
    return partial(_encode, options=(*inputs, "-g", "10", *TITLE, *options))


def _encode(path: Path, options: tuple[str, ...]) -> None:
    run_ffmpeg(*options, f"file:{path}")


def _talk(*options: str) -> Callable[[Path], None]:
    """Return a function that writes two seconds of pictures, sound and subtitles."""
    return partial(_make_talk, options=(*TITLE, *options))


def _make_talk(path: Path, options: tuple[str, ...]) -> None:
    make_talk(path, *options)


def _with_edit_list(path: Path) -> None:
    make_talk(path)
    write_edit_list(path, [(500, 15_360), (500, 0)])


def _with_pictures(path: Path, codec: str) -> None:
    film = make_talk(path.with_name(f"film of {path.name}"), "-sn")
    events = [(0.2, "Two eggs"), (0.9, None), (1.1, "A whisk"), (1.8, None)]
    make_picture_video(film, path, events, codec=codec)


def _animated_webp(path: Path) -> None:
    from PIL import Image

    pictures = [Image.new("RGB", (64, 48), (40 * number, 80, 120)) for number in range(5)]
    pictures[0].save(path, "WEBP", save_all=True, append_images=pictures[1:], duration=200)


def _huge_gif(path: Path) -> None:
    make_huge_gif(path, 8192, 8192)


def _subtitles(path: Path) -> None:
    cues = [
        f"{n}\n00:00:0{n // 10},{n % 10}00 --> 00:00:0{n // 10},{n % 10}90\n<i>Line</i> {n}\n" for n in range(1, 20)
    ]
    source = path.with_suffix(".source.txt")
    source.write_text("\n".join(cues))
    run_ffmpeg("-f", "srt", "-i", f"file:{source}", f"file:{path}")


def _checkpoint(path: Path, *, is_zip: bool) -> None:
    import torch

    weights = {f"layer.{number}.weight": torch.ones(4, 4) for number in range(4)}
    torch.save({"model": weights, "epoch": 3}, path, _use_new_zipfile_serialization=is_zip)


def _safetensors(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({f"layer.{number}.weight": torch.ones(4, 4) for number in range(4)}, path)


H264, SMALL_PCM = ("-c:v", "libx264", "-bf", "2"), ("-c:a", "pcm_s16le", "-ar", "8000")
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov")

MEDIA = (
    Seed("faststart.mp4", _talk(), mp4.mutate),
    Seed("moov at end.mp4", _second(*H264, "-c:a", "aac"), mp4.mutate),
    Seed("fragments.mp4", _second(*H264, "-c:a", "aac", *FRAGMENTS), mp4.mutate),
    Seed("dash.mp4", _second(*H264, "-c:a", "aac", "-movflags", "dash+frag_every_frame"), mp4.mutate),
    Seed("hevc.mp4", _second("-c:v", "libx265", "-x265-params", "log-level=none", "-an"), mp4.mutate),
    Seed("av1.mp4", _second("-c:v", "libaom-av1", "-cpu-used", "8", "-an"), mp4.mutate),
    Seed("edit list.mov", _with_edit_list, mp4.mutate),
    Seed("png.mov", _second("-c:v", "png", *SMALL_PCM, "-r", "5"), mp4.mutate),
    Seed("jpeg.mov", _second("-c:v", "mjpeg", "-q:v", "9", *SMALL_PCM), mp4.mutate),
    Seed("sound.m4a", _second("-vn", "-c:a", "aac"), mp4.mutate),
    Seed("talk.mkv", _talk(), ebml.mutate),
    Seed("talk.webm", _talk(), ebml.mutate),
    Seed("vorbis.webm", _second("-c:v", "libvpx", "-c:a", "libvorbis"), ebml.mutate),
    Seed("live.mkv", _second(*H264, "-c:a", "aac", "-live", "1"), ebml.mutate),
    Seed("bluray.mkv", partial(_with_pictures, codec="copy"), ebml.mutate),
    Seed("dvd.mkv", partial(_with_pictures, codec="dvdsub"), ebml.mutate),
    Seed("talk.ts", _talk(), transport_stream.mutate),
    Seed("mpeg2.ts", _second("-c:v", "mpeg2video", "-c:a", "mp2"), transport_stream.mutate),
    Seed("broadcast.ts", partial(_with_pictures, codec="dvbsub"), transport_stream.mutate),
    Seed("talk.avi", _talk("-c:a", "libmp3lame"), riff.mutate),
    Seed("jpeg.avi", _second("-c:v", "mjpeg", "-q:v", "9", *SMALL_PCM), riff.mutate),
    Seed("animated.webp", _animated_webp, riff.mutate),
    Seed("sound.wav", _second("-vn", *SMALL_PCM), riff.mutate),
    Seed("talk.flv", _talk(), flv.mutate),
    Seed("sorenson.flv", _second("-c:v", "flv", "-c:a", "libmp3lame"), flv.mutate),
    Seed("theora.ogv", _second("-c:v", "libtheora", "-c:a", "libvorbis"), ogg.mutate),
    Seed("opus.ogg", _second("-vn", "-c:a", "libopus"), ogg.mutate),
    Seed("talk.mpg", _talk()),
    Seed("talk.wmv", _second("-c:v", "msmpeg4", "-c:a", "wmav2")),
    Seed("animated.gif", _talk("-r", "5")),
    Seed("huge.gif", _huge_gif),
    Seed("animated.apng", _second("-c:v", "apng", "-r", "5", "-an", "-f", "apng")),
    Seed("broadcast.mxf", _second("-c:v", "mpeg2video", "-c:a", "pcm_s16le", "-ar", "48000", "-t", "0.4")),
    Seed("real.rm", _second("-c:v", "rv10", "-c:a", "ac3", "-s", "176x144")),
    Seed("vp8.ivf", _second("-c:v", "libvpx", "-an")),
    Seed("sound.mp3", _second("-vn", "-c:a", "libmp3lame")),
    Seed("sound.flac", _second("-vn", "-c:a", "flac")),
    Seed("sound.aac", _second("-vn", "-c:a", "aac")),
    Seed("sound.aiff", _second("-vn", "-c:a", "pcm_s16be", "-ar", "8000")),
)
SIDECARS = tuple(Seed(f"talk{suffix}", _subtitles, text.mutate) for suffix in (".srt", ".vtt", ".ass"))
CHECKPOINTS = (
    Seed("model.pth", partial(_checkpoint, is_zip=True), checkpoints.mutate),
    Seed("old.pth", partial(_checkpoint, is_zip=False), checkpoints.mutate),
    Seed("model.safetensors", _safetensors, checkpoints.mutate),
)
FILM = MEDIA[1]
"""The video that sidecars belong to; it has no other subtitles."""


def make_seeds(folder: Path, jobs: int) -> None:
    """Write all seeds into a folder.

    Other processes write them, because a process that has encoded anything may not be forked.
    """
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for _ in pool.map(_make, [(seed, folder) for seed in (*MEDIA, *SIDECARS, *CHECKPOINTS)]):
            pass


def _make(task: tuple[Seed, Path]) -> None:
    seed, folder = task
    # In a folder of its own, because seeds are made at the same time from parts with the same names.
    with tempfile.TemporaryDirectory(dir=folder) as parts:
        path = Path(parts, seed.name)
        seed.make(path)
        path.rename(folder / seed.name)
