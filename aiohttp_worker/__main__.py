"""``python -m aiohttp_worker development.ini``: see `aiohttp_worker.paste.runner`."""

from aiohttp_worker.paste.runner import main

if __name__ == "__main__":
    main()
