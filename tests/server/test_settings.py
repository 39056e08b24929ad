"""The defaults of the server, and that nothing changes them in use."""

from __future__ import annotations

import dataclasses

import pytest

from aiohttp_worker.server.settings import Observers, OverloadLimits, ServerSettings, TimeLimits


@pytest.mark.parametrize("made", [TimeLimits(), OverloadLimits(), ServerSettings()], ids=["times", "overload", "server"])
def test_settings_are_constant(made: TimeLimits | OverloadLimits | ServerSettings) -> None:
    name = dataclasses.fields(made)[0].name
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        setattr(made, name, getattr(made, name))


def test_each_has_its_own_limits() -> None:
    """What is built when nothing is said is equal, and built anew."""
    assert ServerSettings().times == ServerSettings().times == TimeLimits()
    assert ServerSettings(times=TimeLimits(head=1.0)).times.head == 1.0
    assert ServerSettings().times.head == 20.0


def test_overload_limits_are_shorter() -> None:
    """While others wait, a client has less time than usual, in everything."""
    short, usual = OverloadLimits(), TimeLimits()
    assert short.idle < usual.keep_alive
    assert short.head < usual.head
    assert short.body < usual.body
    assert short.body_rate > usual.body_rate
    assert short.unread < usual.write


def test_hooks_are_off_unless_given() -> None:
    observers = Observers(print, print, print, print)
    assert observers.pre_request is observers.post_request is observers.on_end is observers.on_refused is None
    assert observers.exiting() is False
