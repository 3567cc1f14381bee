"""The clock: from the timestamps of a file to the times that a player shows.

All times of this package are seconds from the moment at which the earliest picture or sound of the file is presented,
edit lists applied. Players and the ffmpeg command count in the same way, so a citation such as `talk.mp4#t=5` plays the
intended moment. Sidecar subtitles are written for that clock and used as they are.

Timestamps are not always a clock. Recordings of broadcasts are joined from parts whose timestamps restart or jump, and
a flipped bit moves a packet by hours. *Stray* packets, whose timestamps leave those of their stream and return, are not
presented. What remains is divided into *sections* with continuous timestamps, and each section is placed after the one
before it, as ffmpeg does.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import itemgetter

import av
import numpy as np
from av.container import InputContainer
from av.format import Flags
from numpy.typing import NDArray

from langchain_videochat.media.damage import Damage
from langchain_videochat.media.packets import NO_TIMESTAMP, StreamPackets

MAX_JUMP_SECONDS = 10.0
"""Jump that counts as a restart of a broadcast's timestamps, as in ffmpeg (`-dts_delta_threshold`)."""

MAX_REVERSAL_SECONDS = 0.1
"""Step back of a stream's decoding timestamps that counts as a restart, as in ffmpeg."""

MAX_DELAY_SECONDS = 2.0
"""Longest time between decoding and presenting a frame of an MPEG stream; 0.6 s are common."""

MAX_REORDERING = 16
"""Maximum number of frames that a decoder holds back to reorder them, in H.264 and HEVC."""

MAX_GAP_SECONDS = 24 * 3600.0
"""Maximum length of a gap, and of all gaps together, in a file whose format has its own clock; ffmpeg allows 30
hours."""

MAX_PACKET_SECONDS = 600.0
"""Maximum duration of a packet; a longer one is damage."""

MAX_STRAY_PACKETS = 1000
"""Packets between a jump and its reversal that are damage in a format with a clock of its own."""

MAX_LOOSE_PACKETS = 5
"""The same in a format without, in which more packets are an inserted part; also packets at the beginning or end of a
stream that do not follow from the others."""

MAX_JUMPS = 1000
"""Maximum number of jumps of a stream that are checked for a reversal: a hostile file may consist of jumps."""

ORDERED_FORMATS = ("mov", "matroska")
"""Formats whose decoding timestamps may be missing or step back although the clock continues."""

HEADER_TOLERANCE = 1.05
"""How much longer a file may be than its header declares."""


@dataclass(frozen=True)
class ClockRules:
    """Which timestamps of a file are believed."""

    has_clock: bool
    """Whether the format has a clock of its own; in MPEG streams, jumps are joints between parts."""

    max_reversal: float
    """Seconds by which the decoding timestamps of a stream may step back."""

    last_time: float
    """Timestamp in seconds after which the header rules out that anything is presented."""

    @classmethod
    def of(cls, container: InputContainer) -> "ClockRules":
        """Return the rules of a file's format."""
        is_ordered = any(name in ORDERED_FORMATS for name in container.format.name.split(","))
        last_time = math.inf
        if is_ordered and container.duration:
            last_time = ((container.start_time or 0) + container.duration) / av.time_base * HEADER_TOLERANCE
        return cls(
            has_clock=not Flags(container.format.flags) & Flags.ts_discont,
            max_reversal=MAX_JUMP_SECONDS if is_ordered else MAX_REVERSAL_SECONDS,
            last_time=last_time + MAX_JUMP_SECONDS,
        )

    @property
    def max_jump(self) -> float:
        """Seconds by which timestamps may jump ahead within a section."""
        return MAX_GAP_SECONDS if self.has_clock else MAX_JUMP_SECONDS

    @property
    def max_stray(self) -> int:
        """Number of packets between a jump and its reversal that are damage."""
        return MAX_STRAY_PACKETS if self.has_clock else MAX_LOOSE_PACKETS

    def follows(self, time: float, earlier: float) -> bool:
        """Return whether a packet of a stream can be in the same section as the one before it (times in seconds)."""
        step = time - earlier
        return -self.max_reversal <= step <= (self.max_jump if time <= self.last_time else MAX_JUMP_SECONDS)


