"""Constrained decoding: valid and complete JSON, whatever the weights."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, ForwardRef, Literal, cast
from uuid import UUID

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import validate  # type: ignore[import-untyped]
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import AnyUrl, BaseModel, Field, create_model
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from langchain_videochat.embed.constrained import JsonConstraint
from langchain_videochat.embed.json_schemas import call_schema
from langchain_videochat.errors import InputError
from tests.tiny_videochat import SPREAD, byte_tokenizer

ROOM = 2048
"""More tokens than the smallest valid answer of any schema here."""


def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer like that of LLaMA, with a marker for spaces and byte fallback."""
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "▁the",
        '":',
        '{"',
        "name",
        "▁{",
    ]
    pieces += [chr(letter) for letter in range(33, 127)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def merged_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer with tokens for fragments of JSON, words and characters."""
    tokenizer = byte_tokenizer()
    pieces = ['{"', '":', '":"', '","', '[{"', "},{", '"]', "]}", "[[[[", "ä", "true", "null", "Ġthe"]
    pieces += [f"{number:x}" for number in range(10, size)]
    vocabulary = tokenizer.get_vocab()
    new_pieces = dict.fromkeys(piece for piece in pieces if piece not in vocabulary)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend["model"]["vocab"] |= {piece: len(vocabulary) + number for number, piece in enumerate(new_pieces)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(backend)), bos_token="<s>", eos_token="</s>"
    )


TOKENIZERS = {
    "bytes": byte_tokenizer(),
    "sentencepiece": sentencepiece_tokenizer(),
    "merged": merged_tokenizer(1000),
}


def language_model(vocabulary: int, seed: int) -> Any:
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    model = LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=SPREAD, generator=generator)
    return model


def generate(
    schema: dict[str, Any],
    *,
    tokenizer: PreTrainedTokenizerFast = TOKENIZERS["bytes"],
    max_tokens: int = ROOM,
    rows: int = 1,
    seed: int = 0,
    vocabulary: int | None = None,
    end_tokens: list[int] | None = None,
    temperature: float = 1.5,
) -> list[str]:
    """Generate answers with random weights, each of which must end with an end token."""
    constraint = JsonConstraint(tokenizer, schema, max_tokens, end_tokens)
    ends = end_tokens or [tokenizer.eos_token_id]
    model = language_model(vocabulary or len(tokenizer), seed)
    torch.manual_seed(seed)
    tokens = model.generate(
        inputs_embeds=torch.randn(rows, 3, 16),
        attention_mask=torch.ones(rows, 3, dtype=torch.int64),
        max_new_tokens=max_tokens,
        logits_processor=[constraint],
        eos_token_id=ends,
        pad_token_id=ends[0],
        **({"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}),
    )
    assert all(set(row) & set(ends) for row in tokens.tolist())
    return list(tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,7}|[дщё][жйл]{0,4}|[名長][前さ]{0,2}|[ñé][a-zéü]{1,4}", fullmatch=True).filter(
    lambda name: not hasattr(BaseModel, name) and not name.startswith("model_")
)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@st.composite
def bounded_numbers(draw: st.DrawFn, kind: type) -> Any:
    low = draw(st.integers(-500, 500))
    width = draw(st.integers(2, 1000))
    scale = 1 if kind is int else draw(st.sampled_from([1, 0.5, 0.01]))
    lower, upper = draw(st.sampled_from(["ge", "gt"])), draw(st.sampled_from(["le", "lt"]))
    bounds: dict[str, Any] = {lower: low * scale, upper: (low + width) * scale}
    for name in draw(st.sets(st.sampled_from([lower, upper]), max_size=1)):
        del bounds[name]
    return (kind, Field(**bounds))


@st.composite
def bounded_texts(draw: st.DrawFn) -> Any:
    low = draw(st.integers(0, 5))
    return (str, draw(st.sampled_from([Field(min_length=low), Field(min_length=low, max_length=low + 3)])))


@st.composite
def bounded_lists(draw: st.DrawFn, items: st.SearchStrategy[Any]) -> Any:
    low = draw(st.integers(0, 2))
    kind: Any = draw(items)
    return (list[kind], draw(st.sampled_from([Field(min_length=low), Field(max_length=low + 2)])))


ENUMS: st.SearchStrategy[Any] = st.builds(
    lambda words: Enum("Choice", {f"n{number}": word for number, word in enumerate(words)}),
    st.lists(WORDS, min_size=1, max_size=4, unique=True),
)
LITERALS: st.SearchStrategy[Any] = st.lists(
    WORDS | st.integers(-9, 9) | st.booleans(), min_size=1, max_size=4, unique_by=repr
).map(lambda values: Literal[tuple(values)])
NAMES_OF_KEYS: st.SearchStrategy[Any] = st.lists(WORDS, min_size=1, max_size=4, unique=True).map(
    lambda values: Literal[tuple(values)]
)
HASHABLE: st.SearchStrategy[Any] = st.sampled_from(
    [int, float, str, bool, date, UUID, Decimal, tuple[int, bool], frozenset[bool]]
)
PLAIN: st.SearchStrategy[Any] = HASHABLE | st.sampled_from(
    [Any, datetime, time, timedelta, AnyUrl, dict[str, int], tuple[int, str], tuple[bool, ...], bytes]
)


@st.composite
def sets(draw: st.DrawFn) -> Any:
    values = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
    few: Any = Literal[tuple(values)]
    kind: Any
    kind, most = draw(HASHABLE.map(lambda kind: (kind, 2)) | st.just((few, len(values))))
    low = draw(st.integers(0, most))
    of_kind: Any = draw(st.sampled_from([set[kind], frozenset[kind]]))
    return (of_kind, draw(st.sampled_from([Field(min_length=low), Field(min_length=low, max_length=most + 1)])))


@st.composite
def dicts(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Any:
    keys: Any = draw(
        NAMES_OF_KEYS
        | ENUMS
        | st.sampled_from([str, date, UUID, Annotated[str, Field(min_length=1, max_length=3)]])
        | st.just(Annotated[str, Field(pattern="^[a-z]+$")])
    )
    value: Any = draw(values)
    low = draw(st.integers(0, 1))
    return (dict[keys, value], draw(st.sampled_from([Field(min_length=low), Field(max_length=low + 1)])))


def variants(fields: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Any]:
    """Return unions of two models that a discriminator distinguishes."""

    def union(of_one: dict[str, Any], of_other: dict[str, Any]) -> Any:
        one = create_model("One", **(of_one | {"kind": (Literal["one"], ...)}))
        other = create_model("Other", **({"kind": (Literal["other", "another"], ...)} | of_other))
        return Annotated[one | other, Field(discriminator="kind")]

    return st.builds(union, fields, fields)


def pydantic_models(depth: int = 2) -> st.SearchStrategy[type[BaseModel]]:
    kinds: st.SearchStrategy[Any] = PLAIN | ENUMS | LITERALS
    if depth:
        kinds |= pydantic_models(depth - 1)
        kinds |= variants(st.dictionaries(NAMES, PLAIN | ENUMS | LITERALS, max_size=2).map(required))
    kinds |= kinds.map(lambda kind: kind | None) | st.tuples(kinds, kinds).map(lambda pair: pair[0] | pair[1])
    kinds |= kinds.map(lambda kind: list[kind])  # type: ignore[valid-type]
    described = st.tuples(kinds, WORDS).map(lambda pair: (pair[0], Field(description=pair[1])))
    bounded = bounded_numbers(int) | bounded_numbers(float) | bounded_numbers(Decimal) | bounded_texts()
    bounded |= bounded_lists(kinds) | sets() | dicts(kinds)
    with_default = kinds.map(lambda kind: (kind | None, None))
    itself: Any = ForwardRef("Answer")
    recursive: st.SearchStrategy[Any] = st.sampled_from(
        [(itself | None, None), (list[itself], ...), (dict[str, itself], Field(max_length=2))]
    )
    fields = st.dictionaries(NAMES, described | bounded | with_default | recursive, min_size=1, max_size=4)
    return fields.map(lambda fields: create_model("Answer", **cast("Any", fields)))


def required(kinds: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a model, all of which are required."""
    return {name: (kind, ...) for name, kind in kinds.items()}


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pydantic_models(),
    st.sampled_from(sorted(TOKENIZERS)),
    st.sampled_from([0.0, 0.7, 5.0]),
    st.integers(0, 150),
    st.integers(0, 1000),
)
def test_random_weights_generate_valid_instances(
    answer: type[BaseModel], name: str, temperature: float, room: int, seed: int
) -> None:
    schema = answer.model_json_schema()
    needed = tokens_needed(schema, TOKENIZERS[name])
    (text,) = generate(schema, tokenizer=TOKENIZERS[name], max_tokens=needed + room, seed=seed, temperature=temperature)
    answer.model_validate_json(text)
    answer.model_validate(json.loads(text))
    validate(json.loads(text), schema)


