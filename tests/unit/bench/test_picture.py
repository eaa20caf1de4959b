"""The picture of a run: every contender has a bar on its row's scale, and names cannot break the file."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.picture import svg
from bench.sample import Row, Sample

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_medians_on_the_scale_of_their_row() -> None:
    samples = [Sample("writes", "volrep", n, value) for n, value in enumerate((10, 100, 20))]
    samples += [Sample("writes", "peer <&>", 1, 40), Sample("other", "peer <&>", 1, 1e9)]
    drawn = ElementTree.fromstring(svg(samples, [Row("writes", "a & b", "/s", "volrep")], "title"))
    bars = [float(bar.attrib["width"]) for bar in drawn.iter(f"{SVG}rect")][1:]
    assert bars[1] / bars[0] == 2.0
    assert [text.text for text in drawn.iter(f"{SVG}text")][3:] == ["volrep", "20", "peer <&>", "40"]


def test_a_row_that_nobody_filled_is_left_out() -> None:
    assert "nothing here" not in svg([], [Row("writes", "nothing here", "/s", "volrep")], "title")
