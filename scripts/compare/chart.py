"""The outcome as one picture: a panel per question, a row per server, for light and dark."""

import math
from html import escape

from catalogue import ENTRIES

WIDTH, MARGIN, GUTTER = 960, 20, 28
PANEL_WIDTH = (WIDTH - 2 * MARGIN - GUTTER) / 2
ROW_HEIGHT, HEAD_HEIGHT, FOOT_HEIGHT = 19, 42, 26
LABEL_WIDTH, VALUE_WIDTH = 142, 62
TOP, BOTTOM = 74, 34

STYLE = """
  .ground { fill: #ffffff } text { fill: #1f2328; font: 12px system-ui, sans-serif }
  .title { font-size: 17px; font-weight: 600 } .question { font-size: 13px; font-weight: 600 }
  .quiet { fill: #59636e; font-size: 11px } .grid { stroke: #d1d9e0; stroke-width: 1 }
  .ours { fill: #0969da } .floor { fill: #8c959f } .peer { fill: #bc4c00 }
  .name-ours { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .quiet { fill: #9198a1 }
    .grid { stroke: #30363d } .ours { fill: #58a6ff } .floor { fill: #8b949e }
    .peer { fill: #f0883e }
  }
"""


class Panel:
    """One figure of all servers. On a logarithmic axis it has dots, as bars would have no zero."""

    def __init__(self, question, unit, values, logarithmic=False):
        self.question, self.unit, self.logarithmic = question, unit, logarithmic
        self.values = {name: value for name, value in values.items() if value is not None}

    def axis(self):
        """Both ends of the axis, and the positions of its lines."""
        highest = max(self.values.values())
        if not self.logarithmic:
            step = nice_step(highest / 4)
            last = max(1, math.ceil(highest / step))
            return 0, last * step, [index * step for index in range(last + 1)]
        positive = [value for value in self.values.values() if value > 0]
        first = math.floor(math.log10(min(positive)))
        last = max(first + 1, math.ceil(math.log10(highest)))
        return first, last, [10.0**power for power in range(first, last + 1)]

    def position(self, value, ends):
        """From 0 at the left to 1 at the right."""
        low, high = ends
        if self.logarithmic:
            value = math.log10(value) if value > 0 else low
        return min(max((value - low) / (high - low), 0), 1)


def nice_step(least):
    """Rounds up to one of 1, 2, 5, 10, 20, 50, …"""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def panels(outcome, scenarios):
    """The panels, the most important first; those without figures are omitted."""
    medians = outcome["medians"]
    crowds = [s.clients for s in scenarios if s.follows_the_seed and medians.get(s.name)]

    def figure(scenario, name):
        return {server: all_[name] for server, all_ in medians.get(scenario, {}).items()}

    asked = []
    if crowds:
        usual = 1000 if 1000 in crowds else crowds[-1]
        response = figure(f"clients-{usual}", "response_mean_ms")
        question = f"Response time, mean, {usual:,} clients at once"
        asked.append((question, "ms, less is better", response, True))
        for crowd in dict.fromkeys((usual, crowds[-1])):
            p99 = figure(f"clients-{crowd}", "delivery_p99_ms")
            question = f"Delivery p99, {crowd:,} clients, 4 ticks/s"
            asked.append((question, "ms, less is better", p99, True))
    cpu = figure("paced", "cpu_us_per_delivery")
    asked.append(("CPU per delivery, 1,000 clients, 100 ticks/s", "µs, less is better", cpu))
    done = figure("overload", "deliveries_per_cpu_s")
    question = "Deliveries per CPU second, 1,000 clients, 1,000 ticks/s"
    asked.append((question, "more is better", done))
    for name, pace in (("lists-500", "in bursts"), ("lists-single", "one by one")):
        watching = figure(name, "cpu_us_per_delivery")
        question = f"CPU per tick, 1,000 clients × 5 of 500 symbols, {pace}"
        asked.append((question, "µs, less is better", watching))
    asked.append(("Memory per client", "bytes, less is better", outcome["bytes_per_client"], True))
    found = [Panel(*words) for words in asked]
    return [panel for panel in found if panel.values and max(panel.values.values()) > 0]


