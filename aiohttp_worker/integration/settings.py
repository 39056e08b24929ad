"""What Gunicorn has no setting for.

Each option is a class attribute of the workers, set in a subclass or by an
environment variable that is read once, at start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .names import nearest_name

_PREFIX: Final = "AIOHTTP_WORKER_"
_NOT_OPTIONS: Final = frozenset((f"{_PREFIX}COMPILE",))  # what setup.py asks for


@dataclass(frozen=True)
class Option:
    """One option.

    :param name: of the class attribute.
    :param default: its value in the classes.
    :param unit: what is counted; 0 switches a limit off.
    :param text: what it does, for people.
    """

    name: str
    default: float
    unit: str
    text: str

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return _PREFIX + self.name.upper()


OPTIONS: Final = (
    Option("head_timeout", 20, "seconds", "for the head of a request, from its first byte"),
    Option("body_timeout", 30, "seconds", "between two pieces of a request's body"),
    Option("body_min_rate", 500, "bytes per second", "that a request's body has to come with"),
    Option("write_timeout", 60, "seconds", "without the client reading anything of a response"),
    Option("linger_timeout", 2, "seconds", "for a client to take notice of a last answer"),
    Option("handshake_timeout", 20, "seconds", "for a TLS handshake"),
    Option("max_body_size", 0, "bytes", "of a request's body; more is answered with 413"),
    Option(
        "body_memory_size",
        1024 * 1024,
        "bytes",
        "of a collected body that are kept in memory; a larger one goes to a file",
    ),
    Option("slow_call", 0.1, "seconds", "after which code that keeps the event loop is logged"),
)


def read_options(cls: type, variables: Mapping[str, str]) -> dict[str, float]:
    """Return the options' values by name.

    :param cls: the worker class.
    :param variables: the environment.
    :raises ValueError: one is no number, negative, or not finite, or a name is
        probably mistyped; the message names it.
    """
    _refuse_mistyped_names(cls, variables)
    values: dict[str, float] = {}
    for option in OPTIONS:
        value: object = getattr(cls, option.name)
        source = f"{cls.__name__}.{option.name}"
        if option.variable in variables:
            value = variables[option.variable]
            source = option.variable
        values[option.name] = _number(value, source, option.unit)
    return values


def _number(value: object, source: str, unit: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
    except ValueError:
        number = -1.0
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{source} must be a number of {unit}, 0 or more: {value!r}")
    return number


def _refuse_mistyped_names(cls: type, variables: Mapping[str, str]) -> None:
    """Refuse a variable that looks like one of ours, and a number in a subclass that looks like an option.

    :raises ValueError: with the nearest name.
    """
    known = {option.variable for option in OPTIONS}
    for variable in sorted(variables):
        if variable.upper().startswith(_PREFIX) and variable not in known and variable not in _NOT_OPTIONS:
            nearest = nearest_name(variable, known)
            hint = f"did you mean {nearest}?" if nearest else f"there are {', '.join(sorted(known))}"
            raise ValueError(f"there is no environment variable {variable}: {hint}")
    names = {option.name for option in OPTIONS}
    for owner in cls.__mro__:
        if names <= vars(owner).keys():
            return  # what is above has options of its own
        for name, value in vars(owner).items():
            nearest = "" if name.startswith("_") or name in names else nearest_name(name, names)
            if nearest and isinstance(value, int | float | str) and not any(name in vars(above) for above in owner.__mro__[1:]):
                raise ValueError(f"{owner.__name__} has no option {name}: did you mean {nearest}?")
