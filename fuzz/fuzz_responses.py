"""Fuzz what a server sends: python -m fuzz.fuzz_responses --seconds 600."""

from .engine import main
from .invariants import check_responses
from .material import RESPONSES, responses

if __name__ == "__main__":
    main(check_responses, responses(), RESPONSES)
