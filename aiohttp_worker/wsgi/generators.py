"""What a generator's own code says: whether it is for the loop, and whether it reads its input as that comes.

A generator is PEP 3333's iterable first. It is *asynchronous*, and sees the loop, if it has ``yield from``, and

- delegates to a call of asyncio, of this distribution's client, of a function marked with ``types.coroutine``, or of a
  generator function that is asynchronous itself; or
- its code, that of functions within it included, names something of that kind, a coroutine function or a future; but not
  if it also calls another application, that is, hands ``start_response`` or one of its own on to something that is not
  known to be asynchronous: then it is middleware, and what it calls is not to see the loop; or
- it reads its input as that comes.

It *reads its input as that comes* if ``environ["wsgi.input"]``, or a local variable of that value, is nothing but read in
its code, and each read (``read``, ``readany``, ``readexactly``, ``readline``, ``readuntil``) is delegated to where it
stands, as in ``data = yield from environ["wsgi.input"].read(n)``; and if nothing else is given the environ but functions
that do not touch the input, or read it in the same way.

Everything else is ordinary. A wrong guess there costs the moment at which the application is called, and never what it
reads.
"""

from __future__ import annotations

import asyncio
import builtins
import dis
import enum
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_INPUT: Final = "wsgi.input"
_READS: Final = frozenset({"read", "readany", "readexactly", "readline", "readuntil"})
_DEEPEST: Final = 8  # of functions that name each other
_MOST_REMEMBERED: Final = 2000
# What of asyncio and of the client starts a loop of its own, needs none, or is no call.
_NO_LOOP: Final = frozenset(
    {"run", "Runner", "new_event_loop", "set_event_loop", "iscoroutine", "iscoroutinefunction", "run_coroutine_threadsafe"}
)
_LOOPS_PACKAGES: Final = frozenset({"asyncio", "_asyncio", "aiohttp", "uvloop"})
_UNTOUCHED: Final = frozenset(
    {
        "NOP",
        "RESUME",
        "CACHE",
        "PRECALL",
        "KW_NAMES",
        "EXTENDED_ARG",
        "COPY_FREE_VARS",
        "MAKE_CELL",
        "RETURN_GENERATOR",
        "NOT_TAKEN",
    }
)
_ENDS: Final = frozenset(
    {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"}
)
_YIELD_VALUE: Final = dis.opmap["YIELD_VALUE"]
_RESUME: Final = dis.opmap["RESUME"]
_POP_TOP: Final = dis.opmap["POP_TOP"]
_RETURN_VALUE: Final = dis.opmap["RETURN_VALUE"]
_CACHE: Final = dis.opmap["CACHE"]
_GET_AWAITABLE: Final = dis.opmap["GET_AWAITABLE"]
_GET_ITER: Final = dis.opmap["GET_ITER"]
_GET_YIELD_FROM_ITER: Final = dis.opmap["GET_YIELD_FROM_ITER"]
_JUMPS: Final = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_POPS: Final = (
    "POP_",
    "STORE_",
    "DELETE_",
    "RETURN_",
    "RAISE_",
    "LIST_APPEND",
    "LIST_EXTEND",
    "SET_ADD",
    "SET_UPDATE",
    "MAP_ADD",
    "DICT_",
    "END_FOR",
)


class Dialect(enum.Enum):
    """What a generator's own code says."""

    ORDINARY = "nothing: it is stepped where the loop is hidden"
    ASYNCHRONOUS = "that it is for the loop; its input is collected first"
    STREAMING = "that it is for the loop, and reads its input as that comes"


# What the symbolic values on the stack of a function are.
@dataclass(frozen=True)
class _Name:
    """A variable: a parameter, a local one, or one of a function around."""

    name: str


@dataclass(frozen=True)
class _Reference:
    """A global or free variable, and attributes of it."""

    name: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Constant:
    value: object


class _Mark(enum.Enum):
    NULL = "the place of no self"
    INPUT = "environ['wsgi.input']"
    READ = "a method of it that reads"
    READING = "what such a method returned"
    ASKS = "a method of it that only asks"
    FUNCTION = "a function within"


@dataclass(frozen=True)
class _Called:
    """What a call returned."""

    callee: object


@dataclass(frozen=True)
class _Call:
    callee: _Reference | None
    arguments: tuple[object, ...]


@dataclass
class _Facts:
    """What there is in one code object, as far as it does not depend on the values of variables."""

    delegates: bool = False
    is_coroutine: bool = False
    streams: bool = False
    collects: bool = False  # it does something else with the input than to read it by delegation
    parameters: tuple[str, ...] = ()
    free: frozenset[str] = frozenset()
    functions: set[str] = field(default_factory=set)
    environs: set[str] = field(default_factory=set)
    references: set[_Reference] = field(default_factory=set)
    delegated: set[_Reference] = field(default_factory=set)
    delegated_names: set[str] = field(default_factory=set)  # of local variables
    calls: list[_Call] = field(default_factory=list)
    within: list[_Facts] = field(default_factory=list)


class _Reader:
    """Goes once through the instructions of a code object, with symbolic values on its stack."""

    def __init__(self, code: types.CodeType) -> None:
        self.code = code
        count = code.co_argcount + code.co_kwonlyargcount
        self.facts = _Facts(
            is_coroutine=bool(code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)),
            parameters=code.co_varnames[:count],
            free=frozenset(code.co_freevars),
        )
        self.stack: list[object] = []
        self.inputs: set[str] = set()  # local variables of that value

    def pop(self) -> object:
        return self.stack.pop() if self.stack else None

    def lose(self, count: int) -> None:
        """Pop what goes where nothing is known of it any more."""
        for _ in range(count):
            value = self.pop()
            if isinstance(value, _Constant):
                self.facts.collects |= value.value == _INPUT
            elif isinstance(value, _Mark):
                self.facts.collects |= value in (_Mark.INPUT, _Mark.READ, _Mark.READING)

    def read(self) -> _Facts:
        waiting: dict[int, list[object]] = {}
        reachable = True
        for instruction in dis.get_instructions(self.code):
            stack = waiting.get(instruction.offset)
            if not reachable:
                self.stack = stack if stack is not None else []
                reachable = True
            name = instruction.opname
            if instruction.opcode in _JUMPS:
                kept = list(self.stack)
                self.jump(name, instruction, True)
                waiting.setdefault(instruction.argval, self.stack)
                self.stack = kept
                self.jump(name, instruction, False)
            else:
                step: Callable[[Any], None] | None = getattr(self, f"on_{name.lower()}", None)
                if step is not None:
                    step(instruction)
                elif name not in _UNTOUCHED:
                    self.others(name, dis.stack_effect(instruction.opcode, instruction.arg))
            if name in _ENDS:
                reachable = False
        for constant in self.code.co_consts:
            if isinstance(constant, types.CodeType):
                self.facts.within.append(_facts(constant))
        return self.facts

    def jump(self, name: str, instruction: dis.Instruction, jumps: bool) -> None:
        effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=jumps)
        if effect > 0:
            self.stack.extend([None] * effect)
        elif name.startswith("SEND"):
            self.stack[len(self.stack) + effect - 1 :] = [None]
        else:
            self.lose(-effect)

    def others(self, name: str, effect: int) -> None:
        if effect > 0:
            self.stack.extend([None] * effect)
        elif name.startswith(_POPS):
            self.lose(-effect)
        else:
            self.lose(1 - effect)
            self.stack.append(None)

    # Instructions; the names are CPython's.

    def load(self, name: str) -> None:
        self.stack.append(_Mark.INPUT if name in self.inputs else _Name(name))

    def on_load_fast(self, instruction: dis.Instruction) -> None:
        # Two at once, from Python 3.13 on.
        for name in instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,):
            self.load(name)

    on_load_fast_check = on_load_fast_and_clear = on_load_fast_load_fast = on_load_fast
    on_load_fast_borrow = on_load_fast_borrow_load_fast_borrow = on_load_fast

    def store(self, name: str) -> None:
        value = self.pop()
        self.inputs.discard(name)
        if value is _Mark.INPUT:
            self.inputs.add(name)
        elif value is _Mark.FUNCTION:
            self.facts.functions.add(name)
        else:
            self.stack.append(value)
            self.lose(1)

    def on_store_fast(self, instruction: dis.Instruction) -> None:
        for name in instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,):
            self.store(name)

    on_store_fast_store_fast = on_store_fast

    def on_store_fast_load_fast(self, instruction: dis.Instruction) -> None:
        stored, loaded = instruction.argval
        self.store(stored)
        self.load(loaded)

    def on_store_deref(self, instruction: dis.Instruction) -> None:
        value = self.pop()
        if value is _Mark.FUNCTION:
            self.facts.functions.add(instruction.argval)
        else:
            self.stack.append(value)
            self.lose(1)

    def on_load_deref(self, instruction: dis.Instruction) -> None:
        name = instruction.argval
        if name in self.code.co_freevars:
            self.refer(_Reference(name))
        else:
            self.stack.append(_Name(name))

    def on_load_global(self, instruction: dis.Instruction) -> None:
        if instruction.arg is not None and instruction.arg & 1:
            self.stack.append(_Mark.NULL)
        self.refer(_Reference(instruction.argval))

    def on_load_name(self, instruction: dis.Instruction) -> None:
        self.refer(_Reference(instruction.argval))

    def refer(self, reference: _Reference) -> None:
        self.stack.append(reference)
        self.facts.references.add(reference)

    def on_load_const(self, instruction: dis.Instruction) -> None:
        self.stack.append(_Constant(instruction.argval))

    def on_load_method(self, instruction: dis.Instruction) -> None:
        self.attribute(instruction.argval)
        self.stack.append(_Mark.NULL)

    def on_load_attr(self, instruction: dis.Instruction) -> None:
        self.attribute(instruction.argval)
        if dis.stack_effect(instruction.opcode, instruction.arg) > 0:
            self.stack.append(_Mark.NULL)  # from Python 3.12 on

    def attribute(self, name: str) -> None:
        value = self.pop()
        if isinstance(value, _Reference):
            self.refer(_Reference(value.name, (*value.attributes, name)))
        elif value is _Mark.INPUT and name in _READS:
            self.stack.append(_Mark.READ)
        elif value is _Mark.INPUT and name == "at_eof":
            self.stack.append(_Mark.ASKS)
        elif name == "get":
            self.stack.append(_Called(value))  # of a mapping, maybe the environ
        else:
            self.stack.append(value)
            self.lose(1)
            self.stack.append(None)

    def on_binary_subscr(self, instruction: dis.Instruction) -> None:
        key, base = self.pop(), self.pop()
        self.stack.append(self.subscript(base, key))

    def on_binary_op(self, instruction: dis.Instruction) -> None:
        if instruction.argrepr == "[]":  # from Python 3.14 on
            self.on_binary_subscr(instruction)
        else:
            self.others("BINARY_OP", -1)

    def subscript(self, base: object, key: object) -> object:
        if isinstance(key, _Constant) and key.value == _INPUT:
            if isinstance(base, _Name | _Reference):
                self.facts.environs.add(base.name)
            return _Mark.INPUT
        return None

    def on_call(self, instruction: dis.Instruction) -> None:
        count = instruction.arg or 0
        self.call([self.pop() for _ in range(count)][::-1])

    def on_call_kw(self, instruction: dis.Instruction) -> None:
        self.pop()
        self.on_call(instruction)

    def on_call_function_ex(self, instruction: dis.Instruction) -> None:
        effect = dis.stack_effect(instruction.opcode, instruction.arg)
        self.lose(-effect - 1)
        self.call([])

    def call(self, arguments: list[object]) -> None:
        callees = [value for value in (self.pop(), self.pop()) if value is not _Mark.NULL]
        callee = callees[0] if callees else None
        facts = self.facts
        result: object = _Called(callee)
        if callee is _Mark.READ:
            result = _Mark.READING
        elif callee is _Mark.ASKS:
            result = None
        elif isinstance(callee, _Called) and arguments and isinstance(arguments[0], _Constant) and arguments[0].value == _INPUT:
            result = self.subscript(callee.callee, arguments[0])
            arguments = arguments[1:]
        elif any(isinstance(value, _Name | _Reference) for value in arguments):
            facts.calls.append(_Call(callee if isinstance(callee, _Reference) else None, tuple(arguments)))
        self.stack.extend(arguments)
        self.lose(len(arguments))
        self.stack.append(result)

    def on_make_function(self, instruction: dis.Instruction) -> None:
        self.lose(-dis.stack_effect(instruction.opcode, instruction.arg) + 1)
        self.stack.append(_Mark.FUNCTION)

    def on_set_function_attribute(self, instruction: dis.Instruction) -> None:
        self.pop()
        self.lose(1)
        self.stack.append(_Mark.FUNCTION)

    def on_get_yield_from_iter(self, instruction: dis.Instruction) -> None:
        self.facts.delegates = True
        self.delegate()

    def on_get_awaitable(self, instruction: dis.Instruction) -> None:
        self.delegate()

    def delegate(self) -> None:
        value = self.pop()
        if value is _Mark.READING:
            self.facts.streams = True
        elif isinstance(value, _Reference):
            self.facts.delegated.add(value)
        elif isinstance(value, _Called):
            if isinstance(value.callee, _Reference):
                self.facts.delegated.add(value.callee)
        else:
            if isinstance(value, _Name):
                self.facts.delegated_names.add(value.name)
            self.stack.append(value)
            self.lose(1)
        self.stack.append(None)

    def on_copy(self, instruction: dis.Instruction) -> None:
        place = instruction.arg or 1
        self.stack.append(self.stack[-place] if len(self.stack) >= place else None)

    def on_swap(self, instruction: dis.Instruction) -> None:
        place = instruction.arg or 1
        if len(self.stack) >= place:
            self.stack[-1], self.stack[-place] = self.stack[-place], self.stack[-1]

    def on_pop_top(self, instruction: dis.Instruction) -> None:
        value = self.pop()
        self.facts.collects |= value is _Mark.READING

    def on_push_null(self, instruction: dis.Instruction) -> None:
        self.stack.append(_Mark.NULL)

    def on_unpack_sequence(self, instruction: dis.Instruction) -> None:
        self.lose(1)
        self.stack.extend([None] * (instruction.arg or 0))