def integer(**keywords: Any) -> dict[str, Any]:
    return {"type": "integer", **keywords}


def text(**keywords: Any) -> dict[str, Any]:
    return {"type": "string", **keywords}


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


class Mood(BaseModel):
    """A mood."""

    name: Literal["glad", "sad"]
    strength: float = Field(ge=0, le=1)


TREE = {
    "$defs": {"Tree": record(leaves={"type": "array", "items": {"$ref": "#/$defs/Tree"}})},
    "$ref": "#/$defs/Tree",
}


def tokens_needed(schema: dict[str, Any], tokenizer: PreTrainedTokenizerFast = TOKENIZERS["bytes"]) -> int:
    with pytest.raises(InputError, match=r"takes \d+ tokens, got 0") as caught:
        JsonConstraint(tokenizer, schema, 0)
    return int(caught.value.problem.split()[5])


def depth(tree: dict[str, Any]) -> int:
    return 1 + max((depth(each) for each in tree["leaves"]), default=0)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_recursion_is_limited(name: str) -> None:
    for seed in range(2):
        (answer,) = generate(TREE, tokenizer=TOKENIZERS[name], seed=seed, temperature=0, max_tokens=500)
        assert depth(json.loads(answer)) < 100


def test_rows_of_a_batch_are_independent() -> None:
    answers = generate(record(name=text(maxLength=40), size=integer(minimum=0)), rows=6, max_tokens=150)
    assert all(json.loads(answer).keys() == {"name", "size"} for answer in answers)
    assert len({len(answer) for answer in answers}) > 1


