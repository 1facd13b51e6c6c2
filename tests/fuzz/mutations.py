"""Hostile inputs made of valid ones. Each is a function of its random numbers: the same seed, the same bytes.

A mutator takes random numbers and valid bytes. Those of a format know its parts and lie in them: a length, an offset,
a type, a name. Those that know nothing flip, cut and splice. Most inputs see both.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import operator
import re
import sqlite3
import struct
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

Mutator = Callable[[Random, bytes], bytes]

MAX_BYTES = 1 << 20
"""Bytes of an input, about: what a small file can do is what is asked."""

_SIZES = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 1023, 4096, 32767, 65535, 1 << 20, 1 << 24, 0x7FFFFFFF, 0xFFFFFFFF)

_TEXTS = (
    *("", " ", "0", "-0", "1", "-1", "+1", "1.5", ".5", "1e3", "1e400", "-1e400", "inf", "-inf", "nan", "Infinity"),
    *("9" * 19, "9" * 400, "9" * 5000, "0x10", "1_0", "1,5", "½", "²", "٣", "１", "true", "None", "null", "%", "80%"),
    *("-", "--", "=", "==", ",", ",,", ";", "#", "%s", "{0}", "..", "/", "../..", "a/b", "\\", "\x00", "\x1b[2J"),
    *("\n", "a\nb", "\r", "\u2028", "\x85", "\ufeff", "\u200b", "\ud800", "\U0001f941", "é", "e\u0301", "x" * 300),
    *("kick", "density", "any", "BAR", "0b", "0b" + "1" * 64, "a" * 20_000, "2.", "12.", "A", "==", "="),
)
"""Words that mean nothing, or more than they seem to."""


def weird_text(random: Random) -> str:
    """A text that nobody expects."""
    if random.random() < 0.8:
        return random.choice(_TEXTS)
    return "".join(
        chr(random.choice((random.randrange(128), random.randrange(0x3000)))) for _ in range(random.randrange(12))
    )


def plain(random: Random, data: bytes) -> bytes:
    """Bytes that are flipped, cut, moved, doubled or made up, one to eight times."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        n = len(found)
        at = random.randrange(n + 1)
        length = min(random.choice((1, 1, 2, 4, 16, 100, n)), n - at)
        kind = random.randrange(8)
        if kind == 0 and at < n:
            found[at] ^= 1 << random.randrange(8)
        elif kind == 1 and at < n:
            found[at] = random.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, random.randrange(256)))
        elif kind == 2:
            del found[at : at + length]
        elif kind == 3:
            del found[at:]
        elif kind == 4:
            found[at:at] = found[at : at + length] * random.choice((1, 1, 2, 1 + 10_000 // (length + 1)))
        elif kind == 5:
            found[at : at + length] = random.randbytes(length)
        elif kind == 6:
            size = random.choice(_SIZES).to_bytes(4, random.choice(("big", "little")))
            found[at : at + 4] = size
        else:
            other = random.randrange(n + 1)
            found[at:at] = found[other : other + length]
        del found[MAX_BYTES:]
    return bytes(found)


def both(structured: Mutator, share_plain: float = 0.25) -> Mutator:
    """A mutator that lies in the format once or a few times, now and then with plain damage on top or alone."""

    def mutate(random: Random, data: bytes) -> bytes:
        if random.random() < share_plain:
            return plain(random, data)
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            try:
                data = structured(random, data)
            except Unreadable:  # an earlier lie hid the format
                return plain(random, data)
        return plain(random, data) if random.random() < 0.1 else data

    return mutate


class Unreadable(Exception):
    """Bytes whose parts the mutator cannot tell any more."""


# --- MIDI --------------------------------------------------------------------------------------------


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of the chunks of a MIDI file, as far as they go."""
    found, at = [], 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "big")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length
    if not found:
        raise Unreadable
    return found


def _chunk(name: bytes, content: bytes, length: int | None = None) -> bytes:
    return name + (len(content) if length is None else length).to_bytes(4, "big") + content


def varint(value: int) -> bytes:
    """A number as MIDI writes it."""
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))


def _event(random: Random) -> bytes:
    """A delta and an event, as they may be or not."""
    delta = random.choice(
        (b"\0", b"\0", varint(random.randrange(480)), b"\xff\xff\xff\x7f", b"\x80" * 5 + b"\0", b"\xff" * 4)
    )
    kind = random.randrange(12)
    if kind < 4:
        status = random.choice((0x99, 0x99, 0x89, 0x90 | random.randrange(16)))
        return delta + bytes(
            [status, random.choice((35, 38, 42, 127, 255, random.randrange(128))), random.choice((0, 1, 127, 255))]
        )
    if kind == 4:
        return delta + bytes([random.randrange(128), random.randrange(256)])  # running status
    if kind == 5:
        signature = bytes([random.choice((0, 1, 3, 4, 255)), random.choice((0, 2, 3, 7, 8, 33, 255)), 24, 8])
        return delta + b"\xff\x58" + varint(random.choice((4, 4, 4, 2, 0, 1 << 20))) + signature
    if kind == 6:
        return (
            delta
            + b"\xff\x51"
            + random.choice((b"\x03\0\0\0", b"\x03\0\0\1", b"\x03\xff\xff\xff", b"\x02\1\2", b"\x04\1\2\3\4"))
        )
    if kind == 7:
        name = weird_text(random).encode("utf-8", "surrogatepass")[:200]
        return (
            delta
            + bytes([0xFF, random.choice((1, 3, 4, 9, 0x20, 0x7F))])
            + varint(random.choice((len(name), len(name), 1 << 27)))
            + name
        )
    if kind == 8:
        content = random.choice(
            (
                b"\x7e\x7f\x09\x01\xf7",
                b"\x43\x10\x4c\0\0\x7e\0\xf7",
                b"\x41\x10\x42\x12\x40\0\x7f\0\x41\xf7",
                random.randbytes(9),
            )
        )
        return (
            delta + random.choice((b"\xf0", b"\xf7")) + varint(random.choice((len(content), 0, 3, 1 << 27))) + content
        )
    if kind == 9:
        return delta + bytes(
            [
                random.choice((0xC9, 0xB9, 0xC0 | random.randrange(16))),
                random.choice((0, 32, 120, 127)),
                random.randrange(128),
            ]
        )
    if kind == 10:
        return delta + b"\xff\x2f\0"
    return delta + random.choice((b"\xf1", b"\xf4", b"\xf8", b"\xfe", b"\xff", b"\xf2\1"))


def midi(random: Random, data: bytes) -> bytes:
    """Lies in the chunks, the header and the events of a MIDI file."""
    if data[:4] == b"RIFF":
        data = data[20:]
    chunks = _chunks(data)
    kind = random.randrange(14)
    place = random.randrange(len(chunks))
    name, content = chunks[place]
    if kind == 0:  # a chunk's length
        length = random.choice((*_SIZES, max(len(content) - 1, 0), len(content) + 1))
        lying = [_chunk(*chunk, length if i == place else None) for i, chunk in enumerate(chunks)]
        return b"".join(lying)
    if kind == 1:  # the header
        values = (
            random.choice((0, 1, 2, 3, 65535)),
            random.choice((0, 1, 2, 100, 65535)),
            random.choice((0, 1, 24, 480, 0x7FFF, 0xE728, 0x8000, 0xFFFF)),
        )
        chunks[0] = b"MThd", struct.pack(">HHH", *values) + bytes(random.choice((0, 0, 1, 100)))
    elif kind == 2:  # a chunk again and again, or only its head with a length that is none
        n = random.choice((2, 30, 4000, 4000))
        if random.random() < 0.5:
            head = name + random.choice(_SIZES).to_bytes(4, "big")
            tail = random.choice((b"", b"\0\x99\x24\x40", b"\0\0\0\0", random.randbytes(random.randrange(8))))
            return b"".join(_chunk(*chunk) for chunk in chunks) + (head + tail) * n
        chunks[place:place] = [chunks[place]] * min(n, 1 + 200_000 // (len(content) + 8))
    elif kind == 3:
        del chunks[place]
    elif kind == 4:
        chunks[place] = random.choice((b"MTrk", b"MThd", b"XFIH", b"\0\0\0\0", b"mtrk")), content
    elif kind == 5:  # many signatures, tempi or names
        each = random.choice(
            (b"\xff\x58\x04\x05\x03\x18\x08", b"\xff\x51\x03\x07\xa1\x20", b"\xff\x03\x01a", b"\x99\x26\x40")
        )
        delta = random.choice((b"\0", b"\1", b"\x83\x60", b"\xff\xff\xff\x7f"))
        chunks[place] = name, (delta + each) * random.choice((3, 100, 20_000)) + content
    elif kind == 6:  # two onsets far from each other
        far = random.choice((b"\xff\xff\xff\x7f", b"\x87\x80\x80\x00")) + b"\xff\x01\x00"
        chunks[place] = (
            b"MTrk",
            b"\0\x99\x24\x40" + far * random.choice((1, 2, 4, 7, 8, 1000)) + b"\0\x99\x26\x40\0\xff\x2f\0",
        )
    elif kind == 7:
        riff = b"RMIDdata" + random.choice((len(data), *_SIZES)).to_bytes(4, "little") + data
        return b"RIFF" + random.choice((len(riff), *_SIZES)).to_bytes(4, "little") + riff
    elif kind == 8:
        random.shuffle(chunks)
    else:
        at = random.randrange(len(content) + 1)
        events = b"".join(_event(random) for _ in range(random.choice((1, 1, 2, 5, 40))))
        chunks[place] = name, content[:at] + events + content[at + random.choice((0, 0, 1, len(events))) :]
    return b"".join(_chunk(*chunk) for chunk in chunks)


# --- Texts, JSON and tables ---------------------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3.5, 16, 1e308, -1e308, 1 << 31, 1 << 62, 10**30, 10**400, float("nan")),
    *(float("inf"), -float("inf"), 4096, 4097, 10**6, 10**9, "", "x", "1", "16", "nan", "\0", "\ud800", "x" * 5000),
    *([], {}, [[]], [None], [1, "a"], {"a": 1}, [0] * 1000, {"bytes": [1]}, "gm9", "any"),
)
"""What may stand where something else is expected."""

_DEEP = "\x02deep\x02"


def weird_value(random: Random) -> Any:
    """A value of another type, of another size, or nested deeper than anybody writes."""
    return _DEEP if random.random() < 0.04 else random.choice(_VALUES)


def nodes(tree: Any) -> list[tuple[Any, Any]]:
    """Every place of a value: what holds it, and its key or index."""
    found: list[tuple[Any, Any]] = []
    left = [tree]
    while left and len(found) < 2000:
        node = left.pop()
        entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in list(entries):
            found.append((node, key))
            left.append(value)
    return found


def mutate_tree(random: Random, tree: Any) -> Any:
    """JSON values of which one is something else, is missing, comes again or has company."""
    places = nodes(tree)
    if not places or random.random() < 0.05:
        return weird_value(random)
    for _ in range(random.choice((1, 1, 2, 4))):
        node, key = random.choice(places)
        kind = random.randrange(6)
        if isinstance(node, list) and key >= len(node):
            continue
        if kind == 0:
            node.pop(key, None) if isinstance(node, dict) else node.pop(key)
        elif kind == 1 and isinstance(node, dict):
            node[random.choice(("x", "", *map(str, node)))] = weird_value(random)
        elif kind == 1:
            node.insert(key, weird_value(random))
        elif kind == 2 and isinstance(node, list):
            times = random.choice((0, 2, 100))
            if times == 0:
                node.clear()
            elif times * len(repr(node)) < MAX_BYTES // 4:  # copies: what is one list would grow in all places at once
                written = json.dumps(node)
                for _ in range(times - 1):
                    node += json.loads(written)
        elif kind == 3 and type(node.get(key) if isinstance(node, dict) else node[key]) in (int, float):
            value = node[key]
            node[key] = random.choice(
                (-value, value + 1, value - 1, value * 2, value * 10**9, repr(value)[:50], [value])
            )
        else:
            node[key] = weird_value(random)
    return tree


def _dumped(random: Random, tree: Any) -> bytes:
    text = json.dumps(tree)
    if _DEEP[1:-1] in text:
        n = random.choice((50, 900, 5000, 100_000))
        begin, end = random.choice((("[", "]"), ('{"a":', "}")))
        text = text.replace(json.dumps(_DEEP), begin * n + "1" + end * random.choice((n, n, 0)))
    return text.encode()


def as_json(random: Random, data: bytes) -> bytes:
    """JSON with values that do not fit, or in a form that is none."""
    kind = random.randrange(12)
    if kind == 0:
        return random.choice((b"[", b'{"a":', b'[{"a":')) * random.choice((1, 1000, 100_000))
    if kind == 1:
        return random.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\xff", b"//\n", b" " * 1000)) + data
    if kind == 2:
        return data.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-32", "utf-8-sig")))
    if kind == 3:
        return re.sub(
            rb"\d+",
            random.choice((b"1e999", b"9" * 5000, b"-0", b"NaN", b"1e-999", b"00")),
            data,
            count=random.choice((1, 0)),
        )
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable from None
    return _dumped(random, mutate_tree(random, tree))


def sent(random: Random, data: bytes) -> bytes:
    """JSON values of which some are others: what a browser may send through a server that reads JSON itself."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable from None
    return json.dumps(mutate_tree(random, tree)).encode()


def text(random: Random, data: bytes) -> bytes:
    """A text of words and lines, of which some are others."""
    said = data.decode("utf-8", "surrogateescape")
    kind = random.randrange(8)
    if kind == 0:
        return (
            said.encode("utf-8", "surrogateescape")
            .decode("utf-8", "replace")
            .encode(random.choice(("utf-16", "utf-8-sig", "utf-32")))
        )
    if kind == 1:
        return re.sub("\n", random.choice(("\r\n", "\r", "\u2028", " ", "\0", "\n\n")), said).encode(
            "utf-8", "surrogateescape"
        )
    if kind == 2:
        lines = said.split("\n")
        at = random.randrange(len(lines))
        lines[at:at] = [random.choice(lines)] * random.choice((1, 3, 1000))
        random.shuffle(lines) if random.random() < 0.2 else None
        return "\n".join(lines)[:MAX_BYTES].encode("utf-8", "surrogateescape")
    parts = re.split(r"(\W+)", said)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(parts))
        chosen = random.randrange(4)
        if chosen == 0:
            del parts[at : at + random.choice((1, 2, 20))]
        elif chosen == 1:
            parts.insert(at, weird_text(random))
        else:
            parts[at : at + 1] = [weird_text(random)]
        parts = parts or [""]
    return "".join(parts).encode("utf-8", "surrogatepass")


def table(random: Random, data: bytes) -> bytes:
    """A CSV table with cells, quotes and columns that do not fit."""
    kind = random.randrange(6)
    rows = [line.split(b",") for line in data.split(b"\n")]
    row = random.choice(rows)
    at = random.randrange(len(row))
    if kind == 0:
        row[at] = random.choice((b'"', b'"a', b'""', b"a\0b", b"x" * 200_000, b"\xff\xfe", b"'", b"\r", b'"a\nb"'))
    elif kind == 1:
        row[at:at] = [b"x"] * random.choice((1, 2, 1000))
    elif kind == 2:
        del row[at]
    elif kind == 3:
        rows[0] = random.choice(
            (rows[0] * 2, rows[0][::-1], [], [b"song"], [b"file"], [b"", *rows[0]], [b"file", b"file", b"song"])
        )
    elif kind == 4:
        rows = rows[:1] + rows[1:] * random.choice((0, 2, 50))
    else:
        return text(random, data)
    return b"\n".join(b",".join(row) for row in rows)[:MAX_BYTES]


def words(random: Random, data: bytes) -> bytes:
    """Arguments with zero bytes between them, of which some are others, come again or are missing."""
    parts = data.split(b"\0")
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(parts))
        kind = random.randrange(6)
        if kind == 0 and len(parts) > 1:
            del parts[at]
        elif kind == 1:
            parts.insert(at, random.choice(parts))
        elif kind == 2:
            parts[at] = text(random, parts[at])
        elif kind == 3:
            parts[at] += weird_text(random).encode("utf-8", "surrogatepass")
        else:
            parts[at] = weird_text(random).encode("utf-8", "surrogatepass")
    return b"\0".join(parts)