@dataclass
class Section:
    """Packets with continuous timestamps."""

    start: float
    """Earliest timestamp in seconds."""

    end: float
    """End of the last packet in seconds."""

    first: dict[int, float] = field(default_factory=dict)
    """First decoding timestamp of each track in seconds."""

    latest: dict[int, float] = field(default_factory=dict)
    """Latest decoding timestamp of each track in seconds."""

    ends: dict[int, float] = field(default_factory=dict)
    """End of the latest packet of each track in seconds."""

    offset: float = 0.0
    """Seconds to add to its timestamps to join it to the sections before."""

    def add(self, track: int, time: float, end: float) -> None:
        """Add a packet."""
        self.start, self.end = min(self.start, time), max(self.end, end)
        self.first.setdefault(track, time)
        self.latest[track], self.ends[track] = time, end

    def distance(self, earlier: "Section") -> float:
        """Return the seconds to add to its timestamps so that no track overlaps itself in an earlier section."""
        shared = [earlier.ends[track] - self.first[track] for track in self.first if track in earlier.ends]
        return max(shared, default=earlier.end - self.start)

    def accepts(self, track: int, time: float, rules: ClockRules) -> bool:
        """Return whether a packet can belong to the section."""
        if track in self.latest:
            return rules.follows(time, self.latest[track])
        return self.start - MAX_JUMP_SECONDS <= time <= self.end + rules.max_jump


@dataclass(frozen=True, eq=False)
class Clock:
    """The sections of a file."""

    sections: list[Section]

    numbers: Mapping[int, NDArray[np.intp]]
    """Section number of each packet of each track; -1 for packets that are not presented."""

    @classmethod
    def of(cls, tracks: Mapping[int, StreamPackets], rules: ClockRules) -> "Clock":
        """Divide a file into sections.

        Args:
            tracks: The packets of all pictures and sound.
            rules: The rules of the file's format.
        """
        numbers = {track: np.where(packets.presented, 0, -1) for track, packets in tracks.items()}
        if _is_continuous(tracks.values(), rules):
            return cls([Section(0.0, 0.0)], numbers)
        for track, packets in tracks.items():
            presented = np.flatnonzero(packets.presented)
            numbers[track][presented[_find_strays(packets.decoding_times[presented], rules)]] = -1
        sections = _divide(tracks, numbers, rules)
        for earlier, later in pairwise(sections):
            later.offset = earlier.offset + later.distance(earlier)
        return cls(sections, numbers)

    @property
    def is_continuous(self) -> bool:
        """Whether the timestamps are used as they are."""
        return len(self.sections) == 1

    def times(self, track: int, packets: StreamPackets) -> NDArray[np.float64]:
        """Return the time of each packet in seconds; NaN if it is not presented."""
        offsets = np.array([*(section.offset for section in self.sections), np.nan])
        return np.asarray(packets.seconds(packets.pts) + offsets[self.numbers[track]])

    def damage(self) -> Iterator[Damage]:
        """Report the joints between sections."""
        joints = len(self.sections) - 1
        if joints:
            times = "once" if joints == 1 else f"{joints} times"
            yield Damage("clock", f"the timestamps restart or jump {times}; the parts were joined")


def repair_timestamps(packets: StreamPackets, rules: ClockRules) -> StreamPackets:
    """Replace presentation timestamps that are far from the decoding timestamps of their packets.

    Where two parts of an MPEG stream meet, the last frame of one can have the timestamp of the next. If all packets of
    a stream are presented long before or after they are decoded, the decoding timestamps are wrong.
    """
    known = packets.presented & (packets.dts != NO_TIMESTAMP)
    delays = np.where(known, packets.pts - packets.dts, 0)
    max_delay = _max_delay(packets, rules) / float(packets.time_base)
    if not (np.abs(delays) > max_delay).any():
        return packets
    delay = np.int64(np.median(delays[known]))
    dts = np.where(known, packets.dts + delay, packets.dts) if abs(delay) > max_delay else packets.dts
    is_wrong = known & (np.abs(delays - delay) > max_delay)
    return replace(packets, pts=np.where(is_wrong, packets.dts + delay, packets.pts), dts=dts)


