"""A short, repeatable run of the fuzzers in fuzz/."""

from hypothesis import HealthCheck, example, given, settings

from fuzz.heads import Comparison, heads
from fuzz.invariants import check_requests, check_responses
from fuzz.material import CUTS, requests, responses

QUICKLY = settings(derandomize=True, database=None, max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@QUICKLY
@given(requests(), CUTS)
@example(b"\r\n", b"\x01")
@example(b"\r\n\r\n\r\n", b"\x01")
def test_requests(data: bytes, cuts: bytes) -> None:
    check_requests(data, cuts)


@QUICKLY
@given(responses(), CUTS)
@example(
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 101 Switching\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\nc",
    b"\x01",
)
def test_responses(data: bytes, cuts: bytes) -> None:
    check_responses(data, cuts)


def test_scanners_grammar_and_llhttp_agree() -> None:
    comparison = Comparison()
    for number, data in enumerate(heads(4000, seed=3)):
        comparison.check(data, number)
    assert min(comparison.seen["accepted"], comparison.seen["refused"], comparison.seen["incomplete"]) > 500
