"""The encoding of subtitle files."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE, lookup

from langchain_videochat.errors import InputError

# That of UTF-32 begins like that of UTF-16.
_BYTE_ORDER_MARKS = {
    BOM_UTF8: "utf-8",
    BOM_UTF32_LE: "utf-32-le",
    BOM_UTF32_BE: "utf-32-be",
    BOM_UTF16_LE: "utf-16-le",
    BOM_UTF16_BE: "utf-16-be",
}
# The encodings of subtitle files. With all of the world's, a short line looks like that of a mainframe or an old Mac.
_LEGACY_ENCODINGS = (  # the most frequent one first
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "cp866"),
    *("iso8859-2", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8", "iso8859-9", "iso8859-13", "iso8859-15"),
    *("koi8-r", "koi8-u", "shift_jis", "cp932", "euc-jp", "gb18030", "big5", "euc-kr", "cp949"),
)
_UTF_16 = ("utf-16-le", "utf-16-be")

SAMPLE_BYTES = 2**20
"""Length in bytes of the beginning of a text that determines its encoding."""

MIN_NUL_FRACTION = 0.1
"""Fraction of zero bytes from which a text is UTF-16 without a byte order mark."""


def marked_encoding(data: bytes) -> str | None:
    """Return the encoding that the byte order mark of a text declares, None if it has none."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)


def find_encoding(data: bytes) -> str:
    """Find the encoding of a text.

    Example:
        >>> find_encoding("Grüße".encode()), find_encoding("Πού είναι το παιδί;".encode("iso8859-7"))
        ('utf-8', 'iso8859-7')
    """
    if (marked := marked_encoding(data)) is not None:
        return marked
    if data.count(0) > MIN_NUL_FRACTION * len(data):
        return _detect(data, _UTF_16)
    # No other encoding is valid UTF-8 by chance, but editors that take it for another encoding damage it.
    sample = data[:SAMPLE_BYTES]
    text = sample.decode("utf-8", "surrogateescape")
    damaged = len(re.findall(r"[\udc80-\udcff]", text))
    intact = len(re.findall(r"[^\x00-\x7f]", text)) - damaged
    return "utf-8" if damaged <= intact else _detect(sample, _LEGACY_ENCODINGS)


def decode_text(data: bytes, encoding: str) -> tuple[str, int]:
    r"""Decode a text.

    Returns:
        The text with LF for line breaks, without a byte order mark, and the number of characters that had to be
        replaced.

    Example:
        >>> decode_text(b"caf\xe9\r\n", "utf-8")
        ('caf\ufffd\n', 1)
    """
    try:
        text = data.decode(encoding)
        replaced = 0
    except UnicodeDecodeError:
        text = data.decode(encoding, "replace")
        replaced = text.count("\ufffd")
    # CR CR LF comes from a conversion of line breaks that was done twice.
    return re.sub(r"\r+\n|\r", "\n", text.removeprefix("\ufeff")), replaced


def encoding_remarks(encoding: str, replaced: int, *, is_guess: bool) -> list[str]:
    """Describe the uncertainties of a decoded text.

    Args:
        encoding: The encoding that it was decoded with.
        replaced: The number of characters that were replaced.
        is_guess: Whether the encoding was detected.
    """
    remarks = []
    if is_guess and not encoding.startswith("utf"):
        remarks.append(f"not UTF-8, read as {encoding}")
    if replaced:
        remarks.append(f"{replaced} {'character is' if replaced == 1 else 'characters are'} not valid {encoding}")
    return remarks


def check_encoding(encoding: str | None) -> None:
    """Check the name of an encoding.

    Raises:
        InputError: The encoding is unknown.
    """
    if encoding is None:
        return
    try:
        known = lookup(encoding)
    except LookupError:
        known = None
    if known is None or not getattr(known, "_is_text_encoding", True):
        raise InputError("encoding", f"unknown text encoding {encoding!r}", 'Use for example "cp1253" or "utf-8"')


def _detect(data: bytes, encodings: tuple[str, ...]) -> str:
    import chardet

    found = chardet.detect(data, include_encodings=encodings, no_match_encoding=encodings[0])["encoding"]
    return lookup(found or encodings[0]).name
