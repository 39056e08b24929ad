"""Rows → a chart for the documentation: one panel per workload, one bar per server, as SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from .servers import OURS
from .summary import Row
from .workloads import WORKLOADS

COLUMNS = 2
PANEL_WIDTH = 430
LABELS = 118  # width of the names
VALUES = 66  # and of the figures
BAR = 16
TITLE = 34
GAP = 26

STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #333; }
  .title { font-weight: 600; font-size: 12px; }
  .value { font-size: 10.5px; fill: #555; }
  .ours { fill: #2c7fb8; }
  .peer { fill: #b8bec6; }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd; } .value { fill: #aaa; } .peer { fill: #5b626b; } .ours { fill: #4aa3df; }
  }
"""


def draw(rows: Sequence[Row]) -> str:
    """Return the SVG text; bars are requests per second, longest bar of a panel is its fastest server."""
    panels: dict[str, list[Row]] = {}
    for row in rows:
        if row.rounds:
            panels.setdefault(row.workload, []).append(row)
    heights = [0] * COLUMNS
    parts = []
    for workload, group in panels.items():
        column = heights.index(min(heights))
        parts.append(draw_panel(workload, group, column * PANEL_WIDTH, heights[column]))
        heights[column] += TITLE + BAR * len(group) + GAP
    width, height = COLUMNS * PANEL_WIDTH, max(heights)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    title = "<title>Requests per second by workload and server</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def draw_panel(workload: str, rows: Sequence[Row], left: int, top: int) -> str:
    titles = {known.name: known.title for known in WORKLOADS}
    longest = max(row.rate for row in rows)
    space = PANEL_WIDTH - LABELS - VALUES - 12
    lines = [f'<text class="title" x="{left + 4}" y="{top + 20}">{escape(titles.get(workload, workload))}</text>']
    for number, row in enumerate(rows):
        y = top + TITLE + number * BAR
        length = max(1.0, space * row.rate / longest)
        kind = "ours" if row.server in OURS else "peer"
        lines += [
            f'<text x="{left + LABELS - 6}" y="{y + 9}" text-anchor="end">{escape(row.server)}</text>',
            f'<rect class="{kind}" x="{left + LABELS}" y="{y}" width="{length:.1f}" height="{BAR - 5}" rx="2"/>',
            f'<text class="value" x="{left + LABELS + length + 5:.1f}" y="{y + 9}">{row.rate:,.0f}</text>',
        ]
    return "\n".join(lines)
