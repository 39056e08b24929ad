"""The flags: one bit each, and room for where a head ends."""

from aiohttp_worker.http1 import head_flags


def test_each_flag_is_one_bit() -> None:
    names = [
        name
        for name in vars(head_flags)
        if name.isupper() and name not in ("METHOD", "METHODS", "MEANINGS", "BITS", "ALL", "SERVER", "DATE")
    ]
    bits = [getattr(head_flags, name) for name in names]
    assert len(bits) == len(set(bits)) == head_flags.BITS - 3
    assert all(bit.bit_count() == 1 for bit in bits)
    assert sum(bits) + head_flags.METHOD == head_flags.ALL == (1 << head_flags.BITS) - 1


def test_methods_have_numbers() -> None:
    assert len(head_flags.METHODS) <= head_flags.METHOD
    assert head_flags.METHODS[0] == "GET"  # what a table has presumed


def test_meanings_are_flags() -> None:
    assert all(name == name.lower() for name in head_flags.MEANINGS)
    assert len(set(head_flags.MEANINGS.values())) == len(head_flags.MEANINGS)