@pytest.mark.parametrize("more", [0, 100])
def test_ids_unknown_to_the_tokenizer_are_masked(more: int) -> None:
    tokenizer = TOKENIZERS["merged"]
    answers = generate(
        record(name=text()), tokenizer=tokenizer, vocabulary=len(tokenizer) + more, rows=4, max_tokens=150
    )
    assert all(json.loads(answer).keys() == {"name"} for answer in answers)


def test_ids_unknown_to_the_language_model_are_ignored() -> None:
    tokenizer = byte_tokenizer(extra_special_tokens=["<|im_start|>", "<|im_end|>", "<video>"])
    (answer,) = generate(record(name=text()), tokenizer=tokenizer, vocabulary=len(tokenizer) - 1, max_tokens=100)
    assert json.loads(answer).keys() == {"name"}


def test_a_large_vocabulary() -> None:
    tokenizer = merged_tokenizer(32_000)
    for answer in generate(
        record(name=text(), sizes={"type": "array", "items": integer()}), tokenizer=tokenizer, rows=2, max_tokens=120
    ):
        assert isinstance(json.loads(answer)["name"], str)


def test_several_end_tokens() -> None:
    tokenizer = TOKENIZERS["bytes"]
    ends = cast("list[int]", tokenizer.convert_tokens_to_ids(["</s>", "<|im_end|>"]))
    constraint = JsonConstraint(tokenizer, {"const": 1}, 5, ends)
    scores = torch.zeros(1, 300)
    first = constraint(torch.zeros(1, 0, dtype=torch.int64), scores)
    (one,) = tokenizer("1", add_special_tokens=False).input_ids
    assert first[0].isfinite().nonzero().flatten().tolist() == [one]
    last = constraint(torch.tensor([[one]]), scores)
    assert last[0].isfinite().nonzero().flatten().tolist() == sorted(ends)
    assert generate({"const": 1}, end_tokens=ends) == ["1"]


