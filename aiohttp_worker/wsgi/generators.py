"""Classification of a generator by its own code: ordinary, for the event loop, or streaming its input.

A generator is PEP 3333's iterable first. It is *asynchronous*, and sees the loop, if it has ``yield from``, and

- delegates to a call of asyncio, of this distribution's client, of a function marked with ``types.coroutine``, or of a
  generator function that is asynchronous itself; or
- its code, that of nested functions included, names something of that kind, a coroutine function or a future; but not
  if it also calls another application, that is, passes ``start_response`` or one of its own on to something that is not
  known to be asynchronous: then it is middleware, and what it calls must not see the loop; or
- it streams its input.

It *streams its input* if ``environ["wsgi.input"]``, or a local variable of that value, is only read in its code, and each
read (``read``, ``readany``, ``readexactly``, ``readline``, ``readuntil``) is delegated to where it stands, as in
``data = yield from environ["wsgi.input"].read(n)``; and if the environ is passed only to functions that do not touch the
input, or stream it in the same way.

Everything else is ordinary. A wrong guess there costs the moment at which the application is called, and never what it
reads.
"""

from __future__ import annotations

import asyncio
import builtins
import enum
import inspect
import types
from collections.abc import Mapping
from typing import Any, Final

from .code_facts import Call, Facts, Name, Reference, holds
from .symbolic_execution import facts_of, has_yield_from

_DEEPEST: Final = 8  # chain of functions that name each other
# Names of asyncio and of the client that start a loop of their own, need none, or are not called.
_NO_LOOP: Final = frozenset(
    {"run", "Runner", "new_event_loop", "set_event_loop", "iscoroutine", "iscoroutinefunction", "run_coroutine_threadsafe"}
)
_LOOPS_PACKAGES: Final = frozenset({"asyncio", "_asyncio", "aiohttp", "uvloop"})
# Policies choose a loop, and are called without one. From Python 3.14 on, naming them as attributes of asyncio warns; 3.16 is
# to have none.
POLICIES: Final = tuple(value for name, value in vars(asyncio.events).items() if name.endswith("AbstractEventLoopPolicy"))


class Dialect(enum.Enum):
    """Class of a generator: how it is run, and what ``wsgi.input`` it is given."""

    ORDINARY = "stepped with the loop hidden; its input is collected first"
    ASYNCHRONOUS = "driven by the loop; its input is collected first"
    STREAMING = "driven by the loop; its input is a stream"


def function_dialect(function: types.FunctionType) -> Dialect:
    """Return the class of the generators that a generator function returns."""
    return _Classifier(0).function(function)


def generator_dialect(generator: types.GeneratorType[Any, Any, Any]) -> Dialect:
    """Return the class of a generator that was returned by an application."""
    code = generator.gi_code
    if not has_yield_from(code):
        return Dialect.ORDINARY
    frame: types.FrameType | None = generator.gi_frame
    if frame is None:
        return Dialect.ORDINARY
    return _Classifier(0).code(code, frame.f_locals, frame.f_globals)


