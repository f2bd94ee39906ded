"""The samples of a simulation as a chart; the only module that uses the plotting library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from app.extras import CHARTS, way_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.simulation.samples import Figure, Kind, Sample

SUFFIXES: Final = (".svg", ".png")

PANELS: Final[tuple[tuple[Kind, str], ...]] = (
    ("stock", "stock"),
    ("income", "income per hour"),
    ("level", "level"),
    ("count", "units"),
)
"""What each panel shows, from top to bottom; a panel with no data is left out.

If none has data, the first stays, empty.
"""

_DAY_MS: Final = 86_400_000
_WIDTH_IN: Final = 10
_HEIGHT_IN: Final = 3.2


class ChartsMissing(Exception):
    """The plotting library is not installed; the message says how to install it."""

    def __init__(self) -> None:
        super().__init__(f"charts need matplotlib: {way_to(CHARTS)}")


def load_charts() -> None:
    """Check that charts can be drawn, before hours of play.

    Raises:
        ChartsMissing: the plotting library is not installed.
    """
    _figure_class()


def draw_chart(samples: Sequence[Sample], title: str, path: Path) -> None:
    """Draw means as lines, and the 10th to 90th percentiles as bands, over days.

    The path's suffix sets the format. The same samples give the same picture. The title is used
    as is; if nothing ever exceeds zero, the only panel is an empty one of stocks.

    Raises:
        ChartsMissing: the plotting library is not installed.
        OSError: the file cannot be written.
    """
    figure_class = _figure_class()
    panels = _panels(samples)
    figure = figure_class(figsize=(_WIDTH_IN, _HEIGHT_IN * len(panels)), layout="constrained")
    figure.suptitle(title, parse_math=False)
    days = [sample.at_ms / _DAY_MS for sample in samples]
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
    for (axes,), (label, series) in zip(all_axes, panels, strict=True):
        for name, figures in series.items():
            [line] = axes.plot(days, [float(each.mean) for each in figures], label=name)
            low, high = ([float(getattr(f, p)) for f in figures] for p in ("p10", "p90"))
            axes.fill_between(days, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        axes.set_ylabel(label)
        axes.grid(visible=True, alpha=0.3)
        if series:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    all_axes[-1][0].set_xlabel("day")
    # Without a date and with a fixed salt, an SVG is the same each time.
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with import_module("matplotlib").rc_context({"svg.hashsalt": "holdfast"}):
        figure.savefig(path, metadata=metadata, dpi=120)


def _panels(samples: Sequence[Sample]) -> list[tuple[str, dict[str, list[Figure]]]]:
    """Return the label and figures of each panel; at least one."""
    panels = [(label, series) for kind, label in PANELS if (series := _series(samples, kind))]
    nothing: dict[str, list[Figure]] = {}
    return panels or [(PANELS[0][1], nothing)]


def _series(samples: Sequence[Sample], kind: Kind) -> dict[str, list[Figure]]:
    """Return the figures of a kind over time, by name, without those that are always zero."""
    series: dict[str, list[Figure]] = {}
    for sample in samples:
        for each in sample.figures:
            if each.kind == kind:
                series.setdefault(each.name, []).append(each)
    return {
        name: figures for name, figures in series.items() if any(f.p90 or f.mean for f in figures)
    }


# The library is optional: it is imported on use, and has no type here.
def _figure_class() -> Any:
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise ChartsMissing from error
