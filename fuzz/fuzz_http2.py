"""Fuzz what a client of HTTP/2 sends: python -m fuzz.fuzz_http2 --seconds 600."""

from .engine import main
from .http2 import check_frames, frame_sequences, seeds

if __name__ == "__main__":
    main(check_frames, frame_sequences(), seeds())
