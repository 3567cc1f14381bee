"""Download size, memory, license and languages of pretrained models."""

from collections.abc import Iterable
from dataclasses import dataclass


def format_size(megabytes: int) -> str:
    """Return a size for display.

    Example:
        >>> format_size(90), format_size(1620)
        ('90 MB', '1.6 GB')
    """
    return f"{megabytes} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"  # noqa: PLR2004


@dataclass(frozen=True)
class ModelCard:
    """Facts about a pretrained model."""

    model: str
    """Its id on the Hugging Face Hub, or its name in openai-whisper or RapidOCR."""

    download: int
    """Download size in megabytes."""

    memory: int
    """Memory for its weights in megabytes in float32; half of that in 16 bits.

    For CTranslate2 in 8 bits, as on the CPU."""

    license: str
    """SPDX name of the weights' license."""

    languages: str = ""
    """Languages of an embedding model, for display."""

    @property
    def size(self) -> str:
        """Download size for display.

        Example:
            >>> ModelCard("openai/whisper", 1620, 3240, "MIT").size
            '1.6 GB'
        """
        return format_size(self.download)


_CARDS = (
    ModelCard("Andy1621/uniformerv2/k400+k710_uniformerv2_b16_8x224.pyth", 458, 458, "MIT"),
    ModelCard("HuggingFaceTB/SmolVLM2-256M-Video-Instruct", 1030, 1030, "Apache-2.0"),
    ModelCard("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", 2030, 2030, "Apache-2.0"),
    ModelCard("HuggingFaceTB/SmolVLM2-2.2B-Instruct", 8990, 8990, "Apache-2.0"),
    ModelCard("Qwen/Qwen3-VL-2B-Instruct", 4260, 8510, "Apache-2.0"),
    ModelCard("microsoft/xclip-base-patch32", 786, 786, "MIT"),
    ModelCard("microsoft/xclip-large-patch14", 2300, 2300, "MIT"),
    ModelCard("ustc-community/dfine-small-obj365", 43, 43, "Apache-2.0"),
    ModelCard("ustc-community/dfine-xlarge-obj365", 254, 254, "Apache-2.0"),
    ModelCard("MCG-NJU/videomae-base-finetuned-kinetics", 346, 346, "CC-BY-NC-4.0"),
    ModelCard("Salesforce/blip-image-captioning-base", 990, 990, "BSD-3-Clause"),
    ModelCard("Salesforce/blip-image-captioning-large", 1880, 1880, "BSD-3-Clause"),
    ModelCard("google/siglip-base-patch16-224", 813, 813, "Apache-2.0"),
    ModelCard("google/siglip2-base-patch32-256", 1510, 1510, "Apache-2.0"),
    ModelCard("PekingU/rtdetr_r50vd", 172, 172, "Apache-2.0"),
    ModelCard("PekingU/rtdetr_r101vd_coco_o365", 307, 307, "Apache-2.0"),
    ModelCard("IDEA-Research/grounding-dino-tiny", 690, 690, "Apache-2.0"),
    ModelCard("florence-community/Florence-2-base", 465, 930, "MIT"),
    ModelCard("openai/whisper-tiny", 151, 151, "Apache-2.0"),
    ModelCard("openai/whisper-base", 290, 290, "Apache-2.0"),
    ModelCard("openai/whisper-small", 967, 967, "Apache-2.0"),
    ModelCard("openai/whisper-medium", 3060, 3060, "Apache-2.0"),
    ModelCard("openai/whisper-large-v3-turbo", 1620, 3240, "MIT"),
    ModelCard("distil-whisper/distil-large-v3", 1510, 3030, "MIT"),
    ModelCard("nvidia/Nemotron-3-Diarization", 397, 397, "OpenMDW-1.1"),
    ModelCard("google/flan-t5-base", 990, 990, "Apache-2.0"),
    ModelCard("sentence-transformers/all-MiniLM-L6-v2", 91, 91, "Apache-2.0", languages="English"),
    ModelCard("intfloat/multilingual-e5-small", 505, 471, "MIT", languages="94 languages"),
)

_TEXT_RECOGNITION = {
    "ka_PP-OCRv4_rec_mobile": 8,
    "korean_PP-OCRv5_rec_mobile": 14,
    **{
        f"{code}_PP-OCRv5_rec_mobile": 8
        for code in ("arabic", "cyrillic", "devanagari", "el", "eslav", "ta", "te", "th")
    },
}
"""Models of RapidOCR with the size in megabytes of their files, which are in float32."""

_WHISPER = {
    76: ("tiny", "tiny.en"),
    145: ("base", "base.en"),
    484: ("small", "small.en"),
    1530: ("medium", "medium.en"),
    1620: ("turbo", "large-v3-turbo"),
    3090: ("large", "large-v1", "large-v2", "large-v3"),
}
"""Models of openai-whisper by the size in megabytes of their files, which are in float16."""

_FASTER_WHISPER = {
    76: ("tiny", "tiny.en"),
    145: ("base", "base.en"),
    484: ("small", "small.en"),
    1530: ("medium", "medium.en"),
    3090: ("large-v1", "large-v2", "large-v3"),
}
"""The same models in the format of CTranslate2, by the size of their files, which are in float16."""

_NAMED_BY_SIZE = (
    *(ModelCard(name, size, 2 * size, "MIT") for size, names in _WHISPER.items() for name in names),
    *(
        ModelCard(f"Systran/faster-whisper-{name}", size, size // 2, "MIT")
        for size, names in _FASTER_WHISPER.items()
        for name in names
    ),
    *(ModelCard(name, size, size, "Apache-2.0") for name, size in _TEXT_RECOGNITION.items()),
)

CARDS = {card.model: card for card in (*_CARDS, *_NAMED_BY_SIZE)}
"""Cards by model."""


def describe_size(model: str) -> str:
    """Return the download size of a model for display, if known."""
    return CARDS[model].size if model in CARDS else "size unknown"


def describe_total_size(models: Iterable[str]) -> str:
    """Return the download size of several models for display, as far as it is known.

    Example:
        >>> describe_total_size(["base", "google/flan-t5-base"]), describe_total_size(["base", "nobody/nothing"])
        ('1.1 GB', 'more than 145 MB')
    """
    names = list(models)
    total = format_size(sum(CARDS[name].download for name in names if name in CARDS))
    return total if CARDS.keys() >= set(names) else f"more than {total}"