@pytest.mark.parametrize("score", [-torch.inf, torch.inf, torch.nan])
def test_non_finite_scores(score: float) -> None:
    constraint = JsonConstraint(TOKENIZERS["bytes"], {"const": 1}, 5)
    (one,) = TOKENIZERS["bytes"]("1", add_special_tokens=False).input_ids
    scores = constraint(torch.zeros(1, 0, dtype=torch.int64), torch.full((1, 300), score))
    assert scores.argmax().item() == one


ORDER = record(
    customer=record(name=text(minLength=1), mail=text(format="email")),
    state={"enum": ["a very long state", "open"]},
    parts={"type": "array", "items": {"anyOf": [record(number=integer(minimum=1)), {"type": "null"}]}, "minItems": 2},
)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("more", [0, 1, 30])
def test_a_tight_token_budget(name: str, more: int) -> None:
    needed = tokens_needed(ORDER, TOKENIZERS[name])
    for temperature in (0, 1.5):
        (answer,) = generate(ORDER, tokenizer=TOKENIZERS[name], max_tokens=needed + more, temperature=temperature)
        assert json.loads(answer).keys() == {"customer", "state", "parts"}


def test_the_size_of_the_smallest_answer() -> None:
    schema = record(state={"enum": ["a very long state", "open"]}, kind={"anyOf": [text(minLength=9), integer()]})
    assert tokens_needed(schema) == len('{"state":"open","kind":0}') + 1


def test_a_too_small_budget_is_an_error() -> None:
    with pytest.raises(InputError, match="the smallest valid answer takes 9 tokens, got 8"):
        JsonConstraint(TOKENIZERS["bytes"], record(ab=integer()), 8)


