"""Recognition models of RapidOCR for scripts that the model in its package does not support."""

import logging
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.media.languages import primary_language
from langchain_videochat.models.cards import describe_size
from langchain_videochat.utils.atomic import atomic_directory

BUNDLED_SCRIPTS = {"hani", "hans", "hant", "hira", "hrkt", "jpan", "kana", "latn"}
"""Scripts, by their codes of ISO 15924, that the model in RapidOCR's package supports."""

UNREADABLE_LANGUAGES = {
    *("am", "as", "bn", "bo", "dv", "dz", "gu", "he", "hy", "ii", "iu", "ka", "km", "lo", "ml", "my", "or", "pa", "si"),
    *("ti", "yi"),
}
"""Languages whose usual scripts none of the models supports."""

SCRIPT_CODE_LENGTH = 4
"""Letters of the subtag that states the script of a language."""

# RapidOCR logs the error that it raises.
_silent_logger = logging.Logger(__name__, logging.CRITICAL)


@dataclass(frozen=True)
class RecognitionModel:
    """A model that reads lines of text in one script; all of them read Latin letters and digits, too."""

    code: str
    """RapidOCR's code of its script or language."""

    version: str
    """The version of PP-OCR that it belongs to."""

    script: str
    """Name of its script."""

    script_codes: frozenset[str]
    """Codes of its script in ISO 15924."""

    languages: frozenset[str]
    """Languages that are usually written in it, as primary subtags of BCP 47."""

    @property
    def name(self) -> str:
        """Its name in RapidOCR."""
        return f"{self.code}_{self.version}_rec_mobile"

    @property
    def path(self) -> Path:
        """Where its file is once it has been downloaded."""
        return platformdirs.user_cache_path("langchain-videochat") / "ocr" / self.name / f"{self.name}.onnx"

    def find(self) -> Path | None:
        """Return the path of its file on this machine; None if it has to be downloaded."""
        return self.path if self.path.is_file() else None

    def fetch(self) -> Path:
        """Return the path of its file, downloading it with a progress bar if necessary.

        Raises:
            ModelUnavailableError: It cannot be downloaded, or the download is not the published file.
        """
        if self.find() is None:
            self._download()
        return self.path

    def _download(self) -> None:
        from rapidocr.inference_engine.base import InferSession
        from rapidocr.utils.download_file import DownloadFile, DownloadFileException, DownloadFileInput

        published = InferSession.model_info.onnxruntime[self.version].rec[self.name]
        try:
            with atomic_directory(self.path.parent) as folder:
                file = folder / self.path.name
                DownloadFile.run(DownloadFileInput(published.model_dir, file, _silent_logger))
                # RapidOCR checks the files that it finds, but not those that it has just downloaded.
                if not DownloadFile.check_file_sha256(file, published.SHA256):
                    problem = "the downloaded file is not the published one: its SHA-256 differs"
                    raise ModelUnavailableError(self.name, problem, "Try again, or use another network")
        except (DownloadFileException, OSError) as error:
            if self.find():  # another process has downloaded it meanwhile
                return
            problem = f"this text recognition model ({describe_size(self.name)}) is not on this machine, "
            problem += "and the download failed"
            advice = f"Connect to the network and try again, or save {published.model_dir} as {self.path}"
            raise ModelUnavailableError(self.name, problem, advice) from error


def _model(code: str, script: str, script_codes: str, languages: str, *, version: str = "PP-OCRv5") -> RecognitionModel:
    return RecognitionModel(code, version, script, frozenset(script_codes.split()), frozenset(languages.split()))


MODELS = (
    _model("arabic", "Arabic", "arab", "ar bal ckb fa ks ps sd ug ur"),
    # More accurate for these languages than the model for all that are written in Cyrillic.
    _model("eslav", "East Slavic", "cyrl", "be ru uk"),
    _model("cyrillic", "Cyrillic", "cyrl", "ab av ba bg ce cv kk kv ky mk mn os sah sr tg tt udm"),
    _model("devanagari", "Devanagari", "deva", "bho hi kok mag mai mr ne sa"),
    _model("el", "Greek", "grek", "el"),
    _model("ka", "Kannada", "knda", "kn", version="PP-OCRv4"),
    _model("korean", "Korean", "hang kore", "ko"),
    _model("ta", "Tamil", "taml", "ta"),
    _model("te", "Telugu", "telu", "te"),
    _model("th", "Thai", "thai", "th"),
)
"""The models that can be downloaded. Of two for one script, the last is the general one."""


def model_for_language(tag: str) -> RecognitionModel | None:
    """Return the model that reads a language; None if it is the one in RapidOCR's package.

    Args:
        tag: A BCP 47 tag, such as "ru" or "sr-Latn"; a language without a script has its usual one.

    Raises:
        InputError: No model supports the script.

    Example:
        >>> model_for_language("ru").name, model_for_language("ja"), model_for_language("sr-Latn")
        ('eslav_PP-OCRv5_rec_mobile', None, None)
    """
    code, *subtags = tag.replace("_", "-").casefold().split("-")
    script = next((one for one in subtags if len(one) == SCRIPT_CODE_LENGTH and one.isalpha()), None)
    language = primary_language(code)
    if script in BUNDLED_SCRIPTS:
        return None
    in_script = [model for model in MODELS if script is None or script in model.script_codes]
    for_language = next((model for model in in_script if language in model.languages), None)
    if for_language or (script is None and language not in UNREADABLE_LANGUAGES):
        return for_language
    if script and in_script:
        return in_script[-1]
    known = ", ".join(model.script for model in MODELS)
    problem = f"no text recognition model knows the script of {tag!r}"
    raise InputError("language", problem, f"The models know Latin, Chinese, Japanese, {known}")


def installed_models() -> list[RecognitionModel]:
    """Return the models whose files are on this machine."""
    return [model for model in MODELS if model.find()]
