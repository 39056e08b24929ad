"""Rows → SVG."""

from xml.etree import ElementTree as ET

from benchmarks.chart import draw
from benchmarks.measure import Result
from benchmarks.summary import summarise

SVG = "{http://www.w3.org/2000/svg}"


def bars(*results: Result) -> list[ET.Element]:
    return list(ET.fromstring(draw(summarise(results))).iter(f"{SVG}rect"))


def test_bars_are_as_long_as_their_rates() -> None:
    longest, half = bars(Result("hello", "aiohttp-worker", 0, rate=100), Result("hello", "sync", 0, rate=50))
    assert float(longest.attrib["width"]) == 2 * float(half.attrib["width"])
    assert (longest.attrib["class"], half.attrib["class"]) == ("ours", "peer")


def test_each_workload_is_a_panel_of_its_own_scale() -> None:
    first, second = bars(Result("hello", "sync", 0, rate=100), Result("file", "sync", 0, rate=1))
    assert first.attrib["width"] == second.attrib["width"]
    assert first.attrib["x"] != second.attrib["x"]


def test_what_failed_has_no_bar() -> None:
    assert len(bars(Result("hello", "sync", 0, failure="<died>"), Result("hello", "bjoern", 0, rate=1))) == 1


def test_the_picture_ends_below_its_last_bar() -> None:
    results = [Result("hello", name, 0, rate=1) for name in ("sync", "bjoern", "gthread")]
    picture = ET.fromstring(draw(summarise(results)))
    lowest = max(float(bar.attrib["y"]) + float(bar.attrib["height"]) for bar in picture.iter(f"{SVG}rect"))
    assert float(picture.attrib["height"]) > lowest
