"""A tiny LLaVA with random weights, whose processor needs no torchvision."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from tests.tiny_videochat import byte_tokenizer

IMAGE_TOKEN = "<image>"
SIZE, PATCH = 28, 14
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}"
    f"{{% if part.type == 'image' %}}{IMAGE_TOKEN}{{% else %}}{{{{ part.text }}}}{{% endif %}}"
    "{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def save_llava(folder: Path) -> Path:
    """Save a model and its processor."""
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    tokenizer.image_token = IMAGE_TOKEN
    shape: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**shape, image_size=SIZE, patch_size=PATCH),
        text_config=LlamaConfig(**shape, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=1, pad_token_id=1),
        image_token_index=tokenizer.added_tokens_encoder[IMAGE_TOKEN],
        image_seq_length=(SIZE // PATCH) ** 2,
    )
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        pictures,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    processor.save_pretrained(folder)
    return folder
