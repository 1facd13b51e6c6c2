"""Texts of bars that come from outside."""

import os

import pytest

from rhythmgan import patterns
from rhythmgan.corpus_file import load_corpus, save_corpus
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.patterns import load_patterns, read_text

BAR = "0b100000000 " * 16 + "BAR\n"


def _read(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_text(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"# a\n\xff" + BAR.encode(), "line 2: byte 0xff is no UTF-8"),
        (BAR.encode() + b"# gro\xdfe Trommel\n", "line 2: byte 0xdf is no UTF-8"),
        (("# a\n" + BAR).encode("utf-16"), "line 1: byte 0xff is no UTF-8"),
        ("# a\n\n" + BAR.replace("1", "\N{ARABIC-INDIC DIGIT ONE}", 1), "line 3: '0b\u066100000000' is neither"),
        (BAR + "# b\ninf " * 3, "line 3: 'inf' is neither"),
        (BAR + "\0", r"line 2: '\\x00' is neither"),
        (BAR + "\ud7ff\U0010ffff", "line 2: "),
        (BAR + "0b1" + "0" * 100_000, "line 2: '0b10{37}' is neither"),
        (BAR + "\n# b\n" + BAR[:-5] + "\n# c\n" + BAR, "line 4: the text ends within a bar: 16 words"),
        (BAR + BAR.replace("BAR", "\n\n"), "line 2: the text ends within a bar"),
        (BAR.replace("BAR\n", BAR[12:] * 9), "line 1: a bar of 31 steps"),
        ("BAR\n", "line 1: a bar of 0 steps"),
        ("\n" * 1000, "it has none"),
        (b"", "it has none"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_file_and_line(text, message, tmp_path):
    path = tmp_path / "mine.txt"
    with pytest.raises(ValueError, match=message) as refused:
        _read(path, text)
    said = str(refused.value)
    assert said.startswith(f"{path}: not a text of bars: ")
    assert said.isprintable()
    assert len(said) < 300


def test_a_mark_of_the_order_of_bytes_is_no_word(tmp_path):
    """As Notepad writes it."""
    (bar,), names, kit = _read(tmp_path / "mine.txt", b"\xef\xbb\xbf# one\r\n" + BAR.encode())
    assert (bar.tolist(), names, kit) == ([256] * 16, ["one"], GM9)


def test_the_first_word_says_the_kit(tmp_path):
    five = "0b10000 " * 16 + "BAR\n"
    for before in ("", "# one\n", "\n\n\t ", "# 0b1\n"):
        assert _read(tmp_path / "mine.txt", before + five)[2] == JAKI5


def test_line_breaks_of_all_kinds_count(tmp_path):
    for line_break in ("\n", "\r\n", "\r", "\v", "\u2028"):
        text = "# one\n".replace("\n", line_break) + BAR.replace("\n", line_break)
        assert _read(tmp_path / "mine.txt", text)[1] == ["one"]
        with pytest.raises(ValueError, match="line 3: 'x' is neither"):
            _read(tmp_path / "mine.txt", text + "x")


def test_names_can_be_kept_in_a_corpus(tmp_path):
    """Control characters are spaces: a NUL ends names there. Long names are cut: each bar below has its own."""
    path = tmp_path / "mine.txt"
    path.write_text(
        "# a\0b\x1b[31m\n" + BAR + "# " + "x" * 100_000 + "\n" + BAR.replace("0b10", "0b01") * 2, encoding="utf-8"
    )
    corpus = load_patterns(path)
    cut = "x" * patterns.MAX_NAME
    assert corpus.songs == ("a b [31m", f"{cut} 1", f"{cut} 2")
    save_corpus(tmp_path / "mine.npz", corpus)
    assert load_corpus(tmp_path / "mine.npz").songs == corpus.songs


def test_pipes_devices_and_large_files_are_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            read_text(path)
    monkeypatch.setattr(patterns, "MAX_TEXT", 100)
    with pytest.raises(OSError, match="larger than 100 bytes"):
        _read(tmp_path / "mine.txt", BAR)