class _Classifier:
    """Classifies code together with the present values of its variables.

    :param depth: number of functions that led here, by naming each other.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth

    def function(self, function: types.FunctionType) -> Dialect:
        cells = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                cells[name] = cell.cell_contents
            except ValueError:
                continue  # a variable without a value yet
        return self.code(function.__code__, cells, function.__globals__)

    def code(self, code: types.CodeType, free: Mapping[str, Any], global_names: Mapping[str, Any]) -> Dialect:
        facts = facts_of(code)
        if not facts.delegates or self._depth > _DEEPEST:
            return Dialect.ORDINARY
        values = _Values(free, global_names)
        applications = [call.callee for call in facts.calls if _is_application(facts, call)]
        below = [self.callee(values.get(reference), reference not in applications) for reference in facts.delegated]
        is_middleware = any(self.callee(values.get(callee), False) is Dialect.ORDINARY for callee in applications)
        streams = (
            not is_middleware
            and (holds(facts, "streams") or Dialect.STREAMING in below)
            and not holds(facts, "collects")
            and all(self.leaves_input(values.get(call.callee)) for call in _environ_calls(facts))
        )
        if streams:
            return Dialect.STREAMING
        if any(dialect is not Dialect.ORDINARY for dialect in below) or (not is_middleware and self.names(facts, values)):
            return Dialect.ASYNCHRONOUS
        return Dialect.ORDINARY

    def callee(self, value: Any, may_return_awaitable: bool) -> Dialect:
        """Classify *value*, to which, or to a call of which, a generator delegates.

        :param may_return_awaitable: also count an ordinary function that names asynchronous things, since it may return one;
            false for an ordinary application, which returns an iterable.
        """
        if _is_of_a_loop(value) or inspect.iscoroutinefunction(value) or _is_marked_generator(value):
            return Dialect.ASYNCHRONOUS
        if isinstance(value, types.MethodType):
            value = value.__func__
        if isinstance(value, types.FunctionType):
            if inspect.isgeneratorfunction(value):
                return _Classifier(self._depth + 1).function(value)
            if may_return_awaitable and self._depth < _DEEPEST and _Classifier(self._depth + 1).returns_awaitable(value):
                return Dialect.ASYNCHRONOUS
        elif not isinstance(value, type) and hasattr(type(value), "__await__"):
            return Dialect.ASYNCHRONOUS
        return Dialect.ORDINARY

    def returns_awaitable(self, function: types.FunctionType) -> bool:
        """Return whether an ordinary function names something asynchronous, which it may return."""
        return self.names(facts_of(function.__code__), _Values({}, function.__globals__))

    def names(self, facts: Facts, values: _Values) -> bool:
        """Return whether the code, or a nested function, names something asynchronous."""
        return (
            any(self.is_asynchronous(values.get(reference)) for reference in facts.references)
            or any(one.is_coroutine for one in facts.within)
            or any(self.names(one, values) for one in facts.within)
        )

    def is_asynchronous(self, value: Any) -> bool:
        if (
            _is_of_a_loop(value)
            or inspect.iscoroutinefunction(value)
            or _is_marked_generator(value)
            or inspect.isasyncgenfunction(value)
        ):
            return True
        if isinstance(value, types.FunctionType) and inspect.isgeneratorfunction(value):
            return _Classifier(self._depth + 1).function(value) is not Dialect.ORDINARY
        return not isinstance(value, type) and hasattr(type(value), "__await__")

    def leaves_input(self, value: Any) -> bool:
        """Return whether a function that is passed the environ leaves the input alone, or reads it by delegation only."""
        if isinstance(value, types.MethodType):
            value = value.__func__
        if isinstance(value, types.BuiltinFunctionType) or getattr(value, "__module__", None) == "builtins":
            return True
        if not isinstance(value, types.FunctionType) or self._depth > _DEEPEST:
            return False
        if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
            return True  # it can only await
        facts = facts_of(value.__code__)
        values = _Values({}, value.__globals__)
        below = _Classifier(self._depth + 1)
        return not holds(facts, "collects") and all(
            below.leaves_input(values.get(call.callee)) for call in _parameter_calls(facts)
        )


class _Values:
    """Values of the global and free variables of a function, looked up without running any code."""

    def __init__(self, free: Mapping[str, Any], global_names: Mapping[str, Any]) -> None:
        self._free = free
        self._globals = global_names

    def get(self, reference: Reference | None) -> Any:
        """Return the value of *reference*, ``None`` where finding it could run code, such as a property."""
        if reference is None:
            return None
        value = self._free.get(reference.name, self._globals.get(reference.name))
        if value is None:
            value = vars(builtins).get(reference.name)
        for name in reference.attributes:
            if isinstance(value, types.ModuleType):
                value = vars(value).get(name)
            elif isinstance(value, type):
                value = inspect.getattr_static(value, name, None)
                if isinstance(value, staticmethod | classmethod):
                    value = value.__func__
            elif _is_of_a_loop(value):
                return value
            else:
                return None
        return value


def _is_of_a_loop(value: Any) -> bool:
    """Return whether *value* belongs to asyncio or the client, and works on a running loop only."""
    if isinstance(value, types.ModuleType) or value is None:
        return False
    kind = value if isinstance(value, type) else type(value)
    if isinstance(value, asyncio.AbstractEventLoop | asyncio.Future):
        return True
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        if value.__name__ in _NO_LOOP or (isinstance(value, type) and issubclass(value, (BaseException, *POLICIES))):
            return False
        package = getattr(value, "__module__", None)
    else:
        package = kind.__module__
    return isinstance(package, str) and (
        package.partition(".")[0] in _LOOPS_PACKAGES or package.startswith("aiohttp_worker.client")
    )


def _is_marked_generator(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and bool(value.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE)


def _is_application(facts: Facts, call: Call) -> bool:
    """Return whether the two arguments of a call are those of an application: the environ and a ``start_response``."""
    if len(call.arguments) != 2:
        return False
    environ, start = (value.name if isinstance(value, Name | Reference) else None for value in call.arguments)
    return start in facts.parameters[1:3] or start in facts.functions or (start in facts.free and environ in facts.free)


def _environ_calls(facts: Facts) -> list[Call]:
    """Return the calls that are passed an environ, in the code and in nested functions."""
    environs: set[str] = set()
    _add_environs(facts, environs)
    return _calls_with(facts, environs)


def _parameter_calls(facts: Facts) -> list[Call]:
    return _calls_with(facts, set(facts.parameters))


def _add_environs(facts: Facts, names: set[str]) -> None:
    names |= facts.environs
    for one in facts.within:
        _add_environs(one, names)


def _calls_with(facts: Facts, names: set[str]) -> list[Call]:
    found = [
        call
        for call in facts.calls
        if any(isinstance(value, Name | Reference) and value.name in names for value in call.arguments)
    ]
    for one in facts.within:
        found += _calls_with(one, names)
    return found
