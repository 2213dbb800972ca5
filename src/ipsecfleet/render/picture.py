"""A forecast as a picture: for the fullest gateways, bars of what begins in each window, as it is and with a plan.

Read at a glance: one strip for each gateway under the same clock, the fullest first; light bars with an edge are what
comes by itself, dark ones what comes with the plan. Without colours, so that it can be printed. Drawn by matplotlib,
which the extra `plot` brings.
"""

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ipsecfleet.model.document import Document, ForecastRow
from ipsecfleet.render.escape import visible

MOST = 8
"""How many gateways are drawn; the others are no fuller than these."""

INCHES_WIDE, INCHES_EACH, INCHES_MORE = 9.0, 1.1, 1.0
LIGHT, EDGE, DARK = "0.88", "0.45", "0.15"


def forecast_svg(document: Document) -> str:
    """The picture as SVG text, the same for the same forecast."""
    rows = [r for r in document.forecast or () if r.gateway is not None]
    names = list(dict.fromkeys(str(r.gateway) for r in rows))[:MOST]
    figure = Figure(figsize=(INCHES_WIDE, INCHES_EACH * max(len(names), 1) + INCHES_MORE), layout="constrained")
    strips = figure.subplots(max(len(names), 1), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for strip, name in zip(strips, names, strict=False):
        _strip(strip, name, [r for r in rows if r.gateway == name])
    unit = rows[0].window_s if rows else 0.0
    proposed = any(r.proposed for r in rows)
    words = "light: as it is; dark: with the plan" if proposed else "as it is"
    figure.suptitle(f"Negotiations that begin within {unit:g} s ({words})", fontsize="medium")
    strips[-1].set_xlabel("minutes from now")
    more = len({r.gateway for r in rows}) - len(names)
    if more > 0:
        figure.supxlabel(f"and {more} more gateways, none of them fuller", fontsize="small")
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "ipsecfleet", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _strip(strip: Axes, name: str, rows: Sequence[ForecastRow]) -> None:
    """One gateway: its bars, and its peaks, which no window has to itself."""
    for row in sorted(rows, key=lambda r: r.proposed):
        minutes = [n * row.window_s / 60 for n in range(len(row.counts))]
        width = row.window_s / 60
        if row.proposed:
            strip.bar(minutes, row.counts, width=width / 2, align="edge", color=DARK)
        else:
            strip.bar(minutes, row.counts, width=width, align="edge", color=LIGHT, edgecolor=EDGE, linewidth=0.5)
    peaks = " and with the plan ".join(str(r.peak) for r in sorted(rows, key=lambda r: r.proposed))
    strip.set_title(f"{visible(name)}: at most {peaks}", loc="left", fontsize="small")
    strip.spines[["top", "right"]].set_visible(False)
    strip.yaxis.set_major_locator(MaxNLocator(integer=True))
    strip.margins(x=0, y=0.3)
