"""``python -m aiohttp_worker development.ini``: see `aiohttp_worker.runner`."""

from aiohttp_worker.runner import main

if __name__ == "__main__":
    main()
