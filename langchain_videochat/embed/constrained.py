"""Constrained decoding: JSON that is valid for a schema, and complete within a number of tokens, whatever the weights.

llguidance tells which tokens a schema allows next. That alone is not enough: a string or a list may never end. So each
row of a batch always knows one way to end, its `ending`: tokens that close what is open, found on a copy of the grammar
that reads bytes, which is quick. While there is room for much more than the ending, all tokens of the grammar are
allowed; when it gets tight, only the ending's next token, and the likeliest of those after which an ending still fits.
"""

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerFast

from langchain_videochat.embed.json_schemas import narrow, parts
from langchain_videochat.errors import InputError

ENDING_LIMIT = 10_000
"""Bytes after which the search for an ending gives up, as inside a regular expression that it finds no way out of."""

TRIED = 8
"""So many of the likeliest tokens are tried when it gets tight, each in 0.1 to 0.5 ms."""

SPARE = 32
"""Tokens that one token may add to an ending inside a number or a format, beside what the schema's parts take."""

DEEPEST = 64
"""Brackets open at once; parsers give up at 200 (pydantic) or 1,000 (Python)."""

LETTERS = 25
"""Where so many bytes may come next, they are letters of a text, and it matters little which."""

KEPT_SCHEMAS = 64
"""Schemas that are kept compiled for a tokenizer."""

_BYTES = LLTokenizer("byte")
_FIRST = b",@.:0123456789ntf"
_LAST = b"[{\\" + bytes(range(128, 256))
_COST = np.array([100.0 if byte in _LAST else 0.5 for byte in range(256)])
_COST[[*_FIRST]] = np.linspace(0, 0.4, len(_FIRST))
_COST_IN_TEXT = _COST.copy()
_COST[[*b'}]"']] = -3e9, -2e9, -1e9
_COST_IN_TEXT[ord('"')] = -1e9
"""Of bytes in an ending: those come first that close something, then those that soon end what they begin."""

_vocabularies: WeakKeyDictionary[PreTrainedTokenizerFast, "_Vocabulary"] = WeakKeyDictionary()
_lock = threading.Lock()


class JsonConstraint(LogitsProcessor):
    """Make a language model write JSON that is valid for a schema, without spaces, and then an end token.

    One constraint serves one call of `generate`, not with beams. Objects have their keys in the schema's order.

    Args:
        tokenizer: The language model's, a fast one.
        schema: A JSON schema.
        max_tokens: How many tokens there may be, the end token included; what `generate` gets as `max_new_tokens`.
        end_tokens: Ids that end a text; the tokenizer's if None.

    Raises:
        InputError: The schema asks for what cannot be enforced, nothing is valid for it, the tokenizer cannot write
            it, or the smallest valid text takes more tokens.

    Example:
        Let any model grade:

            constraint = JsonConstraint(tokenizer, {"type": "integer", "minimum": 1, "maximum": 5}, max_tokens=8)
            model.generate(**inputs, max_new_tokens=8, logits_processor=[constraint])
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        schema: dict[str, Any],
        max_tokens: int,
        end_tokens: Sequence[int] | None = None,
    ) -> None:
        self._vocabulary = _vocabulary(tokenizer)
        self._grammar = self._vocabulary.compile(json.dumps(schema))
        self._max_tokens = max_tokens
        self._end_tokens = [tokenizer.eos_token_id] if end_tokens is None else list(end_tokens)
        self._rows: list[_Row] = []
        needed = len(self._grammar.ending) + 1
        if max_tokens < needed:
            problem = f"{max_tokens} is less than the {needed} tokens of the smallest valid answer"
            raise InputError("max_tokens", problem, "Allow more tokens, or ask for less in the schema")

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid the tokens that lead to no valid end in time; input_ids [B, L], scores [B, vocabulary]."""
        if self._rows:
            for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
                row.accept(token)
        else:
            self._rows = [_Row(self._vocabulary, self._grammar, self._max_tokens, self._end_tokens) for _ in scores]
        # Allowed tokens may have been forbidden by others, or be no numbers: they come before those forbidden here.
        finite = scores.nan_to_num(nan=torch.finfo(scores.dtype).min)
        allowed = torch.stack([row.allowed(row_scores) for row, row_scores in zip(self._rows, finite, strict=True)])
        return finite.masked_fill(~allowed.to(scores.device), -torch.inf)