# --- Arrays ------------------------------------------------------------------------------------------

_DTYPES = (
    *(
        *("'<f8'", "'<f4'", "'<f2'", "'|b1'", "'|u1'", "'|i1'", "'<i8'", "'>i4'", "'<u2'", "'<c16'", "'|O'", "'<U0'"),
        *("'|S0'",),
    ),
    *(
        *("'|V0'", "'<U8'", "'|S1'", "'|S3'", "'<U1000000'", "'|V16'", "'<M8[ns]'", "'<m8'", "'f'", "'?'"),
        *("'float128'", "''"),
    ),
    *(
        *("[('a', '<i4')]", "[('a', '<i4', (3,)), ('b', '|O')]", "('<i4', (1000000,))", "None", "3", "'<q9'"),
        *("'i4,i4'", "['a']"),
    ),
)
_SHAPES = (
    *(
        *("()", "(0,)", "(1,)", "(3,)", "(-1,)", "(1000000000,)", "(10000000000000,)", "(1 << 62,)", "(2, 0)"),
        *("(0, 9, 16)",),
    ),
    *(
        *("(4611686018427387904, 4)", "(1, 1)", "(16, 9)", "(2, 16, 9)", "(1, 2, 16, 12)", "(3.0,)", "('3',)"),
        *("(True,)", "3"),
    ),
    *(
        "[3]",
        "(1,) * 40",
        "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)",
        "(24L,)",
        "None",
    ),
)
_LITERALS = (
    *(
        *("{", "", "(" * 150, "[" * 5000, "{" * 100_000, "1" * 9000, "__import__('os').getpid()", "{'descr': 'f8'}"),
        *("()", "-" * 3000),
    ),
    *(
        "{1: 2}",
        "None",
        "{'descr': '<f8', 'fortran_order': 0, 'shape': (1,), 'x': 1}",
        "\0",
        "{'a'" + "+'a'" * 2000 + "}",
    ),
)


