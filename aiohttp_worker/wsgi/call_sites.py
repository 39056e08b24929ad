"""Bytecode at the point where a frame stands: whether the result of a call is awaited, delegated to, iterated or dropped.

A read of ``wsgi.input`` serves code written for files and code written for streams, and a generator may mean its ``yield``
as a statement or as an expression. The instruction behind the one at which the frame stands tells them apart.
"""

from __future__ import annotations

import dis
import enum
import inspect
import types
from typing import Any, Final

from .symbolic_execution import ITER_HAS_ARGUMENT, facts_of, has_yield_from


def _opcode(name: str) -> int:
    """Return the number of an instruction, -1 in a Python that does not have it."""
    return dis.opmap.get(name, -1)


_YIELD_VALUE: Final = _opcode("YIELD_VALUE")
_RESUME: Final = _opcode("RESUME")
_POP_TOP: Final = _opcode("POP_TOP")
_RETURN_VALUE: Final = _opcode("RETURN_VALUE")
_CACHE: Final = _opcode("CACHE")
_GET_AWAITABLE: Final = _opcode("GET_AWAITABLE")
_GET_ITER: Final = _opcode("GET_ITER")
# In Python 3.15, which has GET_ITER alone, a number that no instruction has.
_GET_YIELD_FROM_ITER: Final = 256 if ITER_HAS_ARGUMENT else _opcode("GET_YIELD_FROM_ITER")
_AWAITS: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


def drops_what_is_sent(generator: types.GeneratorType[Any, Any, Any]) -> bool:
    """Return whether a generator that is suspended at a ``yield`` discards a value sent in: the ``yield`` is a statement."""
    inner: Any = generator
    while isinstance(inner, types.GeneratorType) and inner.gi_yieldfrom is not None:
        inner = inner.gi_yieldfrom
    if not isinstance(inner, types.GeneratorType) or inner.gi_frame is None:
        return False
    frame = inner.gi_frame
    code = frame.f_code.co_code
    place = frame.f_lasti
    for opcode in (_YIELD_VALUE, _RESUME):
        if code[place] == opcode:
            place = _place_after(code, place)
    return code[place] == _POP_TOP


class Use(enum.Enum):
    """Use of the result of a call, as far as the code of the caller shows."""

    PLAIN = "neither awaited nor delegated to"
    PASSED = "used in another way by a function that can await or delegate, which may have it awaited elsewhere"
    KEPT = "possibly stored, to be awaited or delegated to later"
    DELEGATED = "delegated to by yield from"
    AWAITED = "awaited"


def use_of_call(frame: types.FrameType) -> Use:
    """Return the use of the result of the call at which a frame stands.

    :param frame: of the calling function. Where that is an ordinary one that returns the result, its caller decides.
    """
    opcode = _next_opcode(frame)
    if _can_wait(frame.f_code):
        if opcode == _GET_YIELD_FROM_ITER:
            return Use.DELEGATED
        if opcode == _GET_AWAITABLE:
            return Use.AWAITED
        if frame.f_code.co_flags & _AWAITS or facts_of(frame.f_code).delegated_names:
            return Use.KEPT
        return Use.PASSED
    caller = frame.f_back
    if caller is None or frame.f_code.co_flags & inspect.CO_GENERATOR:
        return Use.PLAIN
    if opcode == _RETURN_VALUE:
        return use_of_call(caller)
    return Use.PASSED if _can_wait(caller.f_code) else Use.PLAIN


def _can_wait(code: types.CodeType) -> bool:
    flags = code.co_flags
    return bool(flags & _AWAITS) or (bool(flags & inspect.CO_GENERATOR) and has_yield_from(code))


def _next_opcode(frame: types.FrameType) -> int:
    """Return the opcode behind the call at which a frame stands."""
    code = frame.f_code.co_code
    return _opcode_at(code, _place_after(code, frame.f_lasti))


def _place_after(code: bytes, place: int) -> int:
    """Return the place of the next instruction, behind the caches of the one at *place*, which differ between Pythons."""
    place += 2
    while code[place] == _CACHE:
        place += 2
    return place


def _opcode_at(code: bytes, place: int) -> int:
    """Return the number of the instruction at *place*; a ``yield from`` has one of its own in every Python."""
    if code[place] == _GET_ITER and ITER_HAS_ARGUMENT and code[place + 1]:
        return _GET_YIELD_FROM_ITER
    return code[place]


def iterates_now(frame: types.FrameType) -> bool:
    """Return whether a frame stands at the request for an iterator of a ``for`` loop."""
    return frame.f_lasti >= 0 and _opcode_at(frame.f_code.co_code, frame.f_lasti) == _GET_ITER


def delegates_now(frame: types.FrameType) -> bool:
    """Return whether a frame stands at the request for an iterator of a ``yield from``."""
    return frame.f_lasti >= 0 and _opcode_at(frame.f_code.co_code, frame.f_lasti) == _GET_YIELD_FROM_ITER
