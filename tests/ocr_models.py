"""Tiny recognition models in the format of RapidOCR: ONNX files with their letters in the metadata."""

from pathlib import Path

import numpy as np
import rapidocr

from langchain_videochat.perception.ocr_models import RecognitionModel

LOOKALIKES = str.maketrans("ABCEHKMOPTXacekopxy", "АВСЕНКМОРТХасекорху")
"""Latin letters to the Cyrillic ones of the same shape."""

FLOAT, INT64 = 1, 7


def install_cyrillic(model: RecognitionModel) -> None:
    """Install RapidOCR's bundled model, with Cyrillic names for the letters that look like Latin ones."""
    bundled = Path(rapidocr.__file__).parent / "models" / "PP-OCRv6_rec_small.onnx"
    letters = _bundled_letters(bundled).translate(LOOKALIKES)
    _save(model, bundled.read_bytes() + _metadata(letters))


def install_constant(model: RecognitionModel, text: str, confidence: float = 1.0) -> None:
    """Install a model that reads the same text in every picture."""
    letters = sorted(set(text))
    # Class 0 is the blank between two letters, and the last class the space that RapidOCR adds.
    classes = [index for letter in text for index in (letters.index(letter) + 1, 0)]
    scores = np.zeros((1, len(classes), len(letters) + 2), np.float32)
    scores[0, range(len(classes)), classes] = confidence
    nodes = [
        _node("Slice", "x starts ends axes", "corners"),
        _node("Squeeze", "corners last", "values"),
        _node("Mul", "values zero", "zeros"),
        _node("Add", "zeros scores", "y"),
    ]
    constants = {
        "starts": np.array([0, 0, 0]),
        "ends": np.array([1, 1, 1]),
        "axes": np.array([1, 2, 3]),
        "last": np.array([3]),
        "zero": np.zeros(1, np.float32),
        "scores": scores,
    }
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"constant")
    graph += b"".join(_field(5, _tensor(name, value)) for name, value in constants.items())
    graph += _field(11, _value("x", ("N", 3, 48, "W"))) + _field(12, _value("y", ("N", *scores.shape[1:])))
    opset = _field(1, b"") + _number(2, 13)
    _save(model, _number(1, 8) + _field(7, graph) + _field(8, opset) + _metadata("\n".join(letters)))


def _save(model: RecognitionModel, content: bytes) -> None:
    model.path.parent.mkdir(parents=True)
    model.path.write_bytes(content)


def _bundled_letters(path: Path) -> str:
    from onnxruntime import InferenceSession

    return str(InferenceSession(str(path)).get_modelmeta().custom_metadata_map["character"])


def _metadata(letters: str) -> bytes:
    """Encode an entry of the metadata, of which the last one with the same key counts."""
    return _field(14, _field(1, b"character") + _field(2, letters.encode()))


def _node(operator: str, inputs: str, output: str) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs.split())
    return names + _field(2, output.encode()) + _field(4, operator.encode())


def _tensor(name: str, value: np.ndarray) -> bytes:
    dims = b"".join(_number(1, size) for size in value.shape)
    kind = FLOAT if value.dtype == np.float32 else INT64
    return dims + _number(2, kind) + _field(8, name.encode()) + _field(9, value.tobytes())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    sizes = [_number(1, size) if isinstance(size, int) else _field(2, size.encode()) for size in shape]
    tensor = _number(1, FLOAT) + _field(2, b"".join(_field(1, size) for size in sizes))
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _field(number: int, content: bytes) -> bytes:
    """Encode a field of a Protocol Buffers message that has a length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])
