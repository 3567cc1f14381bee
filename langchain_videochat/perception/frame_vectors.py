"""Vectors of frames as text, as Observations carry them."""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError


def dump_vector(vector: NDArray[np.float32]) -> str:
    """Return a vector [dimensions] as text: 16 bits per number.

    Not 8 bits, as for texts: the vectors of similar pictures differ by less than that.

    Example:
        >>> load_vector(dump_vector(np.array([0.5, -0.25], dtype=np.float32))).tolist()
        [0.5, -0.25]
    """
    return base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii")


def load_vector(dumped: str) -> NDArray[np.float32]:
    """Return the vector [dimensions] that `dump_vector` returned as text.

    Raises:
        InputError: The text is not a vector.
    """
    try:
        vector = np.frombuffer(base64.b64decode(dumped, validate=True), "<f2").astype(np.float32)
    except (binascii.Error, ValueError) as error:
        raise InputError("vector", "not 16-bit numbers in Base64", "Use the output of dump_vector") from error
    if not len(vector) or not np.isfinite(vector).all():
        raise InputError("vector", "empty, or with numbers that are not finite", "Use the output of dump_vector")
    return vector
