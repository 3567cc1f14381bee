"""Detection of the language of a text.

py3langid knows 142 languages, takes about 0.1 ms per text and contains its weights.
"""

from functools import cache
from typing import Any

from langchain_videochat.errors import InputError, ModelUnavailableError

MAX_EXPECTED_PROBABILITY = 0.05
"""Maximum probability of the expected language for a text that counts as written in another one."""

MIN_OTHER_PROBABILITY = 0.3
"""Minimum probability of the other language. Texts that are short or full of names meet neither condition."""


def language_code(name: str) -> str:
    """Return the ISO 639 code of a language.

    Args:
        name: English name of the language.

    Raises:
        InputError: The language is unknown.

    Example:
        >>> language_code("German")
        'de'
    """
    from whisper.tokenizer import TO_LANGUAGE_CODE

    code = TO_LANGUAGE_CODE.get(name.casefold())
    if code is None:
        raise InputError("language", f"unknown language {name!r}", "Give its English name, for example German")
    return str(code)


def detect_other_language(text: str, code: str) -> str | None:
    """Return the code of a text's language if it is clearly not the expected one, else None.

    Example:
        >>> detect_other_language("Was macht der Mann, nachdem er die Tür geöffnet hat?", "en")
        'de'
        >>> detect_other_language("What does the man do after he has opened the door?", "en")
    """
    probabilities: dict[str, float] = dict(load_language_identifier().rank(text))
    best = max(probabilities, key=lambda language: probabilities[language])
    expected = probabilities.get(code)
    if expected is None or expected > MAX_EXPECTED_PROBABILITY or probabilities[best] < MIN_OTHER_PROBABILITY:
        return None
    return best


@cache
def load_language_identifier() -> Any:
    """Load the language identifier. Called before the first model call, so that a failure costs nothing.

    Raises:
        ModelUnavailableError: The identifier's model cannot be unpacked.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:
        problem = f"its model cannot be unpacked ({error.strerror})"
        raise ModelUnavailableError("py3langid", problem, "Free space for temporary files") from error
