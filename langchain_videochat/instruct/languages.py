"""In which language a text is written."""

from functools import cache
from typing import Any

from langchain_videochat.errors import InputError, ModelUnavailableError

IMPROBABLE = 0.05
"""Probability below which a text is taken not to be in a language..."""

PROBABLE = 0.3
"""... if that of another language is above this one: what is short or full of names may be in any."""


def language_code(name: str) -> str:
    """Give the ISO 639 code of a language.

    Args:
        name: Its English name.

    Raises:
        InputError: There is no such language.

    Example:
        >>> language_code("German")
        'de'
    """
    from whisper.tokenizer import TO_LANGUAGE_CODE

    code = TO_LANGUAGE_CODE.get(name.casefold())
    if code is None:
        raise InputError("language", f"{name!r} is unknown", "Give its English name, as German or Chinese")
    return str(code)


def other_language(text: str, code: str) -> str | None:
    """Tell in which other language a text is, if it is certain enough that it is in one.

    Example:
        >>> other_language("Was macht der Mann, nachdem er die Tür geöffnet hat?", "en")
        'de'
        >>> other_language("What does the man do after he has opened the door?", "en")
    """
    probabilities: dict[str, float] = dict(load_identifier().rank(text))
    best = max(probabilities, key=lambda language: probabilities[language])
    if code not in probabilities or probabilities[code] > IMPROBABLE or probabilities[best] < PROBABLE:
        return None
    return best


@cache
def load_identifier() -> Any:
    """Load what tells languages apart: now, and not at the first item that a model was paid for.

    Raises:
        ModelUnavailableError: It cannot be unpacked.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:
        problem = f"its model cannot be unpacked ({error.strerror})"
        raise ModelUnavailableError("py3langid", problem, "Make room for temporary files") from error
