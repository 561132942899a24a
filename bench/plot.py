"""The figures as a picture: server CPU per transaction by size, and through Squid."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from bench.cases import SIZES
from bench.proxied import ProxyResults
from bench.turns import Results

#: The same colour for the same server in every run; ours stand out.
_STYLES = {
    "icapd": ("#c0392b", "-", 3.0),
    "icapd compiled": ("#7b241c", "-", 2.0),
    "icapd, 2 workers": ("#c0392b", "--", 1.5),
    "icapd on pyicap": ("#e67e22", "-", 1.5),
    "c-icap echo": ("#2c3e50", "-", 1.5),
    "c-icap content filtering": ("#2980b9", "-", 2.0),
    "e2guardian": ("#8e44ad", "-", 1.5),
    "pyicap": ("#7f8c8d", "-", 1.5),
    "bare asyncio": ("#27ae60", ":", 1.5),
    "floor": ("#27ae60", "-", 2.0),
}


def draw(results: Results | None, proxied: ProxyResults | None, file: Path) -> None:
    """Write a PNG; what was not measured has no panel."""
    panels = [f"{kind}{suffix}" for suffix in ("", ", 5 findings") for kind in ("JSON", "HTML", "JS")]
    panels = [panel for panel in panels if results and _lines(results, panel)]
    through_squid = bool(proxied and proxied.figures)
    columns = max(1, min(3, len(panels) + through_squid))
    rows = -(-(len(panels) + through_squid) // columns) or 1
    figure, axes = plt.subplots(rows, columns, figsize=(5.6 * columns, 4.6 * rows), squeeze=False)
    spaces = iter(axes.flat)
    for panel in panels:
        assert results is not None
        _draw_cpu(next(spaces), results, panel)
    if through_squid:
        assert proxied is not None
        _draw_proxied(next(spaces), proxied)
    for space in spaces:
        space.set_visible(False)
    if panels:
        # Not every server is in every panel.
        shown = {
            label: handle
            for panel in axes.flat
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
            if label in _STYLES
        }
        figure.legend(shown.values(), shown.keys(), loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _lines(results: Results, panel: str) -> dict[str, list[tuple[float, float]]]:
    """By server: points of size in KB and CPU in µs, where there are at least two."""
    kind, _, rest = panel.partition(",")
    lines = {}
    for server in results.servers:
        points = []
        for name, size in SIZES.items():
            figures = results.get(server, f"{name} {kind}" + (f",{rest}" if rest else ""))
            if figures:
                points.append((size / 1024, figures.cpu * 1e6))
        if len(points) > 1:
            lines[server] = points
    return lines


def _draw_cpu(space: plt.Axes, results: Results, panel: str) -> None:
    # Both scales cover three orders of magnitude.
    for server, points in _lines(results, panel).items():
        colour, line, width = _STYLES.get(server, ("black", "-", 1.0))
        space.loglog(
            *zip(*points, strict=True),
            line,
            color=colour,
            linewidth=width,
            marker="o",
            markersize=4,
            label=server,
        )
    space.set_title(panel if "," in panel else f"{panel}, clean")
    space.set_xlabel("size of the body")
    space.set_ylabel("server CPU per transaction, µs")
    space.set_xticks([size / 1024 for size in SIZES.values()], list(SIZES))
    space.minorticks_off()
    space.grid(visible=True, which="major", alpha=0.3)


def _draw_proxied(space: plt.Axes, proxied: ProxyResults) -> None:
    paths = sorted({path for _, path in proxied.figures}, key=len)
    names = list(dict.fromkeys(name for name, _ in proxied.figures))
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        values = [
            proxied.figures[name, path].throughput if (name, path) in proxied.figures else 0 for path in paths
        ]
        places = [place + index * width for place in range(len(paths))]
        colour = _STYLES.get(name, ("#95a5a6", "-", 1.0))[0]
        bars = space.bar(places, values, width, color=colour, label=name)
        space.bar_label(bars, fmt="%.0f", fontsize=8)
    space.set_title("through Squid with SSL bump")
    space.set_ylabel("requests a second")
    space.set_xticks([place + 0.4 - width / 2 for place in range(len(paths))], [path[1:] for path in paths])
    space.legend(frameon=False)