@pytest.mark.parametrize(
    ("schema", "feature"),
    [
        ({"type": "array", "contains": integer()}, "contains"),
        (integer(**{"not": {"const": 3}}), "not"),
        (integer(**{"if": {"minimum": 3}, "then": {"maximum": 5}}), "if"),
        ({"type": "object", "properties": {"a": {}}, "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
        (text(format="iban"), "iban"),
        ({"type": "object", "properties": {"a": {}}, "propertyNames": {"pattern": "a"}}, "together with properties"),
        ({"propertyNames": {"pattern": "a", "minLength": 3}}, "propertyNames with minLength, pattern"),
        ({"propertyNames": {"$ref": "#/$defs/Name"}}, "refers to nothing"),
        (text(pattern="^(?!x)"), "look-ahead"),
        ({"$ref": "https://example.com/schema"}, "example.com"),
        (integer(minimum=5, maximum=4), "unsatisfiable"),
        ({"type": "number", "minimum": "a"}, "not a valid JSON schema"),
        ({"anyOf": 5}, "not a valid JSON schema"),
        ({"type": "word"}, "word"),
    ],
)
def test_unsupported_keywords_are_errors(schema: dict[str, Any], feature: str) -> None:
    with pytest.raises(InputError, match=feature):
        JsonConstraint(TOKENIZERS["bytes"], record(answer=schema), ROOM)


@pytest.mark.parametrize(
    "part",
    [
        text(pattern="^(ab)*c$"),
        text(pattern="^[A-Z]{3}-[0-9]{4}$"),
        text(pattern="x", maxLength=30),
        text(pattern="^a$|^b{30}$"),
        integer(multipleOf=7, minimum=10),
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
        {"type": "array", "prefixItems": [integer(), text()], "minItems": 2, "maxItems": 2},
        {"type": ["string", "null"]},
        {"allOf": [integer(minimum=3), integer(maximum=5)]},
    ],
)
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_other_keywords(part: dict[str, Any], temperature: float) -> None:
    schema = record(before=text(), part=part, after=text())
    for answer in generate(schema, rows=2, temperature=temperature, max_tokens=120):
        validate(json.loads(answer), schema)


DISTINCT = {"type": "array", "uniqueItems": True}
DISTINCT_NUMBERS = {"anyOf": [{"type": "null"}, {**DISTINCT, "items": integer(minimum=0, maximum=3), "minItems": 4}]}


@pytest.mark.parametrize(
    "schema",
    [
        {**DISTINCT, "items": {"enum": ["pan", "pot", 'a "bowl", or\\']}, "minItems": 3},
        {**DISTINCT, "items": {"type": ["boolean", "null"]}},
        {**DISTINCT, "items": record(size={"enum": [1, 2]}, name=text(maxLength=0)), "minItems": 2},
        {**DISTINCT, "items": {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 1}, "minItems": 3},
        {"$defs": {"Numbers": DISTINCT_NUMBERS}, "type": "array", "items": {"$ref": "#/$defs/Numbers"}, "minItems": 2},
        record(one={**DISTINCT, "prefixItems": [text(maxLength=3)], "items": integer(), "minItems": 3}),
    ],
)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_distinct_items(schema: dict[str, Any], name: str) -> None:
    for answer in generate(schema, tokenizer=TOKENIZERS[name], rows=2, max_tokens=60, temperature=5.0):
        validate(json.loads(answer), schema)


def test_items_of_other_alternatives_may_repeat() -> None:
    sets = record(kind={"const": "set"}, values={**DISTINCT, "items": {"enum": [1, 2]}, "minItems": 2})
    lists = record(kind={"const": "list"}, values={"type": "array", "items": {"const": 1}, "minItems": 3})
    answers = {answer[:12] for answer in generate({"anyOf": [sets, lists]}, rows=8, max_tokens=60)}
    assert answers == {'{"kind":"set', '{"kind":"lis'}


def test_too_many_distinct_items_are_an_error() -> None:
    with pytest.raises(InputError, match=r"no valid text was found\. .*fewer distinct items"):
        JsonConstraint(TOKENIZERS["bytes"], {**DISTINCT, "items": {"enum": [1, 2]}, "minItems": 3}, ROOM)


@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": text(maxLength=1), "minProperties": 3},
        {"additionalProperties": integer(), "propertyNames": {"enum": ["a", "b", "c"]}},
        {"additionalProperties": integer(), "propertyNames": {"enum": ["a", "b", "c"]}, "minProperties": 2},
        {"additionalProperties": integer(), "propertyNames": {"enum": ["a", "b", "c"]}, "maxProperties": 2},
        {"propertyNames": {"minLength": 2, "maxLength": 3}, "minProperties": 2},
        {"propertyNames": {"pattern": "^[a-c]$"}, "additionalProperties": {"type": "boolean"}, "minProperties": 3},
        {"propertyNames": {"type": "string"}},
    ],
)
def test_names_of_properties(schema: dict[str, Any]) -> None:
    schema = {"type": "object", **schema}
    for answer in generate(schema, rows=2, max_tokens=60, temperature=5.0):
        validate(json.loads(answer), schema)
        assert answer.count('":') == len(json.loads(answer))


