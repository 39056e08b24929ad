"""HTTP/2 without input and output: bytes to requests, responses to bytes (RFC 9113, RFC 7541).

The sibling of ``http1``, whose heads and grammar it shares. What frames, field blocks and windows are is known to
libnghttp2, which ``engine`` wraps; the package ``ngh2`` is needed by no other file.
"""
