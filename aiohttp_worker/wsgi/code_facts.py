"""Facts in the code object of a generator or function: the input that it reads, and the functions that it calls or names.

They hold whatever the values of the variables are, so that they are found once for each code object, by
:mod:`~aiohttp_worker.wsgi.symbolic_execution`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Name:
    """Symbolic value: a parameter, a local variable, or a variable of an enclosing function."""

    name: str


@dataclass(frozen=True)
class Reference:
    """Symbolic value: a global or free variable, followed by a chain of attributes."""

    name: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A call whose arguments include a variable: candidates for the environ and ``start_response``."""

    callee: Reference | None
    arguments: tuple[object, ...]


@dataclass
class Facts:
    """Properties of one code object that hold whatever the values of its variables are.

    :ivar delegates: it contains a ``yield from``.
    :ivar is_coroutine: it is the code of a coroutine function or an asynchronous generator function.
    :ivar streams: it delegates to a read of ``environ["wsgi.input"]``.
    :ivar collects: it uses the input in another way than reading it by delegation.
    :ivar parameters: names of its parameters.
    :ivar free: names of its free variables.
    :ivar functions: local variables that hold a nested function.
    :ivar environs: variables that are subscripted with ``"wsgi.input"``.
    :ivar references: global and free variables, and attributes of them, that it names.
    :ivar delegated: those of the references to which, or to a call of which, it delegates.
    :ivar delegated_names: local variables to which it delegates.
    :ivar calls: calls with a variable among the arguments.
    :ivar within: the facts of nested functions.
    """

    delegates: bool = False
    is_coroutine: bool = False
    streams: bool = False
    collects: bool = False
    parameters: tuple[str, ...] = ()
    free: frozenset[str] = frozenset()
    functions: set[str] = field(default_factory=set)
    environs: set[str] = field(default_factory=set)
    references: set[Reference] = field(default_factory=set)
    delegated: set[Reference] = field(default_factory=set)
    delegated_names: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    within: list[Facts] = field(default_factory=list)


def holds(facts: Facts, name: str) -> bool:
    """Return whether a flag of :class:`Facts` holds for a code object or one nested in it."""
    return bool(getattr(facts, name)) or any(holds(one, name) for one in facts.within)
