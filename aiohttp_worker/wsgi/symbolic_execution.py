"""Symbolic execution of the bytecode of a generator or function, which finds the facts in it.

Two questions about a WSGI application are answered by them: whether its generator function is meant for the event loop
(:mod:`~aiohttp_worker.wsgi.generators`), and whether the result of a read is awaited where it is called
(:mod:`~aiohttp_worker.wsgi.call_sites`).

The bytecode is read, not the source: the source of an application need not be there, and decorated or generated functions
have none. Bytecode differs between versions of CPython; the tests of this module run on every version that is supported.
"""

from __future__ import annotations

import dis
import enum
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .code_facts import Call, Facts, Name, Reference

_INPUT: Final = "wsgi.input"
_READS: Final = frozenset({"read", "readany", "readexactly", "readline", "readuntil"})
_MOST_REMEMBERED: Final = 2000  # code objects
# Instructions that leave the stack as it is.
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
# Instructions behind which the next one is reached by a jump only.
_ENDS: Final = frozenset(
    {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"}
)
# Python 3.15 has no GET_YIELD_FROM_ITER: GET_ITER has an argument there, 0 for a loop and another number for ``yield from``.
ITER_HAS_ARGUMENT: Final = "GET_YIELD_FROM_ITER" not in dis.opmap
_JUMPS: Final = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
# Instructions that pop and push nothing, so that what they pop is out of sight afterwards.
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


@dataclass(frozen=True)
class _Constant:
    """Symbolic value: a constant."""

    value: object


class _Symbol(enum.Enum):
    """Symbolic values without a content of their own."""

    NULL = "the NULL that stands for no self in a call"
    INPUT = "environ['wsgi.input']"
    READ = "a reading method of the input"
    READING = "the result of a reading method"
    ASKS = "a method of the input that reads nothing"
    FUNCTION = "a nested function"


@dataclass(frozen=True)
class _Called:
    """Symbolic value: the result of a call."""

    callee: object


class _Interpreter:
    """Executes a code object symbolically, instruction by instruction, and records the facts.

    Each instruction is visited once, in the order of the bytecode; behind a jump the stack of the first jump that leads
    there is taken. A value of which nothing is known is ``None`` on the stack, and a stack that runs empty gives ``None``:
    the result may be less than the truth for code that no compiler writes, but never fails.
    """

    def __init__(self, code: types.CodeType) -> None:
        self.code = code
        count = code.co_argcount + code.co_kwonlyargcount
        self.facts = Facts(
            is_coroutine=bool(code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)),
            parameters=code.co_varnames[:count],
            free=frozenset(code.co_freevars),
        )
        self.stack: list[object] = []
        self.inputs: set[str] = set()  # local variables that hold wsgi.input

    def pop(self) -> object:
        return self.stack.pop() if self.stack else None

    def lose(self, count: int) -> None:
        """Pop values that go out of sight: the input, or a read of it, may be used there in any way."""
        for _ in range(count):
            value = self.pop()
            if isinstance(value, _Constant):
                self.facts.collects |= value.value == _INPUT
            elif isinstance(value, _Symbol):
                self.facts.collects |= value in (_Symbol.INPUT, _Symbol.READ, _Symbol.READING)

    def run(self) -> Facts:
        """Execute the code object and those nested in it."""
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
            if not isinstance(constant, types.CodeType):
                continue
            if constant.co_name == "__annotate__":
                # From Python 3.14 on, annotations are code of their own; before, they are evaluated where the function is made.
                self.facts.references |= facts_of(constant).references
            else:
                self.facts.within.append(facts_of(constant))
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

    # One method per instruction, named as in CPython.

    def load(self, name: str) -> None:
        self.stack.append(_Symbol.INPUT if name in self.inputs else Name(name))

    def on_load_fast(self, instruction: dis.Instruction) -> None:
        # Two at once, from Python 3.13 on.
        for name in instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,):
            self.load(name)

    on_load_fast_check = on_load_fast_and_clear = on_load_fast_load_fast = on_load_fast
    on_load_fast_borrow = on_load_fast_borrow_load_fast_borrow = on_load_fast

    def store(self, name: str) -> None:
        value = self.pop()
        self.inputs.discard(name)
        if value is _Symbol.INPUT:
            self.inputs.add(name)
        elif value is _Symbol.FUNCTION:
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
        if value is _Symbol.FUNCTION:
            self.facts.functions.add(instruction.argval)
        else:
            self.stack.append(value)
            self.lose(1)

    def on_load_deref(self, instruction: dis.Instruction) -> None:
        name = instruction.argval
        if name in self.code.co_freevars:
            self.refer(Reference(name))
        else:
            self.stack.append(Name(name))

    def on_load_global(self, instruction: dis.Instruction) -> None:
        if instruction.arg is not None and instruction.arg & 1:
            self.stack.append(_Symbol.NULL)
        self.refer(Reference(instruction.argval))

    def on_load_name(self, instruction: dis.Instruction) -> None:
        self.refer(Reference(instruction.argval))

    def refer(self, reference: Reference) -> None:
        self.stack.append(reference)
        self.facts.references.add(reference)

    def on_load_const(self, instruction: dis.Instruction) -> None:
        self.stack.append(_Constant(instruction.argval))

    def on_load_method(self, instruction: dis.Instruction) -> None:
        self.attribute(instruction.argval)
        self.stack.append(_Symbol.NULL)

    def on_load_attr(self, instruction: dis.Instruction) -> None:
        self.attribute(instruction.argval)
        if dis.stack_effect(instruction.opcode, instruction.arg) > 0:
            self.stack.append(_Symbol.NULL)  # from Python 3.12 on

    def attribute(self, name: str) -> None:
        value = self.pop()
        if isinstance(value, Reference):
            self.refer(Reference(value.name, (*value.attributes, name)))
        elif value is _Symbol.INPUT and name in _READS:
            self.stack.append(_Symbol.READ)
        elif value is _Symbol.INPUT and name == "at_eof":
            self.stack.append(_Symbol.ASKS)
        elif name == "get":
            self.stack.append(_Called(value))  # the mapping may be the environ
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
            if isinstance(base, Name | Reference):
                self.facts.environs.add(base.name)
            return _Symbol.INPUT
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
        callees = [value for value in (self.pop(), self.pop()) if value is not _Symbol.NULL]
        callee = callees[0] if callees else None
        facts = self.facts
        result: object = _Called(callee)
        if callee is _Symbol.READ:
            result = _Symbol.READING
        elif callee is _Symbol.ASKS:
            result = None
        elif isinstance(callee, _Called) and arguments and isinstance(arguments[0], _Constant) and arguments[0].value == _INPUT:
            result = self.subscript(callee.callee, arguments[0])
            arguments = arguments[1:]
        elif any(isinstance(value, Name | Reference) for value in arguments):
            facts.calls.append(Call(callee if isinstance(callee, Reference) else None, tuple(arguments)))
        self.stack.extend(arguments)
        self.lose(len(arguments))
        self.stack.append(result)

    def on_make_function(self, instruction: dis.Instruction) -> None:
        self.lose(-dis.stack_effect(instruction.opcode, instruction.arg) + 1)
        self.stack.append(_Symbol.FUNCTION)

    def on_set_function_attribute(self, instruction: dis.Instruction) -> None:
        self.pop()
        self.lose(1)
        self.stack.append(_Symbol.FUNCTION)

    def on_get_iter(self, instruction: dis.Instruction) -> None:
        if ITER_HAS_ARGUMENT and instruction.arg:
            self.on_get_yield_from_iter(instruction)
        else:
            self.lose(1)
            self.stack.append(None)
        # From Python 3.15 on, the next index of a list or tuple lies above the iterator.
        self.stack.extend([None] * dis.stack_effect(instruction.opcode, instruction.arg))

    def on_get_yield_from_iter(self, instruction: dis.Instruction) -> None:
        self.facts.delegates = True
        self.delegate()

    def on_return_value(self, instruction: dis.Instruction) -> None:
        # `dis.stack_effect` is 0 from Python 3.14 on: it counts what the caller gets.
        self.lose(1)

    def on_get_awaitable(self, instruction: dis.Instruction) -> None:
        self.delegate()

    def delegate(self) -> None:
        value = self.pop()
        if value is _Symbol.READING:
            self.facts.streams = True
        elif isinstance(value, Reference):
            self.facts.delegated.add(value)
        elif isinstance(value, _Called):
            if isinstance(value.callee, Reference):
                self.facts.delegated.add(value.callee)
        else:
            if isinstance(value, Name):
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
        self.facts.collects |= value is _Symbol.READING

    def on_push_null(self, instruction: dis.Instruction) -> None:
        self.stack.append(_Symbol.NULL)

    def on_unpack_sequence(self, instruction: dis.Instruction) -> None:
        self.lose(1)
        self.stack.extend([None] * (instruction.arg or 0))


_facts: dict[types.CodeType, Facts] = {}
_yield_froms: dict[int, tuple[types.CodeType, bool]] = {}


def facts_of(code: types.CodeType) -> Facts:
    """Return the facts of a code object, from a bounded cache."""
    found = _facts.get(code)
    if found is None:
        if len(_facts) >= _MOST_REMEMBERED:
            _facts.clear()
        found = _facts[code] = _Interpreter(code).run()
    return found


def has_yield_from(code: types.CodeType) -> bool:
    """Return whether there is a ``yield from`` in a code object; cheap, because it is asked for every generator."""
    found = _yield_froms.get(id(code))
    if found is None:
        if len(_yield_froms) >= _MOST_REMEMBERED:
            _yield_froms.clear()
        # The code object is kept, so that no other one gets its identity.
        found = _yield_froms[id(code)] = code, facts_of(code).delegates
    return found[1]