def draw(outcome, scenarios):
    """The picture as SVG."""
    shown = panels(outcome, scenarios)
    rows = [shown[index : index + 2] for index in range(0, len(shown), 2)]
    parts, top = [], TOP
    for pair in rows:
        for column, panel in enumerate(pair):
            left = MARGIN + column * (PANEL_WIDTH + GUTTER)
            parts.append(draw_panel(panel, left, top))
        tallest = max(len(panel.values) for panel in pair)
        top += HEAD_HEIGHT + tallest * ROW_HEIGHT + FOOT_HEIGHT
    height = top + BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape('WebSocket broadcast, side by side')}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
            words(MARGIN, 30, "WebSocket broadcast on one core, side by side", "title"),
            legend(),
            *parts,
            words(MARGIN, height - 14, caption(outcome), "quiet"),
            "</svg>\n",
        ]
    )


def caption(outcome):
    mode = "--quick" if "--quick" in outcome["command"] else ""
    command = f"scripts/compare.sh {mode}".strip()
    text = f"{outcome['machine']} · {outcome['date']} · {command}"
    waits = " · response of the floor: the wait for the next tick"
    return text + waits if "floor" in outcome["medians"].get("clients-1000", {}) else text


def legend():
    entries = (
        ("ours", "tickertape"),
        ("floor", "floor: one bare write per client and tick"),
        ("peer", "others"),
    )
    parts, left = [], MARGIN
    for kind, text in entries:
        parts.append(f'<rect class="{kind}" x="{left}" y="44" width="11" height="11" rx="2"/>')
        parts.append(words(left + 17, 54, text, "quiet"))
        left += 44 + 6.2 * len(text)
    return "".join(parts)


def draw_panel(panel, left, top):
    low, high, lines = panel.axis()
    start, plot = left + LABEL_WIDTH, PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH
    first = top + HEAD_HEIGHT
    bottom = first + len(panel.values) * ROW_HEIGHT
    scale = "; logarithmic" if panel.logarithmic else ""
    parts = [
        words(left, top + 14, panel.question, "question"),
        words(left, top + 30, f"{panel.unit}{scale}", "quiet"),
    ]
    for line in lines:
        x = start + plot * panel.position(line, (low, high))
        parts.append(f'<path class="grid" d="M{x:.1f} {first}V{bottom}"/>')
        parts.append(words(x, bottom + 13, tick_label(line), "quiet", "middle"))
    for row, entry in enumerate(entry for entry in ENTRIES if entry.name in panel.values):
        y = first + row * ROW_HEIGHT
        parts.append(draw_row(panel, entry, (start, plot, y), (low, high)))
    return "\n".join(parts)


def draw_row(panel, entry, place, ends):
    start, plot, y = place
    kind = entry.name if entry.name in ("ours", "floor") else "peer"
    value = panel.values[entry.name]
    length = plot * panel.position(value, ends)
    if panel.logarithmic:
        mark = f'<circle class="{kind}" cx="{start + length:.1f}" cy="{y + 9.5}" r="5"/>'
    else:
        width = max(length, 1)
        mark = (
            f'<rect class="{kind}" x="{start}" y="{y + 4}" width="{width:.1f}" '
            f'height="{ROW_HEIGHT - 8}" rx="2"/>'
        )
    shown = three_digits(value)
    name = words(start - 8, y + 13.5, entry.title, f"name-{kind}", "end")
    at = start + length + 9
    return name + mark + words(at, y + 13.5, shown, f"name-{kind}")


def three_digits(value):
    """The number with three significant digits: 1.78M, 24.9k, 146, 8.77."""
    for least, size, suffix in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{three_digits(value / size)}{suffix}"
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


def tick_label(value):
    """Short enough to stand side by side."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def words(x, y, text, kind, anchor="start"):
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{place}>{escape(text)}</text>'
