"""Constrained decoding: JSON that is valid for a schema, and complete within a token budget, whatever the weights.

llguidance computes which tokens the schema allows next. It needs 2 to 4 ms to compile a schema for a vocabulary of
32,000 to 150,000 tokens (xgrammar: 0.5 to 3 s, outlines-core: 0.4 to 10 s).

That alone does not guarantee an end: a string or list may continue until the budget is used up. So each row of a batch
tracks a valid completion: tokens that close everything that is open, found on a copy of the grammar that consumes
bytes, which is fast. While the budget is much larger than the completion, all tokens of the grammar are allowed. When
it gets tight, only the completion's first token is, and the most likely tokens after which a completion still fits.
The same happens inside arrays whose items must be distinct, which no grammar can express: `distinct_values` rejects the
completions that repeat an item.
"""

import json
import re
import threading
from collections.abc import Iterator, Sequence
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

from langchain_videochat.embed.distinct_values import DistinctValues
from langchain_videochat.embed.json_schemas import iter_subschemas, narrow_schema, union_schema
from langchain_videochat.errors import InputError

MAX_COMPLETION_BYTES = 10_000
"""Limit of the search for a completion: some regular expressions offer no short way out."""

MAX_DEAD_ENDS = 300
"""Limit of the search for a completion with distinct values, which may have to try many of them."""

MAX_CANDIDATES = 8
"""Most likely tokens to check when the budget is tight. Each takes 0.1 to 0.5 ms."""

RESERVE = 32
"""Tokens by which one token may lengthen the completion inside a number or format, besides parts of the schema."""

MAX_DEPTH = 64
"""Nesting depth. Parsers fail at 200 (pydantic) or 1,000 (Python)."""

FREE_TEXT_CHOICES = 25
"""If at least this many bytes may come next, they are letters of free text, and any of them will do."""

MAX_SCHEMAS = 64
"""Compiled schemas to cache per tokenizer."""

_BYTES = LLTokenizer("byte")
_CHEAP = b",@.:0123456789ntf"
_EXPENSIVE = b"[{\\" + bytes(range(128, 256))
_COST = np.array([100.0 if byte in _EXPENSIVE else 0.5 for byte in range(256)])
_COST[[*_CHEAP]] = np.linspace(0, 0.4, len(_CHEAP))
_COST_IN_TEXT = _COST.copy()
_COST[[*b'}]"']] = -3e9, -2e9, -1e9
_COST_IN_TEXT[ord('"')] = -1e9
"""Costs of bytes in a completion: closing bytes first, then those that start something short."""

_vocabularies: WeakKeyDictionary[PreTrainedTokenizerFast, "_Vocabulary"] = WeakKeyDictionary()
_lock = threading.Lock()


class JsonConstraint(LogitsProcessor):
    """A logits processor for JSON that is valid for a schema, without whitespace, followed by an end token.

    Each constraint is for one call of `generate`, without beam search. Objects have their keys in the schema's order.

    Args:
        tokenizer: A fast tokenizer.
        schema: A JSON schema; None allows lines only.
        max_tokens: Maximum number of tokens, including the end token; pass the same value as `max_new_tokens`.
        end_tokens: Ids of tokens that end a text; that of the tokenizer if None.
        line_schema: A JSON schema of objects: the text may also be one or more lines, each valid for it. Another line
            is generated only if the model's most likely token starts one: a model that is not trained to write several
            would continue by chance.

    Raises:
        InputError: The schema contains something that cannot be enforced, nothing is valid for it, the tokenizer cannot
            encode it, or the smallest valid text takes more than `max_tokens`.

    Example:
        Constrain any model to a grade:

            constraint = JsonConstraint(tokenizer, {"type": "integer", "minimum": 1, "maximum": 5}, max_tokens=8)
            model.generate(**inputs, max_new_tokens=8, logits_processor=[constraint])
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        schema: dict[str, Any] | None,
        max_tokens: int,
        end_tokens: Sequence[int] | None = None,
        *,
        line_schema: dict[str, Any] | None = None,
    ) -> None:
        self._vocabulary = _vocabulary(tokenizer)
        self._grammar = self._vocabulary.compile(json.dumps(schema), json.dumps(line_schema))
        self._max_tokens = max_tokens
        self._end_tokens = [tokenizer.eos_token_id] if end_tokens is None else list(end_tokens)
        self._rows: list[_Row] = []
        needed = len(self._grammar.completion) + 1
        if max_tokens < needed:
            problem = f"the smallest valid answer takes {needed} tokens, got {max_tokens}"
            raise InputError("max_tokens", problem, "Increase it, or simplify the schema")

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask tokens after which no completion fits the budget.

        Args:
            input_ids: [B, L].
            scores: [B, vocabulary].
        """
        if self._rows:
            for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
                row.accept(token)
        else:
            self._rows = [_Row(self._vocabulary, self._grammar, self._max_tokens, self._end_tokens) for _ in scores]
        # Allowed tokens may be -inf or NaN already. They must still rank above the tokens that are masked here.
        finite = scores.nan_to_num(nan=torch.finfo(scores.dtype).min)
        allowed = torch.stack([row.allowed(row_scores) for row, row_scores in zip(self._rows, finite, strict=True)])
        return finite.masked_fill(~allowed.to(scores.device), -torch.inf)


