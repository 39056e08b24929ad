"""Use of the result of a call, and of the value sent into a generator, as read from the bytecode of the caller."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from aiohttp_worker.wsgi.call_sites import Use, delegates_now, drops_what_is_sent, iterates_now, use_of_call

Steps = Generator[Any, Any, Any]


class Nothing:
    """Result that can be awaited, delegated to and iterated, and is empty."""

    def __await__(self) -> Iterator[Any]:
        return iter(())

    __iter__ = __await__


class Probe:
    """Function that notes the use of its result."""

    def __init__(self) -> None:
        self.use: Use | None = None

    def __call__(self) -> Any:
        self.use = use_of_call(sys._getframe(1))
        return Nothing()


def run(function: Callable[[Any], Any], probe: Any) -> None:
    result = function(probe)
    if isinstance(result, types.CoroutineType):
        with pytest.raises(StopIteration):
            result.send(None)
    elif isinstance(result, types.GeneratorType):
        assert list(result) == []


def drops(probe: Any) -> None:
    probe()


def keeps(probe: Any) -> None:
    data = probe()
    assert data


def only_yields(probe: Any) -> Steps:
    yield from_nobody(probe())


def from_nobody(value: Any) -> Any:
    return value


def delegates(probe: Any) -> Steps:
    yield from probe()


def delegates_later(probe: Any) -> Steps:
    reading = probe()
    yield from reading


def passes_on(probe: Any) -> Steps:
    yield from from_nobody(probe())


async def awaits(probe: Any) -> None:
    await probe()


async def awaits_later(probe: Any) -> None:
    reading = probe()
    await reading


@types.coroutine
def marked(probe: Any) -> Steps:
    reading = probe()
    yield from reading


def delegates_to_a_wrapper(probe: Any) -> Steps:
    yield from returns(probe)


def delegates_to_another_use(probe: Any) -> Steps:
    yield from uses(probe)


def returns(probe: Any) -> Any:
    return probe()


def uses(probe: Any) -> Any:
    data = probe()
    return iter(data)


def drops_a_wrapper(probe: Any) -> None:
    returns(probe)


@pytest.mark.parametrize(
    ("function", "use"),
    [
        (drops, Use.PLAIN),
        (keeps, Use.PLAIN),
        (drops_a_wrapper, Use.PLAIN),
        (delegates, Use.DELEGATED),
        (delegates_to_a_wrapper, Use.DELEGATED),
        (delegates_later, Use.KEPT),
        (passes_on, Use.PASSED),
        (delegates_to_another_use, Use.PASSED),
        (awaits, Use.AWAITED),
        (awaits_later, Use.KEPT),
        (marked, Use.KEPT),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_use_of_call(function: Any, use: Use) -> None:
    probe = Probe()
    run(function, probe)
    assert probe.use is use


def test_use_of_call_in_a_generator_without_yield_from() -> None:
    probe = Probe()
    assert len(list(only_yields(probe))) == 1
    assert probe.use is Use.PLAIN


class Iterable:
    """Iterable that notes in which way its iterator is requested."""

    def __init__(self) -> None:
        self.requests: list[tuple[bool, bool]] = []

    def __iter__(self) -> Iterator[Any]:
        frame = sys._getframe(1)
        self.requests.append((iterates_now(frame), delegates_now(frame)))
        return iter(())


def test_request_for_an_iterator() -> None:
    iterable = Iterable()

    def generator() -> Steps:
        yield from iterable

    for _ in iterable:
        pass
    list(generator())
    list(iterable)
    assert iterable.requests == [(True, False), (False, True), (False, False)]


def test_value_sent_into_a_generator() -> None:
    def statement() -> Iterator[Any]:
        yield 1

    def expression() -> Steps:
        value = yield 1
        yield value

    def inner(function: Any) -> Steps:
        return (yield from function())

    def returned() -> Steps:
        return (yield 1)

    def delegated_to_an_iterator() -> Steps:
        yield from [1]

    for generator, drops in (
        (statement(), True),
        (inner(statement), True),
        ((x for x in (1,)), True),
        (expression(), False),
        (inner(expression), False),
        (returned(), False),
        (delegated_to_an_iterator(), False),
    ):
        next(generator)
        assert drops_what_is_sent(generator) is drops, generator  # type: ignore[arg-type]


def test_value_sent_into_a_finished_generator() -> None:
    def statement() -> Iterator[Any]:
        yield 1

    generator: Any = statement()
    assert list(generator) == [1]
    assert not drops_what_is_sent(generator)
