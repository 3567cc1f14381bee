"""Encodings of subtitle files."""

# ruff: noqa: RUF001 - texts in many scripts

from pathlib import Path

import pytest

from langchain_videochat.errors import InputError
from langchain_videochat.media import read_subtitles
from langchain_videochat.perception.profiles import load_profile
from langchain_videochat.perception.subtitle_tracks import SubtitleTracks
from tests.subtitled_video import make_plain_video, read_beside

# The first article of the Universal Declaration of Human Rights, or a few everyday sentences.
TEXTS = {
    "cp1250": "Nevím, co chceš říct. Pojďme domů, už je pozdě. Děkuji mnohokrát, příteli.",
    "cp1251": "Я не знаю, что ты хочешь сказать. Пойдём домой, уже поздно. Большое спасибо.",
    "cp1252": "¿Dónde está el niño? Mañana será otro día, señor. También quería decirle que no.",
    "cp1253": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "cp1254": "Ne demek istediğini bilmiyorum. Hadi eve gidelim, geç oldu. Çok teşekkür ederim.",
    "cp1255": "אני לא יודע מה אתה רוצה לומר. בוא נלך הביתה, כבר מאוחר. תודה רבה.",
    "cp1256": "لا أعرف ماذا تريد أن تقول. هيا نذهب إلى البيت، لقد تأخر الوقت. شكرا جزيلا.",
    "cp1257": "Nežinau, ką nori pasakyti. Eime namo, jau vėlu. Ačiū labai, šiandien gražu.",
    "cp874": "ฉันไม่รู้ว่าคุณต้องการพูดอะไร กลับบ้านกันเถอะ ดึกแล้ว ขอบคุณมาก",
    "iso8859-2": "Nie wiem, co chcesz powiedzieć. Chodźmy do domu, jest już późno. Dziękuję bardzo.",
    "iso8859-7": "Δεν ξέρω τι θέλεις να πεις. Έλα μαζί μου στο σπίτι, είναι αργά. Ευχαριστώ πολύ.",
    "koi8-r": "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "shift_jis": "これは日本語の字幕です。今日はとても良い天気ですね。",
    "euc-jp": "あなたが何を言いたいのかわかりません。家に帰りましょう、もう遅いです。",
    "gb18030": "我不知道你想说什么。我们回家吧，已经很晚了。非常感谢。",
    "big5": "我不知道你想說什麼。我們回家吧，已經很晚了。非常感謝。",
    "euc-kr": "무슨 말을 하고 싶은지 모르겠어요. 집에 갑시다, 늦었어요. 정말 감사합니다.",
}
UNICODE_TEXT = "Grüße 你好 🎬"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain_video(tmp_path_factory.mktemp("film") / "talk.mp4")


def subrip(*texts: str) -> str:
    return "".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{text}\n\n" for n, text in enumerate(texts, 1))


@pytest.mark.parametrize("encoding", TEXTS)
def test_legacy_encodings(encoding: str, video: Path) -> None:
    cues, problems = read_beside(video, "talk.srt", subrip(TEXTS[encoding]).encode(encoding))
    assert [cue.text for cue in cues] == [TEXTS[encoding]]
    (problem,) = problems
    assert problem.startswith("talk.srt: not UTF-8, read as ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_unicode(encoding: str, newline: str, video: Path) -> None:
    content = subrip(UNICODE_TEXT, "Hello").replace("\n", newline).encode(encoding)
    cues, problems = read_beside(video, "talk.srt", content)
    assert ([cue.text for cue in cues], problems) == ([UNICODE_TEXT, "Hello"], [])


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_byte_order_marks(mark: str, video: Path) -> None:
    content = ("\ufeffWEBVTT\n\n" + subrip(UNICODE_TEXT)).encode(mark)
    cues, problems = read_beside(video, "talk.vtt", content)
    assert ([cue.text for cue in cues], problems) == ([UNICODE_TEXT], [])


def test_a_stray_byte_costs_one_character(video: Path) -> None:
    content = subrip(*["Käse und Brötchen"] * 3).encode() + subrip("café").encode("latin-1").replace(b"01,", b"09,")
    cues, problems = read_beside(video, "talk.srt", content)
    assert [cue.text for cue in cues] == ["Käse und Brötchen"] * 3 + ["caf\ufffd"]
    assert problems == ["talk.srt: 1 character is not valid utf-8"]


def test_a_given_encoding_is_used(video: Path) -> None:
    russian = subrip(TEXTS["cp1251"]).encode("cp1251")
    cues, problems = read_beside(video, "talk.srt", russian, encoding="cp1252")
    assert cues[0].text.startswith("ß íå çíàþ")
    assert problems == []
    utf_8 = subrip("Grüße").encode()
    cues, _ = read_beside(video, "talk.srt", utf_8, encoding="cp1252")
    assert cues[0].text == "GrÃ¼ÃŸe"
    cues, problems = read_beside(video, "talk.srt", russian, encoding="utf-8")
    assert cues[0].text.startswith("\ufffd")
    assert problems[0].endswith("characters are not valid utf-8")


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "hex", ""])
def test_unknown_encodings(encoding: str, video: Path) -> None:
    with pytest.raises(InputError, match="unknown text encoding"):
        read_subtitles(video, encoding=encoding)
    with pytest.raises(InputError, match="unknown text encoding"):
        SubtitleTracks(encoding=encoding)


def test_profiles_can_name_the_encoding(video: Path, tmp_path: Path) -> None:
    (tmp_path / "greek.yaml").write_text("- subtitles: {encoding: cp1253, language: el}")
    (perceiver,) = load_profile(tmp_path / "greek.yaml").create()
    assert (perceiver.inputs.encoding, perceiver.inputs.language) == ("cp1253", "el")
