"""The files of sentence-transformers models that average the states of a text's tokens, as most of them do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PositiveInt, TypeAdapter, ValidationError

_PACKAGE = r"^sentence_transformers\.([a-z_]+\.)+"

_Folder = Annotated[str, Field(pattern=r"^\w+$")]


@dataclass(frozen=True)
class MeanPoolingConfig:
    """What distinguishes one mean-pooling model from another."""

    max_seq_length: int | None
    """Maximum number of tokens of a text; the limit of tokenizer and encoder if None."""

    normalize: bool
    """Whether vectors have length 1."""

    prompts: dict[str, str]
    """Prompts by their names in sentence-transformers, such as "query"."""


def read_mean_pooling_config(folder: Path) -> MeanPoolingConfig | None:
    """Return the configuration of a model; None if anything in its files is unknown here, or it is of another kind.

    Args:
        folder: The model's folder, with a modules.json.
    """
    if (folder / "adapter_config.json").exists():
        return None
    try:
        return _read(folder)
    except (OSError, ValidationError):
        return None


def _read(folder: Path) -> MeanPoolingConfig:
    _EncoderFile.model_validate_json((folder / "config.json").read_bytes())
    _, pooling, *normalizations = _MODULES.validate_json((folder / "modules.json").read_bytes())
    _PoolingFile.model_validate_json((folder / pooling.path / "config.json").read_bytes())
    for module in normalizations:
        _NormalizeFile.model_validate_json(_read_optional(folder / module.path / "config.json"))
    transformer = _TransformerFile.model_validate_json((folder / "sentence_bert_config.json").read_bytes())
    model = _ModelFile.model_validate_json(_read_optional(folder / "config_sentence_transformers.json"))
    prompts = {name: prompt or "" for name, prompt in model.prompts.items()}
    return MeanPoolingConfig(transformer.max_seq_length, bool(normalizations), prompts)


def _read_optional(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b"{}"


class _EncoderFile(BaseModel):
    # Of other kinds, sentence-transformers loads a part only, such as the encoder of T5, or changes the input.
    model_type: Literal["bert", "distilbert", "mpnet", "roberta", "xlm-roberta"]


class _Strict(BaseModel, extra="forbid"):
    """Settings of sentence-transformers. Those that are not listed could change the vectors."""


class _Module(_Strict):
    idx: int
    name: str


class _TransformerModule(_Module):
    type: Annotated[str, Field(pattern=_PACKAGE + "Transformer$")]
    path: Literal[""]


class _PoolingModule(_Module):
    type: Annotated[str, Field(pattern=_PACKAGE + "Pooling$")]
    path: _Folder


class _NormalizeModule(_Module):
    type: Annotated[str, Field(pattern=_PACKAGE + "Normalize$")]
    path: _Folder


_Modules = tuple[_TransformerModule, _PoolingModule] | tuple[_TransformerModule, _PoolingModule, _NormalizeModule]

_MODULES: TypeAdapter[_Modules] = TypeAdapter(_Modules)


class _TextInput(_Strict):
    method: Literal["forward"]
    method_output_name: Literal["last_hidden_state"]


class _TransformerFile(_Strict):
    max_seq_length: PositiveInt | None = None
    do_lower_case: Literal[False] = False
    transformer_task: Literal["feature-extraction"] = "feature-extraction"
    modality_config: dict[Literal["text"], _TextInput] = {}
    module_output_name: Literal["token_embeddings"] = "token_embeddings"


class _PoolingFile(_Strict):
    embedding_dimension: int | None = None
    word_embedding_dimension: int | None = None
    include_prompt: Literal[True] = True
    pooling_mode: Literal["mean"] = "mean"
    pooling_mode_mean_tokens: Literal[True] = True
    pooling_mode_cls_token: Literal[False] = False
    pooling_mode_max_tokens: Literal[False] = False
    pooling_mode_mean_sqrt_len_tokens: Literal[False] = False
    pooling_mode_weightedmean_tokens: Literal[False] = False
    pooling_mode_lasttoken: Literal[False] = False


class _NormalizeFile(_Strict):
    module_input_name: Literal["sentence_embedding"] = "sentence_embedding"
    module_output_name: Literal["sentence_embedding"] = "sentence_embedding"


class _ModelFile(_Strict):
    versions: Any = Field(None, alias="__version__")
    model_type: Literal["SentenceTransformer"] = "SentenceTransformer"
    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None  # applies to neither queries nor documents
    similarity_fn_name: str | None = None
    truncate_dim: None = None
