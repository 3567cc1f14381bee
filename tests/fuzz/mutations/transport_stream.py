"""Mutations of transport streams: packets, tables of programs, and timestamps."""

from random import Random

from tests.fuzz.mutations.numbers import change_integer, draw_integer

PACKET = 188
CLOCK = 2**33
"""Timestamps have 33 bits, at 90 kHz."""


def mutate(data: bytes, random: Random) -> bytes:
    """Change packets of a stream."""
    whole = len(data) // PACKET * PACKET
    packets = [bytearray(data[start : start + PACKET]) for start in range(0, whole, PACKET)]
    if not packets:
        return data
    changes = (_change_times, _change_times, _jump, _change_tables, _change_header, _change_adaptation, _rearrange)
    random.choice(changes)(random, packets)
    return b"".join(packets) + data[whole:]


def _pid(packet: bytearray) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def _payload(packet: bytearray) -> int:
    """Return where the payload of a packet begins."""
    return 4 + (1 + packet[4] if packet[3] & 0x20 else 0)


def _pes_times(packet: bytearray) -> list[int]:
    """Return the positions of the timestamps in a packet that begins a frame."""
    start = _payload(packet)
    if not packet[1] & 0x40 or packet[start : start + 3] != b"\0\0\1" or start + 19 > PACKET:
        return []
    flags = packet[start + 7] >> 6
    return {2: [start + 9], 3: [start + 9, start + 14]}.get(flags, [])


def _read_time(packet: bytearray, at: int) -> int:
    high, middle, low = packet[at], int.from_bytes(packet[at + 1 : at + 3], "big"), packet[at + 3 : at + 5]
    return (high >> 1 & 7) << 30 | (middle >> 1) << 15 | int.from_bytes(low, "big") >> 1


def _write_time(packet: bytearray, at: int, time: int) -> None:
    packet[at] = packet[at] & 0xF0 | (time >> 30 & 7) << 1 | 1
    packet[at + 1 : at + 3] = ((time >> 15 & 0x7FFF) << 1 | 1).to_bytes(2, "big")
    packet[at + 3 : at + 5] = ((time & 0x7FFF) << 1 | 1).to_bytes(2, "big")


def _change_times(random: Random, packets: list[bytearray]) -> None:
    """Change single timestamps."""
    timed = [(packet, at) for packet in packets for at in _pes_times(packet)]
    for packet, at in random.sample(timed, min(len(timed), random.choice((1, 1, 3, 20)))):
        _write_time(packet, at, draw_integer(random, 33, _read_time(packet, at)))


def _jump(random: Random, packets: list[bytearray]) -> None:
    """Shift all timestamps from some packet on."""
    shift = random.choice((90_000, -90_000, 90_000 * 3600, 90_000 * 86_400, CLOCK // 2, random.randrange(CLOCK)))
    for packet in packets[random.randrange(len(packets)) :]:
        for at in _pes_times(packet):
            _write_time(packet, at, (_read_time(packet, at) + shift) % CLOCK)


def _change_tables(random: Random, packets: list[bytearray]) -> None:
    """Change the tables of programs, and correct their checksums, or FFmpeg would ignore them."""
    tables = [packet for packet in packets if _is_table(packet)]
    if not tables:
        return
    original = bytes(random.choice(tables))
    first = _payload(bytearray(original)) + 1
    length = int.from_bytes(original[first + 1 : first + 3], "big") & 0xFFF
    end = first + 3 + length - 4
    if not first + 8 < end <= PACKET - 4:
        return
    position = random.randrange(first + 3, end)
    for packet in tables:
        if packet[first:end] == original[first:end]:
            packet[position] = random.choice((0, 1, 255, original[position] ^ 1 << random.randrange(8)))
            packet[end : end + 4] = _crc(packet[first:end]).to_bytes(4, "big")


def _is_table(packet: bytearray) -> bool:
    start = _payload(packet)
    # A pointer of 0, then the id of an association table (0) or a map table (2).
    return start + 16 < PACKET and bool(packet[1] & 0x40) and packet[start] == 0 and packet[start + 1] in (0, 2)


def _crc(data: bytearray) -> int:
    """Return the CRC-32 of MPEG."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _change_header(random: Random, packets: list[bytearray]) -> None:
    """Change the PID, the flags or the counter of a packet."""
    packet = random.choice(packets)
    other = random.choice(packets)
    action = random.choice(("pid", "counter", "flags", "sync"))
    if action == "pid":
        packet[1:3] = (packet[1] << 8 & 0xE000 | random.choice((_pid(other), random.getrandbits(13)))).to_bytes(
            2, "big"
        )
    elif action == "counter":
        packet[3] = packet[3] & 0xF0 | random.getrandbits(4)
    elif action == "flags":
        packet[random.choice((1, 3))] ^= 1 << random.randrange(4, 8)
    else:
        packet[0] ^= 1 << random.randrange(8)


def _change_adaptation(random: Random, packets: list[bytearray]) -> None:
    """Change the length, the flags or the clock of adaptation fields."""
    fields = [packet for packet in packets if packet[3] & 0x20]
    for packet in random.sample(fields, min(len(fields), random.choice((1, 1, 5)))):
        position, size = random.choice(((4, 1), (5, 1), (6, 4)))
        packet[:] = change_integer(random, bytes(packet), position, size)


def _rearrange(random: Random, packets: list[bytearray]) -> None:
    """Drop, duplicate or move packets."""
    start = random.randrange(len(packets))
    end = start + random.choice((1, 1, 4, 50))
    part = [bytearray(packet) for packet in packets[start:end]]
    if random.random() < 0.7:
        del packets[start:end]
    if random.random() < 0.7:
        place = random.randrange(len(packets) + 1)
        packets[place:place] = part
    if not packets:
        packets.extend(part)
