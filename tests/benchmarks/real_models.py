"""Models of the profile `standard` in their real size, with random weights."""

from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from whisper.model import ModelDimensions

from tests.benchmarks.media import cached
from tests.tiny_whisper import save_whisper

hf: Any = transformers
"""Typed as Any: its configurations accept arguments that are not in their signatures."""

BASE = ModelDimensions(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6)
"""Dimensions of Whisper base."""

SENTENCE = " and then the next slide shows what the model learns from frames"
"""Fourteen tokens; a window of 30 seconds holds six such sentences."""


def standard_profile() -> Path:
    """Save the models once, and return a profile that uses them: `standard` without downloads."""
    return cached("standard-models-1", _save_all) / "standard.yaml"


def _save_all(folder: Path) -> None:
    folder.mkdir()
    torch.manual_seed(0)
    _save(
        folder / "videomae",
        hf.VideoMAEForVideoClassification(hf.VideoMAEConfig(num_labels=400)),
        hf.VideoMAEImageProcessorPil(),
    )
    _save(folder / "blip", hf.BlipForConditionalGeneration(hf.BlipConfig()), _blip())
    _save(folder / "siglip", hf.SiglipModel(hf.SiglipConfig()), hf.SiglipImageProcessorPil(), _siglip_tokenizer())
    _save(folder / "rt-detr", hf.RTDetrForObjectDetection(hf.RTDetrConfig()), hf.RTDetrImageProcessorPil())
    script = [item for start in range(0, 30, 5) for item in (float(start), SENTENCE, start + 5.0)]
    save_whisper(folder / "whisper-base.pt", script, dims=BASE)
    # The folder is still to be renamed: the profile contains the final paths of the models.
    final = folder.parent.parent / folder.name
    profile = [
        "subtitles",
        "screen_text",
        "scenes",
        {"actions": {"model": str(final / "videomae")}},
        {"captions": {"model": str(final / "blip")}},
        {"tags": {"model": str(final / "siglip")}},
        {"objects": {"model": str(final / "rt-detr")}},
        {"speech": {"model": str(final / "whisper-base.pt")}},
    ]
    (folder / "standard.yaml").write_text(yaml.safe_dump(profile))


def _blip() -> Any:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *(f"word{number}" for number in range(30_522 - len(special)))]
    tokenizer = hf.BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    return hf.BlipProcessor(hf.BlipImageProcessorPil(), tokenizer)


def _siglip_tokenizer() -> Any:
    words = ["[PAD]", "</s>", "[UNK]", *(f"word{number}" for number in range(32_000 - 3))]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def _save(folder: Path, *parts: Any) -> None:
    for part in parts:
        part.save_pretrained(folder)