@dataclass(frozen=True)
class _Grammar:
    """A schema compiled for a tokenizer. Rows use copies of its matchers."""

    token_matcher: LLMatcher
    byte_matcher: LLMatcher
    distinct_values: DistinctValues | None
    has_lines: bool

    completion: list[int]
    """Tokens of the smallest valid text."""

    reserve: int
    """Tokens by which one token may lengthen the completion, if it starts something long."""


class _Vocabulary:
    """The bytes of each token of a tokenizer, and the schemas compiled for it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = from_tokenizer(tokenizer)
        regular = (token for token in range(self.tokenizer.vocab_size) if not self.tokenizer.is_special_token(token))
        self.bytes = {token: text for token in regular if (text := self.tokenizer.decode_bytes([token]))}
        self.compile = lru_cache(MAX_SCHEMAS)(self._compile)
        self._ids = {text: token for token, text in self.bytes.items()}
        self._max_token_bytes = max(map(len, self._ids), default=0)

    def encode(self, text: bytes) -> list[int]:
        """Encode bytes greedily with the longest tokens."""
        tokens = []
        while text:
            lengths = range(min(self._max_token_bytes, len(text)), 0, -1)
            length = next((length for length in lengths if text[:length] in self._ids), 0)
            if not length:
                raise InputError("tokenizer", f"it has no token for {text[:1]!r}", "Use another model")
            tokens.append(self._ids[text[:length]])
            text = text[length:]
        return tokens

    def _compile(self, schema: str, line_schema: str) -> _Grammar:
        document, line = json.loads(schema), json.loads(line_schema)
        schemas = [one for one in (document, line) if one is not None]
        try:
            narrowed = [narrow_schema(one) for one in schemas]
            distinct_values = DistinctValues.of(union_schema(schemas))
        except (AttributeError, TypeError) as error:
            raise InputError("schema", f"not a valid JSON schema: {error}", "Check its keywords' values") from error
        grammar = _grammar(narrowed[0] if document is not None else None, narrowed[-1] if line is not None else None)
        byte_matcher = _matcher(_BYTES, grammar)
        smallest = _smallest_completion(byte_matcher, distinct_values)
        if smallest is None:
            raise InputError("schema", "no valid text was found", "Simplify patterns, or require fewer distinct items")
        reserve = RESERVE + 2 * max(map(self._largest_part, narrowed))
        token_matcher = _matcher(self.tokenizer, grammar)
        return _Grammar(token_matcher, byte_matcher, distinct_values, line is not None, self.encode(smallest), reserve)

    def _largest_part(self, schema: Any) -> int:
        """Return the number of tokens of the largest part of a schema that one token may start."""
        sizes = [0]
        definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        for part in iter_subschemas(schema):
            literals = [*part.get("enum", []), part.get("const")]
            sizes += [len(self.encode(json.dumps(literal, ensure_ascii=False).encode())) for literal in literals]
            sizes.append(sum(map(int, re.findall("{([0-9]+)", part.get("pattern", "")))))
            matcher = LLMatcher(_BYTES, LLMatcher.grammar_from_lark(_grammar(definitions | part)), log_level=0)
            completion = None if matcher.is_error() else _complete(matcher)
            sizes.append(len(self.encode(completion or b"")))
        return max(sizes)


class _Row:
    def __init__(self, vocabulary: _Vocabulary, grammar: _Grammar, max_tokens: int, end_tokens: list[int]) -> None:
        self._vocabulary = vocabulary
        self._token_matcher = grammar.token_matcher.deep_copy()
        self._byte_matcher = grammar.byte_matcher.deep_copy()
        self._distinct_values = grammar.distinct_values
        self._has_lines = grammar.has_lines
        self._completion = grammar.completion
        self._reserve = grammar.reserve
        self._budget = max_tokens - 1  # one for the end token
        self._end_tokens = end_tokens
        self._is_finished = False

    def accept(self, token: int) -> None:
        self._is_finished = self._is_finished or token in self._end_tokens
        if self._is_finished:
            return
        rest = self._completion[1:] if self._completion[:1] == [token] else None
        completions = [one for one in (rest, self._completion_after(token)) if one is not None]
        if not self._token_matcher.consume_token(token) or not completions:
            raise InputError("logits_processor", f"token {token} was masked", "Generate without beam search")
        self._byte_matcher.consume_tokens(list(self._vocabulary.bytes[token]))
        if self._distinct_values is not None:
            self._distinct_values = self._distinct_values.feed(self._vocabulary.bytes[token])
        self._completion = min(completions, key=len)
        self._budget -= 1
        if self._budget < len(self._completion):
            problem = f"a pattern needs {len(self._completion) - self._budget} more tokens"
            raise InputError("max_tokens", problem, "Increase it, or simplify the schema's patterns")

    def allowed(self, scores: Tensor) -> Tensor:
        """Return a mask of the tokens that may come next, [vocabulary], given their scores, [vocabulary]."""
        allowed = np.zeros(len(scores), dtype=bool)
        if not self._is_finished and not self._token_matcher.is_stopped():
            bits = np.frombuffer(self._token_matcher.compute_bitmask(), dtype=np.uint8)
            grammatical = np.unpackbits(bits, bitorder="little")[: len(scores)]
            allowed[: len(grammatical)] = grammatical
            allowed[self._vocabulary.tokenizer.eos_token] = False  # may not be one of `end_tokens`
            if self._must_check():
                allowed = self._keep_completable(allowed, scores)
            if self._has_lines and self._byte_matcher.is_accepting() and not allowed[int(scores.argmax())]:
                allowed[:] = False
        allowed[self._end_tokens] = self._is_finished or self._byte_matcher.is_accepting()
        return torch.from_numpy(allowed)

    def _must_check(self) -> bool:
        """Return whether there may be no completion after a token that the grammar allows."""
        is_tight = self._budget - len(self._completion) <= self._reserve
        is_deep = self._depth(self._completion) >= MAX_DEPTH
        return is_tight or is_deep or (self._distinct_values is not None and self._distinct_values.is_inside)

    def _keep_completable(self, allowed: NDArray[np.bool_], scores: Tensor) -> NDArray[np.bool_]:
        """Keep the first token of the completion, and the most likely tokens after which a completion fits."""
        kept = np.zeros_like(allowed)
        kept[self._completion[:1]] = True
        scores = scores.cpu().masked_fill(torch.from_numpy(~allowed), -torch.inf)
        for token in scores.topk(min(MAX_CANDIDATES, len(scores))).indices.tolist():
            kept[token] |= allowed[token] and self._fits(token)
        return kept

    def _fits(self, token: int) -> bool:
        completion = self._completion_after(token)
        return completion is not None and len(completion) < self._budget and self._depth(completion) <= MAX_DEPTH

    def _completion_after(self, token: int) -> list[int] | None:
        text = self._vocabulary.bytes[token]
        completion = _complete(self._byte_matcher, text, self._distinct_values)
        return None if completion is None else self._vocabulary.encode(completion[len(text) :])

    def _depth(self, completion: list[int]) -> int:
        """Return the number of open brackets: the completion closes them, and those it opens itself."""
        text = b"".join(self._vocabulary.bytes[token] for token in completion)
        return sum(map(text.count, (b"}", b"]"))) - sum(map(text.count, (b"{", b"[")))


def _vocabulary(tokenizer: PreTrainedTokenizerFast) -> _Vocabulary:
    with _lock:
        if tokenizer not in _vocabularies:
            _vocabularies[tokenizer] = _Vocabulary(tokenizer)
        return _vocabularies[tokenizer]


def _grammar(schema: dict[str, Any] | None, line_schema: dict[str, Any] | None = None) -> str:
    """Return a grammar, in Lark's format, of JSON that is valid for a schema, or of lines of JSON."""
    rules = {"document": schema, "line": line_schema}
    texts = {"document": "document", "line": 'line ("\\n" line)*'}
    known = {
        name: rule | {"x-guidance": {"whitespace_flexible": False}} for name, rule in rules.items() if rule is not None
    }
    start = " | ".join(texts[name] for name in known)
    return "\n".join([f"start: {start}", *(f"{name}: %json {json.dumps(rule)}" for name, rule in known.items())])


