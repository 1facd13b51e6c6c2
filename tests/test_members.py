"""Members in columns are members in a list."""

import pytest

from rhythmgan.songs.members import Member, Members, Place, Texts


def test_texts_are_a_list_of_texts():
    texts = ["", "a", "é/ﾄﾞ", b"caf\xe9".decode("utf-8", "surrogateescape"), "x" * 300, ""]
    stored = Texts()
    for text in texts:
        stored.append(text)
    assert list(stored) == texts
    assert [stored[-2], stored[1:3], len(stored)] == ["x" * 300, ["a", "é/ﾄﾞ"], 6]
    with pytest.raises(IndexError):
        stored[6]


def test_members_are_a_list_of_members():
    first = Member("a/é.mid", Place("zip", 1 << 40, 77, 30, 8, (1 << 32) - 1, "encrypted"), "Jazz")
    second = Member("b.mid", Place("parquet", 3))
    members = Members()
    for member in (first, second, first, second._replace(style="rock")):
        members.append(*member)
    assert list(members) == [first, second, first, second._replace(style="rock")]
    assert (members[-1].style, members[1:3], len(members)) == ("rock", [second, first], 4)


def test_of_members_that_are_called_alike_the_last_stays():
    members = Members()
    for name, offset in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        members.append(name, Place("tar", offset))
    assert [(member.name, member.place.offset) for member in members.without_repeats()] == [
        ("b", 2),
        ("a", 3),
        ("c", 4),
    ]
    once = members.without_repeats()
    assert once.without_repeats() is once


@pytest.mark.parametrize("place", [Place("tar", 1 << 63), Place("tar", 0, 1 << 80), Place("zip", 0, 0, 1 << 63)])
def test_a_place_beyond_all_files_leaves_the_columns_as_long_as_each_other(place):
    members = Members()
    members.append("a.mid", Place("tar", 512, 3))
    with pytest.raises(OverflowError):
        members.append("b.mid", place)
    assert [member.name for member in members] == ["a.mid"]
    members.append("c.mid", Place("tar", 1024, 4))
    assert members[1].place.offset == 1024
