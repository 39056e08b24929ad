"""Conformance with RFC 9113 and RFC 7541, each case whole and octet by octet."""

from __future__ import annotations

import pytest

from .conformance import CASES, Case, Outcome
from .frames import PREFACE, settings
from .serving import Served


def judge(case: Case, served: Served) -> None:
    """Compare what came of a case with what has to."""
    if case.outcome is Outcome.SERVED:
        assert (served.goaways, served.resets, served.heads) == ([], [], case.served)
    elif case.outcome is Outcome.STREAM:
        assert set(case.codes) & {*served.resets, *served.goaways}
        assert served.heads == 0
    elif case.outcome is Outcome.CONNECTION:
        assert set(case.codes) & set(served.goaways)
        assert served.connection.ended
    else:
        assert served.connection.ended


@pytest.mark.parametrize("apart", [False, True], ids=["whole", "octets"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conformance(case: Case, apart: bool) -> None:
    served = Served(opening=b"")
    sent = case.opening + case.sent
    for piece in [sent[at : at + 1] for at in range(len(sent))] if apart else [sent]:
        events = served.receive(piece)
        if case.outcome is Outcome.SERVED:
            served.answer(events)
    judge(case, served)


def test_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_first_frame_is_settings() -> None:
    """RFC 9113 section 3.4: also before the client has sent anything."""
    served = Served(opening=b"")
    assert [(one.type, one.flags) for one in served.frames] == [(4, 0), (8, 0)]


def test_settings_are_acknowledged() -> None:
    served = Served(opening=PREFACE + settings((3, 7)) + settings())
    assert [one.flags for one in served.of(4)] == [0, 1, 1]
