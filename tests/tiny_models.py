"""Tiny models for tests: real architectures with random weights, saved as Hugging Face repositories."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    BartTokenizer,
    BertConfig,
    BertModel,
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GPT2Tokenizer,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

WORDS = "a man woman dog cat egg pan table kitchen street car tree red blue small large is cooks runs walks sits on in"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:<>/_{}!"

SPREAD = 0.5
"""Standard deviation of random weights: large enough for different inputs to give different outputs."""

STOP = (8, 1.3)
"""Exponential length penalty, which makes models with random weights stop."""

SMOLVLM_TOKENS = ["<fake_token_around_image>", "<image>", "<global-img>"]

SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

SMOLVLM_SETTINGS: dict[str, Any] = {
    "do_convert_rgb": True,
    "do_image_splitting": True,
    "do_normalize": True,
    "do_pad": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "SmolVLMImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "max_image_size": {"longest_edge": 512},
    "processor_class": "SmolVLMProcessor",
    "resample": 1,
    "rescale_factor": 0.00392156862745098,
    "size": {"longest_edge": 2048},
    "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}},
}
"""The published preprocessor settings of SmolVLM2 256M and 500M."""

SMALL: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def tiny_blip(folder: Path) -> Path:
    """Save a BLIP: 32 pixels, a vocabulary of about forty words."""
    tokenizer = BertTokenizer(vocab=_numbered(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]))
    text = {
        **SMALL,
        "vocab_size": len(tokenizer) + 1,
        "bos_token_id": len(tokenizer),  # the real tokenizer does not have it either
        "sep_token_id": 3,
        "eos_token_id": 3,
        "pad_token_id": 0,
        "initializer_range": SPREAD,
    }
    vision = {**SMALL, "image_size": 32, "patch_size": 8, "initializer_range": SPREAD}
    model = BlipForConditionalGeneration(_seeded(BlipConfig(text_config=text, vision_config=vision)))
    image_processor = BlipImageProcessorPil(size={"height": 32, "width": 32})
    processor = BlipProcessor(image_processor, tokenizer)  # type: ignore[no-untyped-call]
    return _save(folder, model, processor)


def tiny_blip2(folder: Path) -> Path:
    """Save a BLIP-2 with an OPT: 32 pixels, four queries."""
    tokenizer = GPT2Tokenizer(
        vocab=_numbered(["<s>", "<pad>", "</s>", "<unk>", *_bytes()]),
        merges=[],
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
    image_processor = BlipImageProcessorPil(size={"height": 32, "width": 32})
    processor = Blip2Processor(image_processor, tokenizer, num_query_tokens=4)  # type: ignore[no-untyped-call]
    text = {
        "model_type": "opt",
        "hidden_size": 16,
        "word_embed_proj_dim": 16,
        "ffn_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 128,
        "bos_token_id": 2,
        "eos_token_id": 2,
        "pad_token_id": 1,
        "init_std": SPREAD,
    }
    vision = {**SMALL, "image_size": 32, "patch_size": 8, "initializer_range": SPREAD}
    config = Blip2Config(
        text_config=text,
        vision_config=vision,
        qformer_config={**SMALL, "initializer_range": SPREAD},
        num_query_tokens=4,
        image_token_index=tokenizer.vocab["<image>"],
    )
    config.initializer_range = SPREAD
    return _save(folder, Blip2ForConditionalGeneration(_seeded(config)), processor)


def tiny_smolvlm(folder: Path) -> Path:
    """Save a SmolVLM2: pictures of 512 pixels, preprocessed and prompted as those of the published one."""
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<end_of_utterance>", *SMOLVLM_TOKENS, *_bytes()]
    backend = Tokenizer(models.BPE(_numbered(tokens), []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        additional_special_tokens=SMOLVLM_TOKENS,
    )
    text = {
        **SMALL,
        "model_type": "llama",
        "num_key_value_heads": 1,
        "vocab_size": len(tokenizer),
        "initializer_range": SPREAD,
        "bos_token_id": 1,
        "pad_token_id": 2,
        "eos_token_id": 3,
    }
    config = SmolVLMConfig(
        text_config=text,
        vision_config={**SMALL, "image_size": 512, "patch_size": 16, "initializer_range": SPREAD},
        scale_factor=4,
        image_token_id=tokens.index("<image>"),
    )
    _save(folder, SmolVLMForConditionalGeneration(_seeded(config)), tokenizer)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": SMOLVLM_TEMPLATE}))
    (folder / "preprocessor_config.json").write_text(json.dumps(SMOLVLM_SETTINGS))
    (folder / "processor_config.json").write_text('{"image_seq_len": 64, "processor_class": "SmolVLMProcessor"}')
    return folder


def tiny_florence2(folder: Path) -> Path:
    """Save a Florence-2: 64 pixels, with the thousand location tokens of the real one."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = BartTokenizer(
        vocab=_numbered([*special, *_bytes()]), merges=[], extra_special_tokens={"image_token": "<image>"}
    )
    tokenizer.add_tokens([f"<loc_{index}>" for index in range(1000)], special_tokens=True)
    image_processor = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    image_processor.image_seq_length = 5  # type: ignore[attr-defined]
    processor = Florence2Processor(
        image_processor, tokenizer, post_processor_config={"pure_text": {}, "description_with_bboxes": {}}
    )
    text = {
        "model_type": "bart",
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 1024,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "init_std": SPREAD,
    }
    vision = {
        "depths": (1, 1, 1, 1),
        "embed_dim": (8, 8, 16, 16),
        "num_heads": (2, 2, 2, 2),
        "num_groups": (2, 2, 2, 2),
        "window_size": 4,
        "projection_dim": 16,
        "initializer_range": SPREAD,
    }
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=tokenizer.vocab["<image>"])
    model = Florence2ForConditionalGeneration(_seeded(config))
    generation = model.generation_config
    generation.num_beams, generation.early_stopping, generation.no_repeat_ngram_size = 3, True, 3
    generation.exponential_decay_length_penalty = (150, 1.2)
    return _save(folder, model, processor)