def _max_delay(packets: StreamPackets, rules: ClockRules) -> float:
    """Return the longest time in seconds between decoding and presenting a packet."""
    if not rules.has_clock:
        return MAX_DELAY_SECONDS
    # A slide show may have minutes between two frames, and decode some of them early.
    steps = np.abs(np.diff(packets.decoding_times[packets.presented]))
    return max(MAX_JUMP_SECONDS, min(MAX_REORDERING * float(np.median(steps)), MAX_GAP_SECONDS) if len(steps) else 0.0)


def _is_continuous(tracks: Iterable[StreamPackets], rules: ClockRules) -> bool:
    starts = []
    for packets in tracks:
        times = packets.decoding_times[packets.presented]
        steps = np.diff(times)
        if (steps > MAX_JUMP_SECONDS).any() or (steps < -rules.max_reversal).any():
            return False
        starts += times[:1].tolist()
    return rules.has_clock or not starts or max(starts) - min(starts) <= MAX_JUMP_SECONDS


def _find_strays(times: NDArray[np.float64], rules: ClockRules) -> NDArray[np.bool_]:
    """Find the packets whose timestamps leave those of their stream, and return after a few packets."""
    strays = np.zeros(len(times), dtype=bool)
    steps = np.diff(times)
    jumps = np.flatnonzero((steps > MAX_JUMP_SECONDS) | (steps < -rules.max_reversal)) + 1
    for number, jump in enumerate(jumps[:MAX_JUMPS].tolist()):
        if not strays[jump]:
            # A return is a jump, too: timestamps that restart also reach the earlier ones again, in small steps.
            later = jumps[number + 1 :]
            later = later[later <= jump + rules.max_stray]
            distances = times[later] - times[jump - 1]
            returns = later[(distances >= -rules.max_reversal) & (distances <= MAX_JUMP_SECONDS)]
            if len(returns):
                strays[jump : returns[0]] = True
    # At the beginning and at the end, there is nothing to return to.
    kept = np.flatnonzero(~strays)
    breaks = [n for n, (one, other) in enumerate(pairwise(times[kept].tolist()), 1) if not rules.follows(other, one)]
    if breaks and len(kept) > 2 * MAX_LOOSE_PACKETS:
        strays[kept[: max((one for one in breaks if one <= MAX_LOOSE_PACKETS), default=0)]] = True
        strays[kept[min((one for one in breaks if one >= len(kept) - MAX_LOOSE_PACKETS), default=len(kept)) :]] = True
    return strays


def _divide(
    tracks: Mapping[int, StreamPackets], numbers: Mapping[int, NDArray[np.intp]], rules: ClockRules
) -> list[Section]:
    """Divide the packets into sections, and write the section of each into `numbers`."""
    sections: list[Section] = []
    current: dict[int, int] = {}
    gaps = 0.0
    gapless = replace(rules, has_clock=False)
    for _, track, position, time, end in sorted(_in_file_order(tracks, numbers), key=itemgetter(0)):
        # Streams are interleaved, so they change sections one by one; none returns to an earlier section.
        newest = len(sections) - 1
        gap = max(0.0, time - sections[newest].end - MAX_JUMP_SECONDS) if sections else 0.0
        allowed = rules if gaps + gap <= MAX_GAP_SECONDS else gapless
        candidates = (current.get(track, newest), *range(max(current.get(track, newest) + 1, newest - 1), newest + 1))
        number = next(
            (one for one in candidates if one >= 0 and sections[one].accepts(track, time, allowed)), len(sections)
        )
        if number == len(sections):
            sections.append(Section(time, end))
        elif number == newest:
            gaps += gap
        sections[number].add(track, time, end)
        numbers[track][position] = current[track] = number
    return sections


def _in_file_order(
    tracks: Mapping[int, StreamPackets], numbers: Mapping[int, NDArray[np.intp]]
) -> Iterator[tuple[int, int, int, float, float]]:
    for track, packets in tracks.items():
        used = np.flatnonzero(numbers[track] >= 0)
        times = packets.decoding_times[used]
        ends = times + packets.seconds(packets.durations[used]).clip(max=MAX_PACKET_SECONDS)
        columns = (packets.rows[used], used, times, ends)
        rows, positions, starts, ends_ = (column.tolist() for column in columns)
        for row, position, time, end in zip(rows, positions, starts, ends_, strict=True):
            yield row, track, position, time, end
