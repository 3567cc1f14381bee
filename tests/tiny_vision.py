"""Tiny vision models with random weights, saved as Hugging Face repositories: SigLIP, CLIP, X-CLIP and detectors.

Their preprocessors have the published settings, apart from sizes, unless a test needs small pictures only.
"""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

hf: Any = transformers
"""Typed as Any: its configurations accept arguments that are not in their signatures."""

SIDE = 32
"""Input size in pixels."""

NAMES = {0: "cat", 1: "dog", 2: "ball"}
"""Classes of the closed-set detectors."""

WORDS = ("cat", "dog", "ball", "sun", "tree", "car", "house", "boat", "bird", "fish", "lamp", "door", "red", "blue")
"""Vocabulary of the other models."""

Box = tuple[float, float, float, float]

XCLIP_SETTINGS: dict[str, Any] = {
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "VideoMAEFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "processor_class": "XCLIPProcessor",
    "resample": 2,
    "size": 224,
}
"""The published preprocessor settings of X-CLIP base."""

DFINE_SETTINGS: dict[str, Any] = {
    "do_convert_annotations": True,
    "do_normalize": False,
    "do_pad": False,
    "do_rescale": True,
    "do_resize": True,
    "format": "coco_detection",
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "RTDetrImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "pad_size": None,
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 640, "width": 640},
}
"""The published preprocessor settings of D-FINE."""

_WIDTH = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_SEEN = {"image_size": SIDE, "patch_size": 8, **_WIDTH}


def tiny_siglip(folder: Path, dimensions: int = 32) -> Path:
    """Save a SigLIP with the vocabulary `WORDS`, whose vectors have this many dimensions."""
    text = {"vocab_size": 32, "max_position_embeddings": 16, "projection_size": dimensions, **_WIDTH}
    config = hf.SiglipConfig(text_config=text, vision_config={**_SEEN, "hidden_size": dimensions})
    model = _random(hf.SiglipModel, config)
    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, -0.5)
    return _save(folder, model, hf.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}), _tokenizer())


def tiny_clip(folder: Path) -> Path:
    """Save a CLIP with the vocabulary `WORDS`."""
    text = {"vocab_size": 32, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2, **_WIDTH}
    config = hf.CLIPConfig(text_config=text, vision_config=_SEEN, projection_dim=32)
    processor = hf.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return _save(folder, _random(hf.CLIPModel, config), processor, _tokenizer())


