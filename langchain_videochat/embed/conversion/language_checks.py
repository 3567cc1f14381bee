"""Does a language model speak? Weights that were added to the wrong base raise no error, and give garbled text."""

import math
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

TEXT = "The sun rises in the east and sets in the west. A week has seven days, and a year has twelve"
"""What any model that was trained on English finds likely."""

GARBLED = 0.5
"""Share of a blind guess's surprise from which on a model is taken for garbled.

By its published perplexity of 29 on WikiText-2, GPT-2's smallest model has 0.31 on harder texts; random weights have 1.
"""

FILLED = 0.95
"""Share of the embeddings that a tokenizer knows at least: some models have a few spare ones, to round the number."""

SAMPLE_TOKENS = 12


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int) -> list[str]:
    """Compare a tokenizer with a language model.

    Args:
        tokenizer: It.
        rows: How many tokens the language model has embeddings for.

    Returns:
        A warning, or none.
    """
    known = len(tokenizer)
    if FILLED * rows <= known <= rows:
        return []
    return [
        f"the tokenizer knows {known} tokens and the language model {rows}: one of them is probably another model's, "
        "or files are missing"
    ]


@torch.no_grad()
def check_language(model: Any, tokenizer: PreTrainedTokenizerBase) -> tuple[str, list[str]]:
    """Let a language model read an English sentence, and go on from it.

    This tells weights that make no sense, as a delta that was added to another model than its own leaves them, from
    trained ones. It does not tell good models from bad ones, and one that was never shown English fails too.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.

    Returns:
        What it likes best to say, for a person to look at, and a warning, or none.
    """
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    rows = model.get_input_embeddings().num_embeddings
    if ids.max() >= rows:
        return "", []  # check_vocabulary has told that they do not belong together
    greedy = GenerationConfig(max_new_tokens=SAMPLE_TOKENS, do_sample=False, pad_token_id=0)
    new = model.generate(ids, generation_config=greedy)[0, ids.shape[1] :]
    said = str(tokenizer.decode(new, skip_special_tokens=True))
    surprise = model(input_ids=ids, labels=ids).loss.item() / math.log(rows)
    if surprise < GARBLED:
        return said, []
    return said, [
        f"the language model is as surprised by plain English as by noise ({surprise:.2f} of a blind guess), and goes "
        f"on with {said!r}: probably its weights, or the delta's base, are another model's"
    ]
