"""Rows of the benchmarks' files, JSON or Parquet, checked and bounded in size: the files are other people's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from string import ascii_uppercase
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.evaluation.benchmarks.items import MAX_OPTIONS
from langchain_videochat.utils.optional_dependencies import require_extra

MAX_BYTES = 32 * 2**20
"""Maximum size of a file, and of the rows of a Parquet file, which may be compressed."""

_BATCH_ROWS = 16

Row = TypeVar("Row", bound=BaseModel)


def _check_relative(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name:
        raise ValueError(f"{name!r} is not inside the folder of the videos")
    return name


def _split_lines(options: Any) -> Any:
    return [line for line in options.split("\n") if line.strip()] if isinstance(options, str) else options


def _remove_labels(options: list[str]) -> list[str]:
    texts = []
    for letter, option in zip(ascii_uppercase, options, strict=False):
        label, _, text = option.partition(".")
        if label.strip() != letter or not text.strip():
            raise ValueError(f'the options must be "A. ...", "B. ..." and so on, got {option[:80]!r}')
        texts.append(text.strip())
    return texts


VideoPath = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_check_relative)]
"""A path below the folder of the videos."""

TaskName = Annotated[str, Field(pattern=r"^\P{C}{1,100}$")]
"""A printable name."""

VideoId = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]
"""The name of a video file without its suffix."""


class LetteredRow(BaseModel):
    """A question whose options begin with letters, and the letter of the answer. Other fields are ignored."""

    question: str
    options: Annotated[
        list[str],
        Field(min_length=2, max_length=MAX_OPTIONS),
        BeforeValidator(_split_lines),
        AfterValidator(_remove_labels),
    ]
    answer: str

    @model_validator(mode="after")
    def _check_answer(self) -> "LetteredRow":
        if self.answer not in list(ascii_uppercase[: len(self.options)]):
            raise ValueError(f"the answer {self.answer[:20]!r} is not the letter of an option")
        return self

    @property
    def correct(self) -> str:
        """The text of the correct option."""
        return self.options[ascii_uppercase.index(self.answer)]


def read_json_rows(path: Path, rows: TypeAdapter[list[Row]], advice: str) -> list[Row]:
    """Read a JSON file that contains a list of objects.

    Args:
        path: The file.
        rows: The expected content.
        advice: What to do if the content differs.

    Raises:
        SourceError: The file does not exist.
        InputError: The file is too large, or has another format.
    """
    _check_file(path)
    with _row_errors(path, advice):
        return rows.validate_json(path.read_bytes())


def read_json_line_rows(path: Path, rows: TypeAdapter[list[Row]], advice: str) -> list[Row]:
    """Read a JSON Lines file, as `read_json_rows` reads JSON."""
    _check_file(path)
    lines = filter(bytes.strip, path.read_bytes().splitlines())
    with _row_errors(path, advice):
        return rows.validate_json(b"[" + b",".join(lines) + b"]")


def read_parquet_rows(path: Path, rows: TypeAdapter[list[Row]]) -> list[Row]:
    """Read a Parquet file.

    Raises:
        SourceError: The file does not exist.
        InputError: The file is too large, or has another format.
        ModelUnavailableError: The extra `evaluation` is not installed.
    """
    require_extra("evaluation", str(path))
    _check_file(path)
    with _row_errors(path, "Download the file again"):
        return rows.validate_python(_read_parquet(path))


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    rows: list[dict[str, Any]] = []
    size = 0
    try:
        with ParquetFile(path) as file:
            # A value can be stored once for many rows, so the rows are counted too.
            if sum(file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups)) > MAX_BYTES:
                raise _too_large(path)
            for batch in file.iter_batches(_BATCH_ROWS):
                size += batch.nbytes
                if size > MAX_BYTES:
                    raise _too_large(path)
                rows += batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(path, "not a readable Parquet file", "Download the file again") from error
    return rows


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise SourceError(path, "no such file", "Give the folder that the benchmark was downloaded to")
    if path.stat().st_size > MAX_BYTES:
        raise _too_large(path)


def _too_large(path: Path) -> InputError:
    return InputError(path, f"larger than {MAX_BYTES // 2**20} MiB", "Check that this is the benchmark's file")


@contextmanager
def _row_errors(path: Path, advice: str) -> Iterator[None]:
    """Convert the first error of a file's content to an InputError with its location."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        location = "".join(f"[{part!r}]" for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(path, f"at {location or 'top level'}: {message}", advice) from error