def tiny_multimodal_transformer(folder: Path, clip: Path) -> Path:
    """Save a CLIP as a model of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    processor = hf.CLIPProcessor(hf.CLIPImageProcessorPil.from_pretrained(clip), _tokenizer())
    _save(folder / "clip", hf.CLIPModel.from_pretrained(clip), processor)
    SentenceTransformer(str(folder / "clip")).save_pretrained(str(folder / "multimodal"))
    return folder / "multimodal"


def tiny_xclip(folder: Path) -> Path:
    """Save an X-CLIP with the vocabulary `WORDS`, of two frames of 32 pixels."""
    text = {"vocab_size": 32, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2, **_WIDTH}
    integration = {"mit_hidden_size": 32, "mit_intermediate_size": 32, "mit_num_attention_heads": 2}
    vision = {**_SEEN, **integration, "num_frames": 2}
    config = hf.XCLIPConfig(
        text_config=text, vision_config=vision, projection_dim=32, prompt_layers=1, prompt_num_attention_heads=2
    )
    _save(folder, _random(hf.XCLIPModel, config), _tokenizer())
    write_settings(
        folder, XCLIP_SETTINGS | {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    )
    return folder


def tiny_dfine(folder: Path) -> Path:
    """Save a D-FINE with the settings of the published small one, but narrower."""
    backbone = {
        "model_type": "hgnet_v2",
        "stem_channels": [3, 8, 8],
        "hidden_sizes": [8, 16, 16, 16],
        "stage_in_channels": [8, 8, 16, 16],
        "stage_mid_channels": [8, 8, 8, 8],
        "stage_out_channels": [8, 16, 16, 16],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_numb_of_layers": [1, 1, 1, 1],
        "use_learnable_affine_block": True,
        "out_indices": [2, 3, 4],
    }
    config = hf.DFineConfig(
        backbone_config=backbone,
        id2label=NAMES,
        encoder_in_channels=[16, 16, 16],
        encoder_hidden_dim=16,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        hidden_expansion=0.5,
        depth_mult=0.34,
        d_model=16,
        num_queries=6,
        decoder_in_channels=[16, 16, 16],
        decoder_n_points=[3, 6, 3],
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
    )
    _save(folder, _random(hf.DFineForObjectDetection, config))
    write_settings(folder, DFINE_SETTINGS | {"size": {"height": 64, "width": 64}})
    return folder


def tiny_rt_detr(folder: Path) -> Path:
    """Save an RT-DETR with the configuration of its backbone nested in its own."""
    backbone = hf.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
    )
    config = hf.RTDetrConfig(
        backbone_config=backbone,
        id2label=NAMES,
        encoder_in_channels=[8, 8, 8],
        encoder_hidden_dim=16,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        num_queries=6,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_layers=2,
        decoder_attention_heads=2,
    )
    processor = hf.RTDetrImageProcessorPil(size={"height": 64, "width": 64})
    return _save(folder, _random(hf.RTDetrForObjectDetection, config), processor)


def tiny_detr(folder: Path) -> Path:
    """Save a DETR with a backbone of transformers."""
    backbone = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[4]
    )
    config = hf.DetrConfig(
        backbone_config=backbone,
        id2label=NAMES,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=6,
    )
    processor = hf.DetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128})
    return _save(folder, _random(hf.DetrForObjectDetection, config), processor)


def tiny_constant_detr(folder: Path, label: str, box: Box) -> Path:
    """Save a DETR that returns the same detection for every frame."""
    model = hf.DetrForObjectDetection.from_pretrained(tiny_detr(folder), num_queries=1, ignore_mismatched_sizes=True)
    x0, y0, x1, y1 = box
    centre = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
    _make_constant(model.bbox_predictor.layers[-1], centre.logit())
    _make_constant(model.class_labels_classifier, 8.0 * torch.eye(4)[list(NAMES.values()).index(label)])
    return _save(folder, model)


def tiny_owlv2(folder: Path) -> Path:
    """Save an OWLv2 with the vocabulary `WORDS`."""
    text = {"vocab_size": 32, "max_position_embeddings": 16, **_WIDTH}
    config = hf.Owlv2Config(text_config=text, vision_config=_SEEN, projection_dim=32)
    processor = hf.Owlv2Processor(hf.Owlv2ImageProcessorPil(size={"height": SIDE, "width": SIDE}), _tokenizer())
    return _save(folder, _random(hf.Owlv2ForObjectDetection, config), processor)


def tiny_grounding_dino(folder: Path) -> Path:
    """Save a Grounding DINO with the vocabulary `WORDS`."""
    backbone = hf.SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2, out_indices=[2, 3, 4]
    )
    text = {"model_type": "bert", "vocab_size": 32, "max_position_embeddings": 64, **_WIDTH}
    config = hf.GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_queries=6,
    )
    image_processor = hf.GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128})
    processor = hf.GroundingDinoProcessor(image_processor, _tokenizer())
    return _save(folder, _random(hf.GroundingDinoForObjectDetection, config), processor)


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a preprocessor."""
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def _random(kind: Any, config: Any) -> Any:
    torch.manual_seed(0)
    model = kind(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def _make_constant(layer: Any, answer: torch.Tensor) -> None:
    """Make the output of a layer constant."""
    layer.weight.data.zero_()  # `init.zeros_` skips loaded weights while another thread loads a model
    layer.bias.data.copy_(answer)


def _save(folder: Path, *parts: Any) -> Path:
    for part in parts:
        part.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    """Create a word-level tokenizer with start and end tokens like those of BERT and CLIP."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    known = dict.fromkeys([*special, ".", "?", "this", "is", "a", "photo", "of", *WORDS])
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=16,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    )