@dataclass(frozen=True)
class _Grammar:
    """A schema compiled for a tokenizer. Rows work on copies of its matchers."""

    tokens: LLMatcher
    """Reads tokens."""

    text: LLMatcher
    """Reads bytes."""

    ending: list[int]
    """Tokens of the smallest valid text."""

    spare: int
    """Tokens that one token may add to the ending, by beginning something long."""


class _Vocabulary:
    """The text of each token of a tokenizer, and the schemas compiled for it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokens = from_tokenizer(tokenizer)
        ordinary = (each for each in range(self.tokens.vocab_size) if not self.tokens.is_special_token(each))
        self.texts = {token: text for token in ordinary if (text := self.tokens.decode_bytes([token]))}
        self.compile = lru_cache(KEPT_SCHEMAS)(self._compile)
        self._ids = {text: token for token, text in self.texts.items()}
        self._longest_token = max(map(len, self._ids), default=0)

    def spell(self, text: bytes) -> list[int]:
        """Write bytes with the longest tokens."""
        spelled = []
        while text:
            lengths = range(min(self._longest_token, len(text)), 0, -1)
            length = next((length for length in lengths if text[:length] in self._ids), 0)
            if not length:
                raise InputError("tokenizer", f"none of its tokens writes {text[:1]!r}", "Use another model")
            spelled.append(self._ids[text[:length]])
            text = text[length:]
        return spelled

    def _compile(self, schema: str) -> _Grammar:
        try:
            narrowed = narrow(json.loads(schema))
        except (AttributeError, TypeError) as error:
            raise InputError("schema", f"it is no JSON schema: {error}", "Check its keywords' values") from error
        text = _matcher(_BYTES, narrowed)
        smallest = _shortest_ending(text)
        if smallest is None:
            raise InputError("schema", "no text was found that is valid for it", "Leave out patterns of strings")
        spare = SPARE + 2 * self._longest(narrowed)
        return _Grammar(_matcher(self.tokens, narrowed), text, self.spell(smallest), spare)

    def _longest(self, schema: Any) -> int:
        """Count the tokens of the largest part of a schema that one token may begin, written as short as it can be."""
        sizes = [0]
        definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        for part in parts(schema):
            literals = [*part.get("enum", []), part.get("const")]
            sizes += [len(self.spell(json.dumps(each, ensure_ascii=False).encode())) for each in literals]
            sizes.append(sum(map(int, re.findall("{([0-9]+)", part.get("pattern", "")))))
            matcher = LLMatcher(_BYTES, _grammar(definitions | part), log_level=0)
            ending = None if matcher.is_error() else _ending(matcher)
            sizes.append(len(self.spell(ending or b"")))
        return max(sizes)


class _Row:
    """What one row of a batch has written so far."""

    def __init__(self, vocabulary: _Vocabulary, grammar: _Grammar, max_tokens: int, end_tokens: list[int]) -> None:
        self._vocabulary = vocabulary
        self._tokens = grammar.tokens.deep_copy()
        self._text = grammar.text.deep_copy()
        self._ending = grammar.ending
        self._spare = grammar.spare
        self._left = max_tokens - 1  # one for the end token
        self._end_tokens = end_tokens
        self._ended = False

    def accept(self, token: int) -> None:
        """Take note of the token that was chosen."""
        self._ended = self._ended or token in self._end_tokens
        if self._ended:
            return
        follows = self._ending[1:] if self._ending[:1] == [token] else None
        endings = [ending for ending in (follows, self._ending_after(token)) if ending is not None]
        if not self._tokens.consume_token(token) or not endings:
            raise InputError("logits_processor", f"token {token} was not allowed", "Generate without beams")
        self._text.consume_tokens(list(self._vocabulary.texts[token]))
        self._ending = min(endings, key=len)
        self._left -= 1
        if self._left < len(self._ending):
            problem = f"a pattern takes {len(self._ending) - self._left} tokens more than there are"
            raise InputError("max_tokens", problem, "Allow more tokens, or simplify the schema's patterns")

    def allowed(self, scores: Tensor) -> Tensor:
        """Tell which tokens may come next, [vocabulary]; scores [vocabulary]."""
        allowed = np.zeros(len(scores), dtype=bool)
        if not self._ended and not self._tokens.is_stopped():
            bits = np.frombuffer(self._tokens.compute_bitmask(), dtype=np.uint8)
            grammatical = np.unpackbits(bits, bitorder="little")[: len(scores)]
            allowed[: len(grammatical)] = grammatical
            allowed[self._vocabulary.tokens.eos_token] = False  # one of its own, perhaps none of `end_tokens`
            if self._is_tight():
                allowed = self._safe(allowed, scores)
        allowed[self._end_tokens] = self._ended or self._text.is_accepting()
        return torch.from_numpy(allowed)

    def _is_tight(self) -> bool:
        return self._left - len(self._ending) <= self._spare or self._depth(self._ending) >= DEEPEST

    def _safe(self, allowed: NDArray[np.bool_], scores: Tensor) -> NDArray[np.bool_]:
        """Leave the likeliest of the allowed tokens after which there is time to end, and the one that begins to."""
        safe = np.zeros_like(allowed)
        safe[self._ending[:1]] = True
        likeliest = scores.cpu().masked_fill(torch.from_numpy(~allowed), -torch.inf).topk(min(TRIED, len(scores)))
        for token in likeliest.indices.tolist():
            safe[token] |= allowed[token] and self._fits(token)
        return safe

    def _fits(self, token: int) -> bool:
        ending = self._ending_after(token)
        return ending is not None and len(ending) < self._left and self._depth(ending) <= DEEPEST

    def _ending_after(self, token: int) -> list[int] | None:
        text = self._vocabulary.texts[token]
        ending = _ending(self._text, text)
        return None if ending is None else self._vocabulary.spell(ending[len(text) :])

    def _depth(self, ending: list[int]) -> int:
        """Count the brackets that are open: the ending closes them, and what it opens itself."""
        text = b"".join(self._vocabulary.texts[token] for token in ending)
        return sum(map(text.count, (b"}", b"]"))) - sum(map(text.count, (b"{", b"[")))


def _vocabulary(tokenizer: PreTrainedTokenizerFast) -> _Vocabulary:
    with _lock:
        if tokenizer not in _vocabularies:
            _vocabularies[tokenizer] = _Vocabulary(tokenizer)
        return _vocabularies[tokenizer]


def _grammar(schema: dict[str, Any]) -> str:
    return LLMatcher.grammar_from_json_schema(schema | {"x-guidance": {"whitespace_flexible": False}})


def _matcher(tokens: LLTokenizer, schema: dict[str, Any]) -> LLMatcher:
    matcher = LLMatcher(tokens, _grammar(schema), log_level=0)
    if matcher.is_error():
        problem = f"it cannot be enforced: {' '.join(matcher.get_error().split())}"
        raise InputError("schema", problem, "Describe the answer without that")
    return matcher


def _ending(matcher: LLMatcher, first: bytes = b"") -> bytes | None:
    """Find a short text that begins with `first` and ends what a matcher has read; None if none is found."""
    matcher = matcher.deep_copy()
    matcher.consume_tokens(list(first))
    text = bytearray(first)
    used = np.zeros(256)
    while not matcher.is_accepting():
        step = matcher.compute_ff_bytes()
        if not step:
            allowed = _allowed_bytes(matcher)
            # Bytes take turns, as that leads out of a pattern that has circles.
            cost = (_COST_IN_TEXT if allowed[ord(" ")] else _COST) + used
            step = bytes([np.where(allowed, cost, np.inf).argmin()])
            used[step[0]] += 1
        text += step
        if len(text) > ENDING_LIMIT or not matcher.consume_tokens(list(step)):
            return None
    return bytes(text)


def _shortest_ending(matcher: LLMatcher) -> bytes | None:
    """Find a shorter one, by trying all that may come wherever there is a choice other than of letters."""
    matcher = matcher.deep_copy()
    text, best = b"", _ending(matcher)
    while best is not None and not matcher.is_accepting():
        choices = _allowed_bytes(matcher).nonzero()[0]
        if 1 < len(choices) < LETTERS:
            endings = (_ending(matcher, bytes([byte])) for byte in choices)
            best = min([best, *(text + ending for ending in endings if ending is not None)], key=len)
        step = best[len(text) : len(text) + 1]
        matcher.consume_tokens(list(step))
        text += step
    return best


def _allowed_bytes(matcher: LLMatcher) -> NDArray[np.bool_]:
    bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
    return np.unpackbits(bits, count=256, bitorder="little").view(np.bool_)
