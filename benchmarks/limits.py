"""Limit of open files, for this process and the servers that it starts."""

import resource


def allow_many_files() -> None:
    """Raise the limit to what is allowed; servers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
