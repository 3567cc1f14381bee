"""The formats of Whisper's weights: the same transcripts from each, and models that are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ctranslate2.converters import TransformersConverter
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.media import AudioChunk
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.speech import Speech
from tests.tiny_models import tiny_blip, tiny_t5
from tests.tiny_whisper import TINY, Script, high, low, save_whisper, silence
from tests.whisper_formats import save_ctranslate2, save_transformers

FORMATS: dict[str, Callable[[Path, Path], Path]] = {
    "transformers": save_transformers,
    "ctranslate2": save_ctranslate2,
}
"""Converts a .pt file to a folder in a format."""

SENTENCE: Script = [1.0, (" High", " Low"), " tones come and go.", 7.0]

LONG = replace(TINY, n_text_ctx=448)
"""With the context of the real models, which CTranslate2 expects."""

SCRIPTS: dict[str, tuple[Script, float, bool]] = {
    "sentence": (SENTENCE, 10.0, False),
    "guess over noise": (SENTENCE, 0.4, True),
    "stock phrase": ([1.0, " Thank you.", 3.0], 10.0, False),
    "stock phrase over noise": ([1.0, " Thank you.", 3.0], 10.0, True),
    "repetition": ([1.0, *[" no"] * 30, " no.", 2.0, 2.0, " Yes.", 3.0], 10.0, False),
    "early end": ([0.0, (" High", " Low"), " tones come", 3.0], 10.0, False),
}
"""Transcripts, how certain the model is of them, and whether it detects no speech."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("model") / "tiny.pt", SENTENCE, languages=("de", "fr"))


@pytest.fixture(scope="module", params=FORMATS)
def folder(request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FORMATS[request.param](model, tmp_path_factory.mktemp(request.param) / "tiny")


def transcribe(speech: Speech, *sounds: NDArray[np.float32]) -> list[Observation]:
    samples = np.concatenate(sounds)
    found = [*speech.perceive(AudioChunk(samples, 0.0)), *speech.finish(len(samples) / 16_000)]
    return sorted(found, key=lambda one: one.start)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_transcripts_do_not_depend_on_the_format(name: str, script: str, tmp_path: Path) -> None:
    text, certainty, no_speech = SCRIPTS[script]
    original = save_whisper(
        tmp_path / "tiny.pt", text, languages=("de", "fr"), certainty=certainty, no_speech=no_speech, dims=LONG
    )
    converted = FORMATS[name](original, tmp_path / "tiny")
    sounds = [silence(2), high(6), silence(60), low(6)]
    expected = transcribe(Speech(original), *sounds)
    found = transcribe(Speech(converted, dtype="float32"), *sounds)
    assert [(one.text, one.language, one.source) for one in found] == [
        (one.text, one.language, one.source) for one in expected
    ]
    assert [one.start for one in found] == pytest.approx([one.start for one in expected], abs=0.1)
    assert [one.end for one in found] == pytest.approx([one.end for one in expected], abs=0.1)
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=0.02)


def test_words_have_the_same_times_in_each_format(folder: Path, model: Path) -> None:
    sounds = [silence(10), high(6), silence(1)]
    expected = transcribe(Speech(model, word_times=True), *sounds)
    found = transcribe(Speech(folder, word_times=True, dtype="float32"), *sounds)
    assert [one.text for one in found] == ["High", "tones", "come", "and", "go."]
    assert [one.start for one in found] == pytest.approx([one.start for one in expected], abs=0.1)


def test_eight_bits_are_the_default_of_ctranslate2(model: Path, tmp_path: Path) -> None:
    folder = save_ctranslate2(model, tmp_path / "tiny")
    sounds = [silence(2), high(6)]
    default, int8 = (transcribe(Speech(folder, dtype=dtype), *sounds) for dtype in ("auto", "int8"))
    assert [one.text for one in default] == ["High tones come and go."]
    assert default == int8


def test_language_and_translation_are_options_of_each_format(folder: Path) -> None:
    assert [one.language for one in transcribe(Speech(folder, language="pt-BR"), low(6))] == ["pt"]
    assert [one.language for one in transcribe(Speech(folder, translate=True), low(6))] == ["en"]
    with pytest.raises(InputError, match="'tlh'"):
        Speech(folder, language="tlh").load()


@pytest.mark.parametrize("name", FORMATS)
def test_english_models_transcribe_english_in_each_format(name: str, tmp_path: Path) -> None:
    original = save_whisper(tmp_path / "base.en.pt", SENTENCE, languages=())
    folder = FORMATS[name](original, tmp_path / "whisper-base.en")
    (observation,) = transcribe(Speech(folder, dtype="float32"), silence(2), high(6))
    assert (observation.text, observation.language) == ("High tones come and go.", "en")
    assert observation.source == "whisper-base.en"
    with pytest.raises(InputError, match="'de'"):
        Speech(folder, language="de").load()


def test_sound_without_a_voice_is_not_given_to_a_model(folder: Path) -> None:
    assert transcribe(Speech(folder), silence(40)) == []


def test_a_folder_is_found_by_its_path(folder: Path) -> None:
    assert Speech(folder).find() == Speech(folder).fetch() == folder


def test_the_default_model_is_on_the_hub() -> None:
    speech = Speech()
    assert speech.find() is None
    for get in (speech.fetch, speech.load):
        with pytest.raises(ModelUnavailableError, match=r"Systran/faster-whisper-base: .*145 MB.* Connect "):
            get()


def _translator(folder: Path) -> Path:
    TransformersConverter(str(tiny_t5(folder / "t5"))).convert(str(folder / "translator"))
    return folder / "translator"


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


@pytest.mark.parametrize(
    ("save", "problem"),
    [
        (lambda folder: tiny_blip(folder / "blip"), "a model of type 'blip', not Whisper"),
        (_empty, "contains no Whisper model"),
        (_translator, "not Whisper"),
    ],
    ids=["blip", "empty", "translator"],
)
def test_models_of_other_kinds_are_refused(save: Callable[[Path], Path], problem: str, tmp_path: Path) -> None:
    folder = save(tmp_path)
    with pytest.raises(ModelError, match=f"{folder.name}: .*{problem}.* folder"):
        Speech(folder).load()


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_weights_are_refused(name: str, model: Path, tmp_path: Path) -> None:
    folder = FORMATS[name](model, tmp_path / "tiny")
    file = next(path for path in folder.iterdir() if path.name in ("model.bin", "model.safetensors"))
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"tiny: .* download it again"):
        Speech(folder).load()


def test_another_vocabulary_is_refused(model: Path, tmp_path: Path) -> None:
    folder = save_transformers(model, tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 1000}))
    with pytest.raises(ModelError, match="tiny"):
        Speech(folder).load()


@pytest.mark.parametrize(
    ("options", "named"), [({"dtype": "bfloat16"}, "int8"), ({"device": "mps"}, "cpu"), ({"device": "cuda:7"}, "cpu")]
)
def test_devices_and_dtypes_that_ctranslate2_lacks_are_refused(
    options: dict[str, str], named: str, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=named):
        Speech(save_ctranslate2(model, tmp_path / "tiny"), **options).load()  # type: ignore[arg-type]