def _matcher(tokens: LLTokenizer, grammar: str) -> LLMatcher:
    matcher = LLMatcher(tokens, LLMatcher.grammar_from_lark(grammar), log_level=0)
    if matcher.is_error():
        problem = f"it cannot be enforced: {' '.join(matcher.get_error().split())}"
        raise InputError("schema", problem, "Remove the unsupported keyword")
    return matcher


def _complete(matcher: LLMatcher, prefix: bytes = b"", values: DistinctValues | None = None) -> bytes | None:
    """Return a short text that completes what a matcher has consumed, starting with `prefix`; None if none is found."""
    if values is not None:
        values = values.feed(prefix)
        if values is None:
            return None
    matcher = matcher.deep_copy()
    matcher.consume_tokens(list(prefix))
    text = bytearray(prefix)
    used = np.zeros(256)
    # The state at each step, and the steps that were not tried there, for the way back from a dead end.
    choices: list[tuple[int, DistinctValues | None, Iterator[bytes]]] = []
    dead_ends = 0
    while not matcher.is_accepting():
        choices.append((len(text), values, _next_steps(matcher, used, values)))
        while (step := next(choices[-1][2], None)) is None:
            choices.pop()
            dead_ends += 1
            if not choices or dead_ends > MAX_DEAD_ENDS:
                return None
        length, values, _ = choices[-1]
        if length < len(text):
            matcher.rollback(len(text) - length)
        text[length:] = step
        used[step[0]] += 1
        values = None if values is None else values.feed(step)
        if len(text) > MAX_COMPLETION_BYTES or not matcher.consume_tokens(list(step)):
            return None
    return bytes(text)


