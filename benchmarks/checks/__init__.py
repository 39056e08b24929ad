"""The checks of the robustness part: each takes a server through one trouble and returns cells of the table."""

CHECKS = ("heads", "uploads", "readers", "idle", "loris", "upload", "download", "cut", "stop", "reload", "max-requests")
