"""Text on screen and subtitle pictures in scripts that need a model of their own."""

# ruff: noqa: RUF001 - texts in many scripts

from pathlib import Path

import matplotlib
import pytest
from PIL import Image, ImageDraw, ImageFont
from rapidocr.inference_engine.base import InferSession

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import Damage
from langchain_videochat.models.cards import CARDS
from langchain_videochat.perception import Observation, PerceptionCallbacks, perceive
from langchain_videochat.perception.ocr_models import MODELS, RecognitionModel, model_for_language
from langchain_videochat.perception.screen_text import ScreenText
from tests.ocr_models import install_constant, install_cyrillic
from tests.slides import render_talk

RUSSIAN = ["Добавьте сахар", "Взбейте два яйца", "Налейте молоко"]
GREEK = ["Καλημέρα κόσμε", "Προσθέστε ζάχαρη", "Τρίτο τρίμηνο"]
ARABIC = ["أضف السكر إلى البيض", "مرحبا بالعالم", "الربع الثالث"]
ENGLISH = "Add the sugar"


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def model_for(language: str) -> RecognitionModel:
    model = model_for_language(language)
    assert model is not None
    return model


def make_slide(path: Path, lines: list[str], seconds: float = 2.0) -> Path:
    """Render one slide as a video, in a font that has Cyrillic letters."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 32)

    def draw(picture: Image.Image, _time: float) -> None:
        for number, line in enumerate(lines):
            ImageDraw.Draw(picture).text((40, 40 + 60 * number), line, fill=(30, 30, 60), font=font)

    return render_talk(path, [[]], seconds, decorate=draw)


def observe(video: Path, language: str | None = None) -> tuple[list[Observation], list[Damage]]:
    damage: list[Damage] = []
    perceivers = [ScreenText(language)]
    return list(perceive(video, perceivers, callbacks=PerceptionCallbacks(damage=damage.append))), damage


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("ru", "eslav"),
        ("rus", "eslav"),
        ("uk-UA", "eslav"),
        ("bg", "cyrillic"),
        ("sr", "cyrillic"),
        ("uz-Cyrl", "cyrillic"),
        ("sr-Latn-RS", None),
        ("ja", None),
        ("zh-Hant", None),
        ("pt-BR", None),
        ("ko", "korean"),
        ("ar-EG", "arabic"),
        ("pa-Arab", "arabic"),
        ("hi", "devanagari"),
        ("el", "el"),
        ("th", "th"),
        ("ta", "ta"),
        ("te", "te"),
        ("kn", "ka"),
    ],
)
def test_the_model_follows_from_the_script_of_the_language(tag: str, code: str | None) -> None:
    model = model_for_language(tag)
    assert (model and model.code) == code


@pytest.mark.parametrize("tag", ["he", "hy", "pa", "en-Hebr"])
def test_a_script_without_a_model_is_refused(tag: str) -> None:
    with pytest.raises(InputError, match=f"knows the script of '{tag}'.*Latin, Chinese, Japanese, Arabic"):
        ScreenText(language=tag)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InputError, match="unknown language 'klingonish'"):
        ScreenText(language="klingonish")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.code)
def test_every_model_is_published_and_has_a_card(model: RecognitionModel) -> None:
    published = InferSession.model_info.onnxruntime[model.version].rec[model.name]
    assert published.model_dir.endswith(f"/{model.name}.onnx")
    assert CARDS[model.name].license == "Apache-2.0"


def test_a_named_language_is_read_by_its_model(tmp_path: Path) -> None:
    video = make_slide(tmp_path / "town.mp4", ["МОСКВА", "Recipe 12"])
    assert [one.text for one in observe(video)[0]] == ["MOCKBA", "Recipe 12"]
    install_cyrillic(model_for("ru"))
    town, _ = [one.text for one in observe(video, "ru")[0]]
    assert town == "МОСКВА"


def test_a_damaged_model_is_reported(tmp_path: Path) -> None:
    model = model_for("th")
    model.path.parent.mkdir(parents=True)
    model.path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="th_PP-OCRv5_rec_mobile: cannot be loaded"):
        observe(make_slide(tmp_path / "town.mp4", ["МОСКВА"]), "th")


@pytest.mark.parametrize("lines", [RUSSIAN, GREEK, ARABIC], ids=["Russian", "Greek", "Arabic"])
def test_text_in_an_unknown_script_is_reported(lines: list[str], tmp_path: Path) -> None:
    observations, damage = observe(make_slide(tmp_path / "recipe.mp4", [*lines, ENGLISH]))
    assert ENGLISH in [one.text for one in observations]
    assert [(one.kind, "screen_text: {language: ru}" in one.problem) for one in damage] == [("picture", True)]


def test_text_in_known_scripts_is_not_reported(tmp_path: Path) -> None:
    lines = [ENGLISH, "W i d e  l e t t e r s", "Füge Öl hinzu", "Δx = 2π / α"]
    assert observe(make_slide(tmp_path / "recipe.mp4", lines))[1] == []


def test_installed_models_read_what_the_default_cannot(tmp_path: Path) -> None:
    install_constant(model_for("ko"), "not confident enough", confidence=0.7)
    install_constant(model_for("ar"), "not the most confident", confidence=0.95)
    install_constant(model_for("ru"), "сахар и молоко")
    observations, damage = observe(make_slide(tmp_path / "recipe.mp4", [*RUSSIAN, ENGLISH]))
    assert [one.text for one in observations] == [*["сахар и молоко"] * 3, ENGLISH]
    assert damage == []


def test_a_named_language_is_read_by_no_other_model(tmp_path: Path) -> None:
    install_constant(model_for("ru"), "сахар и молоко")
    observations, damage = observe(make_slide(tmp_path / "recipe.mp4", [*RUSSIAN, ENGLISH]), "en")
    assert [one.text for one in observations if len(one.text) > 4] == [ENGLISH]
    assert damage == []


def test_arabic_letters_are_in_reading_order(tmp_path: Path) -> None:
    # Models read lines from left to right: this is "word" as it is displayed.
    install_constant(model_for("ar"), "ةملك")
    (line,) = observe(make_slide(tmp_path / "word.mp4", ["word"]), "ar")[0]
    assert line.text == "كلمة"
