"""Temporary files for what waits to be read or sent: whether there can be any, and what to say if not."""

from __future__ import annotations

import tempfile


def storage_error(directory: str | None, error: OSError) -> OSError:
    """Return *error* in words that name the directory and the setting.

    :param directory: Gunicorn's ``tmp_upload_dir``.
    """
    reason = error.strerror or str(error) or type(error).__name__
    if directory is not None:
        return OSError(error.errno, f"{reason}, in tmp_upload_dir = {directory!r}")
    where = tempfile.tempdir or "the system's directory for temporary files"
    return OSError(error.errno, f"{reason}, in {where}; tmp_upload_dir can name another directory")


def try_storage(directory: str | None) -> OSError | None:
    """Return what keeps this process from storing something, ``None`` if nothing does."""
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            file.write(b"\0")
    except OSError as error:
        return storage_error(directory, error)
    return None