def tiny_t5(folder: Path, context: int = 64) -> Path:
    """Save a T5 with a context of so many tokens."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *(f"▁{word}" for word in WORDS.split()), *LETTERS]
    tokenizer = T5Tokenizer(vocab=[(piece, -float(number > 3)) for number, piece in enumerate(pieces)], extra_ids=0)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 1,
        "num_heads": 2,
        "n_positions": context,
        "decoder_start_token_id": 0,
        "initializer_factor": 10.0,
    }
    model = T5ForConditionalGeneration(_seeded(T5Config(**settings)))
    model.generation_config.exponential_decay_length_penalty = STOP
    return _save(folder, model, tokenizer)


def tiny_videomae(folder: Path, label: str) -> Path:
    """Save a VideoMAE that always returns the same label: 32 pixels, 16 frames."""
    config = VideoMAEConfig(**SMALL, image_size=32, num_frames=16, id2label={0: label, 1: "another"})
    model: Any = VideoMAEForVideoClassification(_seeded(config))
    torch.nn.init.zeros_(model.classifier.weight)
    model.classifier.bias.data.copy_(torch.tensor([8.0, 0.0]))
    return _save(
        folder, model, VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    )


def tiny_bert(folder: Path) -> Path:
    """Save a BERT, which no perceiver can use."""
    tokenizer = BertTokenizer(vocab=_numbered(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]))
    return _save(folder, BertModel(_seeded(BertConfig(**SMALL, vocab_size=len(tokenizer)))), tokenizer)


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def _bytes() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _seeded(config: Any) -> Any:
    torch.manual_seed(0)
    return config


def _save(folder: Path, *parts: Any) -> Path:
    for part in parts:
        part.save_pretrained(folder)
    return folder