def npy(random: Random, data: bytes) -> bytes:
    """Lies in the header of an array, and values that nobody expects."""
    found = re.match(rb"\x93NUMPY(.)\0(..)(\{.*?\}) *\n", data, re.DOTALL)
    if found is None:
        raise Unreadable
    header, values = found[3].decode("latin-1"), data[found.end() :]
    version = 1
    kind = random.randrange(12)
    if kind < 3:
        header = re.sub(r"'descr': (?:'[^']*'|\[.*?\])", lambda _: f"'descr': {random.choice(_DTYPES)}", header)
    elif kind < 6:
        header = re.sub(r"'shape': \([^)]*\)", lambda _: f"'shape': {random.choice(_SHAPES)}", header)
    elif kind == 6:
        header = header.replace("False", random.choice(("True", "None", "1", "'False'")))
    elif kind == 7:
        header = random.choice(_LITERALS)
    elif kind == 8:
        values = random.choice(
            (b"", values[: len(values) // 2], values * 2, values[:-1], b"\xff" * len(values), bytes(len(values)))
        )
    elif kind == 9:
        filling = random.choice(
            (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\xff\x7f", b"\0\0\0\0\0\0\xf0\x7f", b"\x01", b"\xff")
        )
        values = (filling * (len(values) // len(filling) + 1))[: len(values)]
    elif kind == 10:
        version = random.choice((0, 2, 3, 4, 9, 255))
    else:
        values = plain(random, values)
    encoded = header.encode("utf-8", "surrogatepass") + b"\n"
    length = (
        random.choice((len(encoded), len(encoded), len(encoded), *_SIZES)) if random.random() < 0.15 else len(encoded)
    )
    wide = version in (2, 3)
    size = (length & 0xFFFFFFFF).to_bytes(4, "little") if wide else (length & 0xFFFF).to_bytes(2, "little")
    return b"\x93NUMPY" + bytes([version, random.choice((0, 0, 0, 0, 1))]) + size + encoded + values


# --- Archives ----------------------------------------------------------------------------------------


@dataclass
class _Packed:
    """A member as it is written into a .zip, with what is said of it there, true or not."""

    name: bytes
    data: bytes
    method: int
    crc: int
    size: int
    flags: int = 0
    offset: int | None = None

    @staticmethod
    def of(name: bytes, content: bytes, method: int) -> _Packed:
        data = content
        if method == zipfile.ZIP_DEFLATED:
            packer = zlib.compressobj(1, zlib.DEFLATED, -15)
            data = packer.compress(content) + packer.flush()
        elif method != zipfile.ZIP_STORED:
            method = zipfile.ZIP_STORED
        return _Packed(name, data, method, zlib.crc32(content), len(content))


_BLOCK = 16 << 20


@lru_cache(maxsize=1)
def _zeros() -> tuple[bytes, tuple[int, ...], int]:
    """``_BLOCK`` zeros, deflated so that they may follow themselves, and what they do to a CRC-32.

    They take a checksum to the sum (exclusive or) of one number for each of its bits, and one more.
    """
    block = bytes(_BLOCK)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    least = zlib.crc32(block, 0)
    bits = tuple(zlib.crc32(block, 1 << bit) ^ least for bit in range(32))
    return packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH), bits, least


def _bomb(random: Random, name: bytes, content: bytes) -> _Packed:
    """A member that begins as it should and unpacks to 16 MiB up to a gigabyte of zeros, of which it may say less."""
    packed, bits, least = _zeros()
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    n = random.choice((1, 1, 4, 15, 64))
    if random.random() < 0.7:  # an array that is as long as its header says
        width = int((re.findall(rb"'descr': '[<>|]\w(\d+)'", content) or [b"1"])[0])
        shape = b"'shape': (%d,)" % (n * _BLOCK // max(width, 1))
        content = re.sub(rb"'shape': \([^)]*\),? ?\}( *)\n.*", lambda found: shape + b", }\n", content, flags=re.DOTALL)
        content = (
            content[:8] + (len(content) - 10).to_bytes(2, "little") + content[10:]
            if content[:1] == b"\x93" and len(content) < 1 << 16
            else content
        )
    crc = zlib.crc32(content)
    for _ in range(n):
        crc = functools.reduce(operator.xor, (bits[bit] for bit in range(32) if crc >> bit & 1), least)
    size = random.choice((len(content) + n * _BLOCK,) * 3 + (len(content), 100, (1 << 32) - 1))
    data = packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH) + packed * n + b"\x03\x00"
    return _Packed(name, data, zipfile.ZIP_DEFLATED, crc, size)


def _write_zip(random: Random, members: Sequence[_Packed], lies: int) -> bytes:
    """A .zip of these members, with so many lies in its directory."""
    out, directory = bytearray(), []
    for member in members:
        sizes = struct.pack("<III", member.crc, len(member.data), member.size)
        head = b"PK\3\4" + struct.pack("<HHHHH", 20, member.flags, member.method, 0, 33) + sizes
        entry = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, member.flags, member.method, 0, 33) + sizes
        offset = len(out) if member.offset is None else member.offset
        entry += struct.pack("<HHHHHII", len(member.name), 0, 0, 0, 0, 0, offset) + member.name
        directory.append(bytearray(entry))
        if member.offset is None:
            out += head + struct.pack("<HH", len(member.name), 0) + member.name + member.data
    for _ in range(lies):
        entry = random.choice(directory)
        at, width = random.choice(
            ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4), (42, 4))
        )
        entry[at : at + width] = (random.choice((*_SIZES, len(out))) & (1 << 8 * width) - 1).to_bytes(width, "little")
    body = b"".join(directory)
    n = random.choice((0, 1, 0xFFFF)) if lies and random.random() < 0.1 else len(directory)
    end = struct.pack("<HHHHIIH", 0, 0, n & 0xFFFF, n & 0xFFFF, len(body), len(out), 0)
    return bytes(out) + body + b"PK\5\6" + end


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member up to the size that it says; asked for all, zipfile unpacks more."""
    with archive.open(info) as member:
        return member.read(info.file_size)


def zipped(of_member: Callable[[str], Mutator]) -> Mutator:
    """A mutator of .zip files, .npz among them.

    Args:
        of_member: what mutates a member of this name.
    """

    def mutate(random: Random, data: bytes) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                infos = archive.infolist()
                if sum(info.file_size for info in infos) > 16 * MAX_BYTES:  # a bomb of the round before
                    raise Unreadable
                members = [(info.filename, read_member(archive, info), info.compress_type) for info in infos]
        except Exception:
            raise Unreadable from None
        if not members:
            raise Unreadable
        packed = [
            _Packed.of(name.encode("utf-8", "surrogatepass"), content, method) for name, content, method in members
        ]
        lies = 0
        place = random.randrange(len(members))
        name, content, method = members[place]
        kind = random.randrange(16)
        if kind < 6:
            try:
                content = of_member(name)(random, content)
            except Unreadable:
                content = plain(random, content)
            packed[place] = _Packed.of(
                packed[place].name, content, random.choice((method, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            )
        elif kind == 6:
            del packed[place]
        elif kind == 7:
            packed[place].name = random.choice(
                (weird_text(random), name + weird_text(random), "../" + name, "/" + name, random.choice(members)[0])
            ).encode("utf-8", "surrogatepass")[:60_000]
        elif kind == 8:
            packed += [packed[place]] * min(random.choice((1, 2, 300)), 1 + 100_000 // (len(packed[place].data) + 1))
        elif kind == 9:
            # members that share their bytes: each is whole, together they are larger than the file
            first = packed[place]
            shared = _bomb(random, first.name, content) if random.random() < 0.05 else first
            n = random.choice((3, 30, 300))
            packed[place] = shared
            at = sum(len(member.data) + len(member.name) + 30 for member in packed[:place])
            packed += [
                _Packed(b"%d-%s" % (i, first.name), shared.data, shared.method, shared.crc, shared.size, 0, at)
                for i in range(n)
            ]
        elif kind == 10 and random.random() < 0.1:
            packed = [
                _bomb(random, each.name, each_content)
                for each, (_, each_content, _) in zip(packed, members, strict=True)
            ]
        elif kind == 10 and random.random() < 0.2:
            packed[place] = _bomb(random, packed[place].name, content[: random.choice((len(content), 128, 80))])
        elif kind == 11:
            packed[place].method = random.choice((1, 9, 12, 14, 93, 95, 98, 99, 0, 8))
            packed[place].flags = random.choice((0, 1, 8, 0x800, 0x41, 0xFFFF))
        elif kind == 12:
            return random.choice(
                (
                    b"",
                    b"PK\5\6" + bytes(18),
                    data[: len(data) // 2],
                    data * 2,
                    b"junk" * 50 + data,
                    data + b"x" * 70_000,
                )
            )
        else:
            lies = random.choice((1, 1, 2, 5))
        return _write_zip(random, packed, lies)

    return mutate


def tarred(of_member: Callable[[str], Mutator]) -> Mutator:
    """A mutator of .tar files, plain or compressed.

    Args:
        of_member: what mutates a member of this name.
    """

    def mutate(random: Random, data: bytes) -> bytes:
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                members = [(info, file.read()) for info in archive if (file := archive.extractfile(info))]
        except Exception:
            raise Unreadable from None
        if not members:
            raise Unreadable
        out = io.BytesIO()
        kind, place = random.randrange(8), random.randrange(len(members))
        with tarfile.open(
            fileobj=out, mode="w", format=random.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
        ) as archive:
            for number, (info, content) in enumerate(members):
                if number == place:
                    if kind < 3:
                        try:
                            content = of_member(info.name)(random, content)
                        except Unreadable:
                            content = plain(random, content)
                    elif kind == 3:
                        info.name = (
                            random.choice(
                                (weird_text(random).replace("\0", ""), "../" + info.name, "a/" * 2000 + info.name)
                            )
                            or "x"
                        )
                        # half a letter is written as the bytes it would have
                        info.name = info.name.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
                    elif kind == 4:
                        info.type = random.choice(
                            (
                                *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE),
                                *(tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE, b"Z"),
                            )
                        )
                        info.linkname = info.name
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        found = bytearray(out.getvalue())
        if kind >= 6:  # lies in a header
            at = 512 * random.randrange(max(len(found) // 512, 1))
            field = random.choice(
                (
                    *((124, b"77777777777\0"), (124, b"\x80" + b"\xff" * 11), (124, b"-1\0"), (148, b"0000000\0")),
                    *((156, b"g"), (156, b"x"), (156, b"S"), (0, b"\0")),
                )
            )
            found[at + field[0] : at + field[0] + len(field[1])] = field[1]
            head = found[at : at + 512]
            if len(head) == 512 and random.random() < 0.8:
                head[148:156] = b" " * 8
                found[at + 148 : at + 156] = b"%06o\0 " % (sum(head) & 0o777777)
        if data[:2] != b"\x1f\x8b":
            return bytes(found)
        packed = gzip.compress(bytes(found), 1, mtime=0)
        if random.random() < 0.02:  # zeros behind it, which unpack to a gigabyte
            packed += gzip_zeros(random.choice((1, 16, 64)))
        return plain(random, packed) if random.random() < 0.3 else packed

    return mutate


def gzip_zeros(blocks: int) -> bytes:
    """A gzip member of so many times 16 MiB of zeros, with a checksum of none."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + _zeros()[0] * blocks + b"\x03\x00" + bytes(8)


# --- Weights -----------------------------------------------------------------------------------------


def _enlarged(random: Random, data: bytes) -> bytes:
    """JSON of which most whole numbers are larger: each may be allowed, and all together build what nobody has."""
    values = random.choice(((b"8", b"4096"), (b"8", b"16", b"512", b"1024", b"4096", b"1000000")))

    def larger(found: re.Match[bytes]) -> bytes:
        return found[1] + (found[2] if random.random() < 0.3 else random.choice(values))

    names = random.choice((rb"\w*?width|layers", rb"(?!steps)\w+"))
    return re.sub(rb'("(?:%b)": )(\d+)' % names, larger, data)


def safetensors(random: Random, data: bytes) -> bytes:
    """Lies in the header of a safetensors file, in its metadata, and in the config that is written there."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = header["__metadata__"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise Unreadable from None
    if not isinstance(metadata, dict):
        raise Unreadable
    values = data[8 + length :]
    tensors = [name for name in header if name != "__metadata__"]
    kind = random.randrange(14)
    if kind < 6:  # the JSON in the metadata
        inside = [name for name in metadata if str(metadata[name])[:1] in "{["]
        name = random.choice(inside * 3 or [*metadata] or ["config"])
        written = str(metadata.get(name, "{}")).encode("utf-8", "surrogatepass")
        said = _enlarged(random, written) if kind < 2 else as_json(random, written)
        metadata[name] = said.decode("utf-8", "replace")
    elif kind == 6:
        mutate_tree(random, metadata)
    elif kind == 7:
        header = mutate_tree(random, header)
    elif kind in (8, 9) and tensors:
        entry = header[random.choice(tensors)]
        if isinstance(entry, dict):
            entry[random.choice(("dtype", "shape", "data_offsets"))] = random.choice(
                (
                    *("F32", "F16", "F64", "I64", "BOOL", "U8", "BF16", "F8_E4M3", "C64", [], [0], [1], [1 << 40]),
                    *([0, 0], [0, 4], [4, 0], [0, 1 << 62], [-1, 4], None),
                )
            )
    elif kind == 10 and tensors:
        one, other = random.choice(tensors), random.choice(tensors)
        header[one], header[other] = header[other], header[one]
    elif kind == 11 and tensors:
        name = random.choice(tensors)
        header[random.choice(("x", "", name + ".weight", *tensors))] = header.pop(name)
    elif kind == 12:
        filling = random.choice((b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f", b"\xff"))
        at = random.randrange(len(values) + 1) & ~3
        values = values[:at] + filling * random.choice((1, 4)) + values[at + 4 :]
    else:
        values = random.choice((b"", values[:-1], values + b"x", values[: len(values) // 2], values * 2))
    found = _dumped(random, header)
    said = random.choice((*_SIZES, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)) if random.random() < 0.05 else len(found)
    return said.to_bytes(8, "little") + found + values


# --- SQLite ------------------------------------------------------------------------------------------

_SQL_TYPES = ("", "TEXT", "BLOB", "INTEGER", "REAL", "ANY", "TEXT NOT NULL", "TEXT COLLATE NOCASE")
_SQL_VALUES: tuple[Any, ...] = (
    *(
        *(None, 0, 1, 2, -1, 1 << 62, 0.5, 1.0, float("inf"), float("nan"), "", "GAN", "a\0b", "x" * 10_000, "1"),
        *("\u2028", "a\nb"),
    ),
    *(b"", b"\xff\xfe", b"GAN", bytes(1000)),
)


def sqlite(random: Random, data: bytes) -> bytes:
    """An SQLite file with cells, columns and tables that do not fit."""
    if len(data) < 512:
        raise Unreadable
    kind = random.randrange(10)
    if kind < 2:  # bytes of its pages and of its header
        found = bytearray(data)
        for _ in range(random.choice((1, 2, 8, 40))):
            found[random.choice((random.randrange(100), random.randrange(len(found))))] = random.randrange(256)
        return bytes(found)
    if kind == 2:
        return data[: random.choice((0, 16, 50, 100, 1000, 4096, len(data) - 1))]
    names = ["time", "listener", "first", "second", "first_bar", "second_bar", "bpm", "swing", "first_won"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes"
        path.write_bytes(data if kind < 6 else b"")
        base = sqlite3.connect(path, isolation_level=None)
        try:
            if sys.version_info >= (3, 11):
                base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 20)  # what is made costs no more than what is read
            base.execute("PRAGMA synchronous = OFF")
            base.execute("PRAGMA journal_mode = OFF")
            base.execute("PRAGMA ignore_check_constraints = ON")
            if kind < 6:
                for _ in range(random.choice((1, 3, 30))):
                    cells = [random.choice(_SQL_VALUES) if random.random() < 0.4 else "GAN" for _ in names]
                    base.execute(f"INSERT INTO votes VALUES ({', '.join('?' * len(names))})", cells)
            else:
                _other_votes(random, base, names)
        except (sqlite3.Error, UnicodeError):
            pass  # a cell that SQLite itself does not take: what is there is the input
        finally:
            base.close()
        return path.read_bytes()


def _other_votes(random: Random, base: sqlite3.Connection, names: list[str]) -> None:
    """A table of votes of other columns, types and makings, or none."""
    if random.random() < 0.3:
        base.execute(f"PRAGMA encoding = '{random.choice(('UTF-16le', 'UTF-16be'))}'")
    if random.random() < 0.3:
        base.execute(f"PRAGMA page_size = {random.choice((512, 1024, 65536))}")
    if random.random() < 0.15:
        del names[random.randrange(len(names))]
    if random.random() < 0.15:
        names.insert(random.randrange(len(names)), random.choice(("x", "rowid", '"a b"')))
    columns = [f"{name} {random.choice(_SQL_TYPES)}" for name in names]
    if random.random() < 0.15:
        made = random.choice(
            ("hex(zeroblob(300000000))", "abs(-9223372036854775808)", "x'ff'", "1/0", "listener || listener")
        )
        columns[random.randrange(len(columns))] = f"{random.choice(('first', 'second', 'first_won'))} AS ({made})"
    kind = random.choice(("TABLE", "TABLE", "TABLE", "TABLE", "VIEW", "OTHER"))
    if kind == "VIEW":
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        endless += "SELECT i AS first, i AS second, 1 AS first_won FROM n"
        base.execute("CREATE TABLE other (a)")
        base.execute(f"CREATE VIEW votes AS {endless}")
        return
    base.execute(f"CREATE TABLE {'votes' if kind == 'TABLE' else 'voters'} ({', '.join(columns)})")
    stored = [name for name, column in zip(names, columns, strict=True) if " AS (" not in column]
    for _ in range(random.choice((0, 1, 3, 20))):
        cells = [random.choice(_SQL_VALUES) for _ in stored]
        marks = ", ".join(
            "CAST(? AS TEXT)" if isinstance(cell, bytes) and random.random() < 0.5 else "?" for cell in cells
        )
        base.execute(f"INSERT INTO votes ({', '.join(stored)}) VALUES ({marks})", cells)
    if random.random() < 0.1:
        base.execute("CREATE TRIGGER t AFTER INSERT ON votes BEGIN DELETE FROM votes; END")
