"""Damage to bytes and to JSON, of the kinds that readers stumble over."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = [0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31]
NUMBERS += [2**32 - 8, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]

TEXTS = [
    *("", " ", "a", "x" * 300, "ß" * 90, "1" * 50, "..", "../../etc/passwd", "/etc/passwd", "C:\\x"),
    *("\0", "a\0b", "a\nb", "\r", "\x1b[31mred", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ufffe"),
    *(
        "nan",
        "None",
        "\u0130",
        "e\u0301",
        "\U0001f3c3",
        "<script>",
        '"',
        "'",
        "{}",
        "%s%n",
        "{0.__class__}",
        "=1+1",
    ),
]

LONG_TEXTS = ["y" * 5_000, "\x01" * 2_000, "a b" * 40_000, "é\n" * 100_000]

# As they stand in a file: what no value of Python becomes.
RAW_JSON = [
    *("NaN", "Infinity", "-Infinity", "1e999", "-0.0", "1e-400", "0x10", "1_0", "01", "'a'", "tru", "//"),
    *("9" * 4_000, "9" * 5_000, "-" + "9" * 300, "[,]", "{1:2}", "\x00", "\x0b", '{"a":1,"a":2}'),
    *('"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\n"', '"\t"', '"\\x"', "[" + "0," * 50_000 + "0]"),
    *("[" * 900 + "]" * 900, "[" * 5_000 + "]" * 5_000, "[" * 60_000),
    *('{"a":' * 900 + "1" + "}" * 900, '{"a":' * 40_000),
]


def number_bytes(chance: random.Random) -> bytes:
    """A number at the edge of what its type holds, as a file has it."""
    size = chance.choice([1, 2, 4, 4, 8])
    return (chance.choice(NUMBERS) % 256**size).to_bytes(size, chance.choice(["little", "big"]))


def _place(data: bytearray, chance: random.Random) -> int:
    """A place, more often near the beginning, where headers are."""
    end = len(data) if chance.random() < 0.5 else min(len(data), 200)
    return chance.randrange(end + 1)


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 2, 8])):
        if data:
            data[_place(data, chance) % len(data)] ^= 1 << chance.randrange(8)


def _set(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 4])):
        if data:
            data[_place(data, chance) % len(data)] = chance.choice(
                [0, 1, 127, 128, 255, chance.randrange(256)]
            )


def _overwrite(data: bytearray, chance: random.Random) -> None:
    place, new = _place(data, chance), number_bytes(chance)
    data[place : place + len(new)] = new


def _insert(data: bytearray, chance: random.Random) -> None:
    place = _place(data, chance)
    data[place:place] = chance.choice(
        [number_bytes(chance), chance.randbytes(chance.randrange(40)), bytes(64)]
    )


def _remove(data: bytearray, chance: random.Random) -> None:
    place = _place(data, chance)
    del data[place : place + chance.choice([1, 2, 4, 16, 100])]


def _repeat(data: bytearray, chance: random.Random) -> None:
    place = _place(data, chance)
    data[place:place] = data[place : place + chance.randrange(1, 200)] * chance.choice([1, 1, 2, 50])


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_place(data, chance) :]


_DAMAGES: list[Callable[[bytearray, random.Random], None]] = [
    _flip,
    _set,
    _overwrite,
    _overwrite,
    _insert,
    _remove,
    _repeat,
    _cut,
]


def damaged(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Damage bytes in one to four places; now and then, they go on as another file does."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        chance.choice(_DAMAGES)(changed, chance)
    if others and chance.random() < 0.1:
        other = chance.choice(others)
        changed = changed[: _place(changed, chance)] + other[chance.randrange(len(other) + 1) :]
    return bytes(changed)


def twisted_value(chance: random.Random) -> Any:
    """A value that may not be what is expected."""
    kind = chance.randrange(8)
    if kind == 0:
        return chance.choice(NUMBERS) * chance.choice([1, -1])
    if kind == 1:
        return chance.choice([0.5, -1.5, 1e-308, 1e308, 1e-3, 1000.0])
    if kind == 2:
        return chance.choice([None, True, False, [], {}, [[]], [None], {"": None}])
    if kind == 3:
        return [twisted_value(chance) for _ in range(chance.randrange(4))]
    if kind == 4:
        return {chance.choice(TEXTS): twisted_value(chance) for _ in range(chance.randrange(4))}
    return chance.choice(LONG_TEXTS if chance.random() < 0.1 else TEXTS)


def twisted_json(value: Any, chance: random.Random, names: Sequence[str] = ()) -> str:
    """JSON of a value with a few of its parts replaced, renamed, repeated or removed.

    Args:
        value: The value; it stays as it is.
        chance: Says what becomes of it.
        names: Fields that may be put in, such as those of an architecture.
    """
    copy = json.loads(json.dumps(value))
    raw: list[str] = []
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        holder, key = _part(copy, chance)
        if holder is None:
            copy = twisted_value(chance)
        elif isinstance(holder, dict) and chance.random() < 0.3:
            _change_names(holder, key, chance, names)
        elif chance.random() < 0.3:
            raw.append(chance.choice(RAW_JSON))
            holder[key] = f"<raw {len(raw) - 1}>"
        else:
            holder[key] = twisted_value(chance)
    text = json.dumps(copy, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 2]))
    for number, piece in enumerate(raw):
        text = text.replace(f'"<raw {number}>"', piece)
    if chance.random() < 0.05:  # a name that is there twice
        text = text.replace("{", '{"a": 1, "a": 2, ', 1)
    return text


def _part(value: Any, chance: random.Random) -> tuple[Any, Any]:
    """A list or dict somewhere in a value, and a key of it; `None` for the value itself."""
    holder = key = None
    while isinstance(value, dict | list) and value and (holder is None or chance.random() < 0.6):
        holder = value
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        value = value[key]
    return (None, None) if chance.random() < 0.02 else (holder, key)


def _change_names(holder: dict[str, Any], key: str, chance: random.Random, names: Sequence[str]) -> None:
    change = chance.randrange(3)
    if change == 0:
        del holder[key]
    elif change == 1:
        holder[chance.choice([*TEXTS, *names])] = holder.pop(key)
    else:
        holder[chance.choice([*TEXTS, *names])] = twisted_value(chance)