_remembered: dict[types.CodeType, _Facts] = {}
_delegating: dict[int, tuple[types.CodeType, bool]] = {}


def _facts(code: types.CodeType) -> _Facts:
    found = _remembered.get(code)
    if found is None:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        found = _remembered[code] = _Reader(code).read()
    return found


def _delegates(code: types.CodeType) -> bool:
    """Say whether there is a ``yield from`` in it: asked for every generator."""
    found = _delegating.get(id(code))
    if found is None:
        if len(_delegating) >= _MOST_REMEMBERED:
            _delegating.clear()
        # The code object is kept, so that no other one gets its identity.
        found = _delegating[id(code)] = code, _facts(code).delegates
    return found[1]


def function_dialect(function: types.FunctionType) -> Dialect:
    """Say what the own code of a generator function says."""
    return _Question(0).function(function)


def generator_dialect(generator: types.GeneratorType[Any, Any, Any]) -> Dialect:
    """Say what the own code of a generator says."""
    code = generator.gi_code
    if not _delegates(code):
        return Dialect.ORDINARY
    frame: types.FrameType | None = generator.gi_frame
    if frame is None:
        return Dialect.ORDINARY
    return _Question(0).code(code, frame.f_locals, frame.f_globals)


class _Question:
    """What code says where its variables have their present values.

    :param depth: of functions that led here.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth

    def function(self, function: types.FunctionType) -> Dialect:
        cells = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                cells[name] = cell.cell_contents
            except ValueError:
                continue  # it has no value yet
        return self.code(function.__code__, cells, function.__globals__)

    def code(self, code: types.CodeType, free: Mapping[str, Any], global_names: Mapping[str, Any]) -> Dialect:
        facts = _facts(code)
        if not facts.delegates or self._depth > _DEEPEST:
            return Dialect.ORDINARY
        values = _Values(free, global_names)
        applications = [call.callee for call in facts.calls if _is_application(facts, call)]
        below = [self.callee(values.get(reference), reference not in applications) for reference in facts.delegated]
        is_middleware = any(self.callee(values.get(callee), False) is Dialect.ORDINARY for callee in applications)
        streams = (
            not is_middleware
            and (_any(facts, "streams") or Dialect.STREAMING in below)
            and not _any(facts, "collects")
            and all(self.leaves_input(values.get(call.callee)) for call in _environ_calls(facts))
        )
        if streams:
            return Dialect.STREAMING
        if any(dialect is not Dialect.ORDINARY for dialect in below) or (not is_middleware and self.names(facts, values)):
            return Dialect.ASYNCHRONOUS
        return Dialect.ORDINARY

    def callee(self, value: Any, may_return_awaitable: bool) -> Dialect:
        """Say what comes of delegating to *value*, or to a call of it.

        :param may_return_awaitable: it may be an ordinary function that does so; an ordinary application is not asked.
        """
        if _is_of_a_loop(value) or inspect.iscoroutinefunction(value) or _is_marked_generator(value):
            return Dialect.ASYNCHRONOUS
        if isinstance(value, types.MethodType):
            value = value.__func__
        if isinstance(value, types.FunctionType):
            if inspect.isgeneratorfunction(value):
                return _Question(self._depth + 1).function(value)
            if may_return_awaitable and self._depth < _DEEPEST and _Question(self._depth + 1).returns_awaitable(value):
                return Dialect.ASYNCHRONOUS
        elif not isinstance(value, type) and hasattr(type(value), "__await__"):
            return Dialect.ASYNCHRONOUS
        return Dialect.ORDINARY

    def returns_awaitable(self, function: types.FunctionType) -> bool:
        """Say whether an ordinary function names what only a loop can give: it may return that."""
        return self.names(_facts(function.__code__), _Values({}, function.__globals__))

    def names(self, facts: _Facts, values: _Values) -> bool:
        """Say whether something asynchronous is named in the code, or in a function within."""
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
            return _Question(self._depth + 1).function(value) is not Dialect.ORDINARY
        return not isinstance(value, type) and hasattr(type(value), "__await__")

    def leaves_input(self, value: Any) -> bool:
        """Say whether a function that is given the environ leaves the input alone, or reads it by delegation only."""
        if isinstance(value, types.MethodType):
            value = value.__func__
        if isinstance(value, types.BuiltinFunctionType) or getattr(value, "__module__", None) == "builtins":
            return True
        if not isinstance(value, types.FunctionType) or self._depth > _DEEPEST:
            return False
        if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
            return True  # it can only await
        facts = _facts(value.__code__)
        values = _Values({}, value.__globals__)
        below = _Question(self._depth + 1)
        return not _any(facts, "collects") and all(
            below.leaves_input(values.get(call.callee)) for call in _parameter_calls(facts)
        )


class _Values:
    """The values of global and free variables."""

    def __init__(self, free: Mapping[str, Any], global_names: Mapping[str, Any]) -> None:
        self._free = free
        self._globals = global_names

    def get(self, reference: _Reference | None) -> Any:
        """Return what *reference* stands for, ``None`` if that is not plain: no property is run to find out."""
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
    """Say whether *value* belongs to asyncio, or to the client, and is of use on a running loop only."""
    if isinstance(value, types.ModuleType) or value is None:
        return False
    kind = value if isinstance(value, type) else type(value)
    if isinstance(value, asyncio.AbstractEventLoop | asyncio.Future):
        return True
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        if value.__name__ in _NO_LOOP or (
            isinstance(value, type) and issubclass(value, BaseException | asyncio.AbstractEventLoopPolicy)
        ):
            return False
        package = getattr(value, "__module__", None)
    else:
        package = kind.__module__
    return isinstance(package, str) and package.partition(".")[0] in _LOOPS_PACKAGES


def _is_marked_generator(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and bool(value.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE)


def _any(facts: _Facts, name: str) -> bool:
    return bool(getattr(facts, name)) or any(_any(one, name) for one in facts.within)


def _is_application(facts: _Facts, call: _Call) -> bool:
    """Say whether two arguments are what an application takes: the environ and something to start the response."""
    if len(call.arguments) != 2:
        return False
    environ, start = (value.name if isinstance(value, _Name | _Reference) else None for value in call.arguments)
    return start in facts.parameters[1:3] or start in facts.functions or (start in facts.free and environ in facts.free)


def _environ_calls(facts: _Facts) -> list[_Call]:
    """Return the calls that are given an environ, in the code and in functions within."""
    environs: set[str] = set()
    _add_environs(facts, environs)
    return _calls_with(facts, environs)


def _parameter_calls(facts: _Facts) -> list[_Call]:
    return _calls_with(facts, set(facts.parameters))


def _add_environs(facts: _Facts, names: set[str]) -> None:
    names |= facts.environs
    for one in facts.within:
        _add_environs(one, names)


def _calls_with(facts: _Facts, names: set[str]) -> list[_Call]:
    found = [
        call
        for call in facts.calls
        if any(isinstance(value, _Name | _Reference) and value.name in names for value in call.arguments)
    ]
    for one in facts.within:
        found += _calls_with(one, names)
    return found


def drops_what_is_sent(generator: types.GeneratorType[Any, Any, Any]) -> bool:
    """Say whether a generator that waits at a ``yield`` has no use for what is sent in: the ``yield`` is a statement."""
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
            place += 2
    return code[place] == _POP_TOP


class Use(enum.Enum):
    """What becomes of the result of a call, as far as the code of the caller tells."""

    PLAIN = "it is neither awaited nor delegated to"
    PASSED = "a function that can await or delegate does something else with it, and may have that awaited"
    KEPT = "it may be kept, to be awaited or delegated to"
    DELEGATED = "it is delegated to"
    AWAITED = "it is awaited"


_AWAITS: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


def use_of_call(frame: types.FrameType) -> Use:
    """Say what becomes of the result of the call that a function waits for.

    :param frame: of the function. Where that is an ordinary one that returns the result, its caller is asked.
    """
    opcode = _next_opcode(frame)
    if _can_wait(frame.f_code):
        if opcode == _GET_YIELD_FROM_ITER:
            return Use.DELEGATED
        if opcode == _GET_AWAITABLE:
            return Use.AWAITED
        if frame.f_code.co_flags & _AWAITS or _facts(frame.f_code).delegated_names:
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
    return bool(flags & _AWAITS) or (bool(flags & inspect.CO_GENERATOR) and _delegates(code))


def _next_opcode(frame: types.FrameType) -> int:
    """Return the opcode behind the call that a function waits for."""
    instructions = frame.f_code.co_code
    place = frame.f_lasti + 2
    while instructions[place] == _CACHE:
        place += 2
    return instructions[place]


def iterates_now(frame: types.FrameType) -> bool:
    """Say whether a function asks at this moment for an iterator in order to go through it (``for``)."""
    return frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == _GET_ITER


def delegates_now(frame: types.FrameType) -> bool:
    """Say whether a function asks at this moment for an iterator in order to delegate to it (``yield from``)."""
    return frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == _GET_YIELD_FROM_ITER