@pytest.mark.parametrize("schema", [{}, {"type": "number"}, {"exclusiveMinimum": 3}, {"items": {"type": "number"}}])
def test_numbers_are_finite(schema: dict[str, Any]) -> None:
    for answer in generate(schema, rows=16, max_tokens=40, temperature=5.0):
        validate(json.loads(answer), schema)
        assert "e" not in re.sub('"[^"]*"|true|false', "", answer)


def test_decimals() -> None:
    answer = create_model("Answer", price=(Decimal | None, Field(ge=0)))
    for text in generate(answer.model_json_schema(), rows=8, max_tokens=40, temperature=5.0):
        answer.model_validate_json(text)


def test_alternatives_with_a_discriminator() -> None:
    one, other = record(kind={"const": "one"}), record(kind={"const": "other"}, again={"$ref": "#/$defs/Any"})
    alternatives = {"oneOf": [{"$ref": "#/$defs/One"}, {"$ref": "#/$defs/Other"}], "discriminator": {}}
    schema = {"$defs": {"Any": alternatives, "One": one, "Other": other}, "$ref": "#/$defs/Any"}
    for answer in generate(schema, rows=4, max_tokens=100):
        validate(json.loads(answer), schema)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_several_lines(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    line = record(size=integer(minimum=1, maximum=9))
    constraint = JsonConstraint(tokenizer, None, 100, line_schema=line)
    encoded = tokenizer('{"size":1}\n{"size":2}', add_special_tokens=False).input_ids
    generated: list[int] = []
    for token in encoded[encoded.index(tokenizer("{", add_special_tokens=False).input_ids[-1]) :]:
        scores = torch.zeros(1, len(tokenizer))
        scores[0, token] = 1
        assert constraint(torch.tensor([generated], dtype=torch.int64), scores).argmax().item() == token
        generated.append(token)
    assert tokenizer.decode(generated) == '{"size":1}\n{"size":2}'
    scores = torch.zeros(1, len(tokenizer))
    allowed = constraint(torch.tensor([generated]), scores)[0].isfinite().nonzero().flatten().tolist()
    assert allowed == [tokenizer.eos_token_id]


def test_a_pattern_that_exceeds_the_budget_is_an_error() -> None:
    with pytest.raises(InputError, match=r"a pattern needs [0-9]+ more tokens"):
        generate(text(pattern="^(a|(b{40}){40})$"), rows=8, max_tokens=300)


TOOLS = [
    convert_to_openai_tool(create_model("Walk", metres=(int, Field(ge=1, le=50)), mood=(Mood, ...))),
    convert_to_openai_tool(create_model("Talk", mood=(Mood, ...), to=(list[Mood], ...))),
    {"type": "function", "function": {"name": "stop"}},
    {"type": "function", "function": {"name": "grow", "parameters": TREE}},
]


def test_any_tool_is_called_with_valid_arguments() -> None:
    parameters = {tool["function"]["name"]: tool["function"].get("parameters", {"maxProperties": 0}) for tool in TOOLS}
    called = set()
    for answer in generate(call_schema(TOOLS), rows=16, max_tokens=150, temperature=5.0):
        call = json.loads(answer)
        assert call.keys() == {"name", "arguments"}
        validate(call["arguments"], parameters[call["name"]])
        called.add(call["name"])
    assert len(called) > 1


@pytest.mark.parametrize("name", ["Walk", "stop"])
def test_the_chosen_tool_is_called(name: str) -> None:
    for answer in generate(
        call_schema([tool for tool in TOOLS if tool["function"]["name"] == name]), rows=3, max_tokens=150
    ):
        assert json.loads(answer)["name"] == name


def test_threads_share_compiled_schemas() -> None:
    schemas = [record(**{f"field{number % 5}": text(), "size": integer()}) for number in range(10)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda schema: generate(schema, max_tokens=80, rows=2), schemas))
    for schema, (first, second) in zip(schemas, answers, strict=True):
        validate(json.loads(first), schema)
        validate(json.loads(second), schema)
