"""The checks of the robustness part: each takes a server through one trouble and returns cells of the table."""

CHECKS = (
    "heads",
    "uploads",
    "readers",
    "idle",
    "loris",
    "upload",
    "upload-coroutine",
    "download",
    "cut",
    "stop",
    "reload",
    "max-requests",
)
