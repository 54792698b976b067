"""picture.py - draws curves of losses, and bars of memory, as an SVG file."""

import pathlib
from xml.sax.saxutils import escape

COLOURS = ("#7a828e", "#1f77c8", "#0a9373", "#d98200", "#c2377e")
SHADES = (1.0, 0.6, 0.3)  # Of the parts of a bar, from the left.
WIDTH, HEIGHT, LEFT, RIGHT = 960, 710, 78, 930


def label(x, y, text, size=13, anchor="start", colour="#5c6670", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(text)}</text>')


def heading(y, text):
    return label(30, y, text, 14, colour="#1d2329", weight="bold")


def smooth(losses):
    """Returns the mean of each loss and those before it, of a twentieth of them all."""
    window = max(1, len(losses) // 20)
    return [sum(losses[max(0, i - window + 1):i + 1]) / len(losses[max(0, i - window + 1):i + 1])
            for i in range(len(losses))]


def plot(curves, top, bottom, digits):
    """Returns a grid between two heights with the curves, by name, from the lowest number to the highest."""
    steps = max(map(len, curves.values()))
    low, high = min(map(min, curves.values())), max(map(max, curves.values()))
    margin = (high - low) / 20 or 1
    low, high, lines = low - margin, high + margin, []
    for tick in (low + (high - low) * part / 4 for part in range(5)):
        y = bottom - (tick - low) / (high - low) * (bottom - top)
        lines += [f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e5e8"/>',
                  label(LEFT - 8, y + 4, f"{tick:.{digits}f}", anchor="end")]
    lines += [label(LEFT + (RIGHT - LEFT) * part / 4, bottom + 20, str(steps * part // 4), anchor="middle")
              for part in range(5)]
    for (name, losses), colour in zip(curves.items(), COLOURS):
        points = " ".join(f"{LEFT + (RIGHT - LEFT) * i / max(1, steps - 1):.1f},"
                          f"{bottom - (loss - low) / (high - low) * (bottom - top):.1f}"
                          for i, loss in enumerate(losses))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return lines


def bar_chart(bars, top):
    """Returns a bar for each run, whose parts are bytes for each parameter."""
    left, unit = 190, 30
    lines = []
    for row, ((name, parts), colour) in enumerate(zip(bars.items(), COLOURS)):
        x, y = left, top + 34 * row
        lines.append(label(left - 10, y + 16, name, anchor="end"))
        for shade, (part, size) in zip(SHADES, parts.items()):
            lines.append(f'<rect x="{x:.1f}" y="{y}" width="{size * unit:.1f}" height="22" fill="{colour}" '
                         f'fill-opacity="{shade}"><title>{escape(part)}: {size:.3f} bytes</title></rect>')
            x += size * unit
        lines.append(label(x + 8, y + 16, f"{sum(parts.values()):.3f} bytes"))
    return lines


def draw(path, title, curves, bars):
    """Writes the picture of curves (run: losses) and bars (run: part: bytes for each parameter)."""
    smoothed = {name: smooth(losses) for name, losses in curves.items()}
    first = next(iter(smoothed))
    apart = {name: [a - b for a, b in zip(losses, smoothed[first])] for name, losses in smoothed.items()}
    lines = [label(30, 42, title, 22, colour="#1d2329", weight="bold")]
    for i, (name, colour) in enumerate(zip(curves, COLOURS)):
        x = 30 + 225 * i
        lines += [f'<line x1="{x}" x2="{x + 26}" y1="72" y2="72" stroke="{colour}" stroke-width="4"/>',
                  label(x + 34, 77, name, 15, colour=colour, weight="bold")]
    parts = ", ".join(next(iter(bars.values())))
    lines += [heading(112, "Training loss, running mean"), *plot(smoothed, 126, 300, 1),
              heading(352, f"The same, minus that of {first}"), *plot(apart, 366, 490, 4),
              heading(542, f"Bytes for each parameter: {parts}"), *bar_chart(bars, 560)]
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            """font-family="'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif">""")
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#fcfcfb"/>'
    pathlib.Path(path).write_text("\n".join([head, f"<title>{escape(title)}</title>", ground, *lines, "</svg>", ""]))
