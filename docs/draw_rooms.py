"""Draws ``rooms.svg`` for docs/design.rst: the folders of the server, their files, and who imports whom.

``python docs/draw_rooms.py`` writes it anew; a test compares.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

PACKAGE = Path(__file__).resolve().parents[1] / "aiohttp_worker"
PICTURE = Path(__file__).with_name("rooms.svg")

# From the top, where a process begins, to what knows nothing of the others.
ROOMS = {
    "paste": "a Paste ini, and the runner that serves it",
    "worker": "the two workers; settings are read once, here",
    "integration": "what is Gunicorn's: settings, hooks, access log, checks",
    "server": "connections and their requests, on the loop",
    "transport": "bytes to and from sockets; knows no HTTP",
    "wsgi": "PEP 3333: environ, input, start_response",
    "websocket": "handshakes and messages; not served by the loop yet",
    "http2": "the same for HTTP/2; heads are read by http1",
    "http1": "bytes in, events out; shared with the client",
}
WIDTH, ROOM_WIDTH, LEFT, TOP, ROOM_HEIGHT, GAP = 980, 560, 20, 20, 62, 22
RIGHT = LEFT + ROOM_WIDTH
LINE = 80  # characters
HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif">
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse"
orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#0969da"/></marker></defs>
<rect width="100%" height="100%" fill="white"/>
"""


def room_of(module: str) -> str:
    """Return the room of a module, by its dotted name within the package; "" for what is for users alone."""
    first = module.partition(".")[0]
    return first if first in ROOMS else ""


def modules() -> dict[str, Path]:
    """Return the modules by their dotted names within the package."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__init__.py"
    }


def imports(path: Path) -> set[str]:
    """Return the dotted names within the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            parts = path.relative_to(PACKAGE).parts[: -node.level]
            found.add(".".join([*parts, node.module or ""]))
        elif (node.module or "").startswith("aiohttp_worker."):
            found.add(str(node.module).partition(".")[2])
    return found


def arrows() -> Counter[tuple[str, str]]:
    """Return how many imports go from one room to another."""
    counted: Counter[tuple[str, str]] = Counter()
    for name, path in modules().items():
        for imported in imports(path):
            pair = room_of(name), room_of(imported)
            if all(pair) and pair[0] != pair[1]:
                counted[pair] += 1
    return counted


def wrapped(names: list[str]) -> list[str]:
    """Return the names in lines of limited length."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > LINE:
            lines.append("")
        lines[-1] += f"{name}  "
    return [line.rstrip() for line in lines]


def text(x: float, y: float, content: str, style: str) -> str:
    """Return one line of text."""
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(content)}</text>'


def box(room: str, purpose: str, lines: list[str], y: float, height: float) -> list[str]:
    """Return a room: its name, what it is for, and its files."""
    name, aside, mono = "font-weight='bold'", "text-anchor='end' fill='#57606a'", "font-family='monospace'"
    return [
        f'<rect x="{LEFT}" y="{y:g}" width="{ROOM_WIDTH}" height="{height}" rx="6" fill="#f6f8fa" stroke="#57606a"/>',
        text(LEFT + 12, y + 22, room, f"font-size='15' {name}"),
        text(RIGHT - 12, y + 22, purpose, f"font-size='12' {aside}"),
        *(text(LEFT + 12, y + 44 + 15 * number, line, f"font-size='11' {mono}") for number, line in enumerate(lines)),
    ]


def arrow(start: float, end: float, bend: float, width: float, title: str) -> str:
    """Return an arrow from one room's right side around to another's."""
    way = (
        f"M{RIGHT} {start:.0f} H{bend - 8} Q{bend} {start:.0f} {bend} {start + 8:.0f} "
        f"V{end - 8:.0f} Q{bend} {end:.0f} {bend - 8} {end:.0f} H{RIGHT + 7}"
    )
    style = f'fill="none" stroke="#0969da" stroke-width="{width:.1f}" marker-end="url(#head)"'
    return f'<path d="{way}" {style}><title>{title}</title></path>'


def draw() -> str:
    """Return the picture."""
    files: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name in modules():
        if room := room_of(name):
            files[room].append(name.partition(".")[2] or name)
    shapes = []
    places: list[tuple[float, float]] = []
    y = float(TOP)
    for room, purpose in ROOMS.items():
        lines = wrapped(files[room])
        height = ROOM_HEIGHT + 15 * (len(lines) - 1)
        places.append((y, height))
        shapes += box(room, purpose, lines, y, height)
        y += height + GAP
    order = list(ROOMS)
    counted = {(order.index(above), order.index(below)): count for (above, below), count in arrows().items()}
    for number, ((above, below), count) in enumerate(sorted(counted.items())):
        ends = ((above, below), (below, above))
        start, end = (places[here][0] + places[here][1] * (0.3 + 0.4 * other / len(order)) for here, other in ends)
        title = f"{order[above]} imports {order[below]}: {count}"
        shapes.append(arrow(start, end, RIGHT + 24 + 26 * number, 1 + min(count, 12) / 6, title))
    return HEAD.format(width=WIDTH, height=f"{y:g}") + "\n".join(shapes) + "\n</svg>\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
