"""Sanity checks of a language model: a delta that was added to the wrong base gives garbled text, but no error."""

import math
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

TEXT = "The sun rises in the east and sets in the west. A week has seven days, and a year has twelve"
"""A text that is likely for every model trained on English."""

MAX_RELATIVE_LOSS = 0.5
"""Loss, relative to that of a uniform distribution, from which on a model is considered garbled.

GPT-2's smallest model has 0.31 on harder texts, by its published perplexity of 29 on WikiText-2; random weights have 1.
"""

MIN_VOCABULARY_RATIO = 0.95
"""Minimum ratio of the tokenizer's vocabulary to the embedding rows. Some models pad the number of rows."""

SAMPLE_TOKENS = 12


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int) -> list[str]:
    """Return a warning if a tokenizer's vocabulary does not fit the number of embedding rows, otherwise none."""
    size = len(tokenizer)
    if MIN_VOCABULARY_RATIO * rows <= size <= rows:
        return []
    return [
        f"the tokenizer has {size} tokens and the language model {rows}: one of them probably belongs to another "
        "model, or files are missing"
    ]


@torch.no_grad()
def check_language(model: Any, tokenizer: PreTrainedTokenizerBase) -> tuple[str, list[str]]:
    """Measure a language model's loss on an English sentence, and generate a continuation.

    This detects meaningless weights, such as those of a delta added to the wrong base. It does not measure quality, and
    also warns about models that were not trained on English.

    Returns:
        The greedy continuation, and a warning, or none.
    """
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    rows = model.get_input_embeddings().num_embeddings
    if ids.max() >= rows:
        return "", []  # check_vocabulary has warned already
    greedy = GenerationConfig(max_new_tokens=SAMPLE_TOKENS, do_sample=False, pad_token_id=0)
    new = model.generate(ids, generation_config=greedy)[0, ids.shape[1] :]
    sample = str(tokenizer.decode(new, skip_special_tokens=True))
    relative_loss = model(input_ids=ids, labels=ids).loss.item() / math.log(rows)
    if relative_loss < MAX_RELATIVE_LOSS:
        return sample, []
    return sample, [
        f"the language model's loss on plain English is {relative_loss:.2f} of that of a random guess, and it "
        f"generates {sample!r}: its weights, or the base of the delta, probably belong to another model"
    ]
