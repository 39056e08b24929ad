"""A short run of what fuzz/ runs for long, the same each time."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from fuzz.http2 import check_frames, frame_sequences
from fuzz.material import CUTS

QUICKLY = settings(derandomize=True, database=None, max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@QUICKLY
@given(frame_sequences(), CUTS)
def test_frames(data: bytes, cuts: bytes) -> None:
    check_frames(data, cuts)