def _next_steps(matcher: LLMatcher, used: NDArray[np.float64], values: DistinctValues | None) -> Iterator[bytes]:
    """Return bytes that may come next, the cheapest first. Without values to compare, one is enough."""
    forced = matcher.compute_ff_bytes()
    if forced:
        steps = [forced]
    else:
        allowed = _allowed_bytes(matcher)
        # Using a byte raises its cost, which breaks out of loops in patterns.
        cost = np.where(allowed, (_COST_IN_TEXT if allowed[ord(" ")] else _COST) + used, np.inf)
        order = [cost.argmin()] if values is None else cost.argsort()[: allowed.sum()]
        steps = [bytes([byte]) for byte in order]
    return iter(steps) if values is None else (step for step in steps if values.feed(step) is not None)


def _smallest_completion(matcher: LLMatcher, values: DistinctValues | None) -> bytes | None:
    """Return a shorter completion, by trying all bytes wherever there is a choice other than of letters."""
    matcher = matcher.deep_copy()
    text, best = b"", _complete(matcher, b"", values)
    while best is not None and not matcher.is_accepting():
        choices = _allowed_bytes(matcher).nonzero()[0]
        if 1 < len(choices) < FREE_TEXT_CHOICES:
            completions = (_complete(matcher, bytes([byte]), values) for byte in choices)
            best = min([best, *(text + completion for completion in completions if completion is not None)], key=len)
        step = best[len(text) : len(text) + 1]
        matcher.consume_tokens(list(step))
        values = None if values is None else values.feed(step)
        text += step
    return best


def _allowed_bytes(matcher: LLMatcher) -> NDArray[np.bool_]:
    bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
    return np.unpackbits(bits, count=256, bitorder="little").view(np.bool_)
