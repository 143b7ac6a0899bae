"""The outcome as tables: aligned for a terminal, and as Markdown."""

from dataclasses import dataclass, field

from catalogue import ENTRIES
from measure import bytes_per_client

# Title (in two lines), figure and decimals of each column.
SWEEP = (
    (("response", "mean ms"), "response_mean_ms", 1),
    (("delivery", "p50 ms"), "delivery_p50_ms", 2),
    (("delivery", "p99 ms"), "delivery_p99_ms", 2),
    (("", "errors"), "errors", 0),
    (("CPU µs per", "delivery"), "cpu_us_per_delivery", 2),
    (("ticks", "% of due"), "of_due_percent", 0),
)
PACED = (
    (("delivery", "p50 ms"), "delivery_p50_ms", 2),
    (("delivery", "p99 ms"), "delivery_p99_ms", 2),
    (("", "errors"), "errors", 0),
    (("CPU µs per", "delivery"), "cpu_us_per_delivery", 2),
    (("deliveries", "per CPU s"), "deliveries_per_cpu_s", 0),
    (("ticks", "% of due"), "of_due_percent", 0),
)
OVERLOAD = (
    (("delivery", "p50 ms"), "delivery_p50_ms", 2),
    (("delivery", "p99 ms"), "delivery_p99_ms", 2),
    (("", "errors"), "errors", 0),
    (("deliveries", "per s"), "deliveries_per_s", 0),
    (("deliveries", "per CPU s"), "deliveries_per_cpu_s", 0),
    (("ticks", "% of due"), "of_due_percent", 0),
)
LISTS = (
    (("delivery", "p50 ms"), "delivery_p50_ms", 2),
    (("delivery", "p99 ms"), "delivery_p99_ms", 2),
    (("", "errors"), "errors", 0),
    (("", "gaps"), "gaps", 0),
    (("CPU µs per", "delivery"), "cpu_us_per_delivery", 2),
    (("ticks", "% of due"), "of_due_percent", 0),
    (("memory", "MB"), "rss_mb", 1),
)
COLUMNS = {"paced": PACED, "overload": OVERLOAD}

NAME_WIDTH, COLUMN_WIDTH = 22, 12

EXPLANATIONS = (
    "Response: from the call of connect to the first tick, all clients at once. All send the "
    "newest tick to joining clients, except two: the floor, where it is the wait for the next "
    "tick, and the Tornado that fetches like the Python original: each price by a blocking request "
    "of 260 ms on the loop, then a pause of 50 ms.",
    "Delivery: from the stamp right before the broadcast to the client's read; for the floor, "
    "from the time the tick was due. Every server skips beats that it missed (the "
    "floor catches up instead): see the ticks received, in per cent of those due.",
    "All: one process, one core, no compression, TCP_NODELAY, a backlog of 4096; each library in "
    "the fastest way to broadcast that its documents offer. CPU is the server's; with ~ it "
    "was counted in steps too coarse to mean much. Errors: clients that are not upgraded within "
    "10 s, or lose their connection.",
    "Watchlists: each client requests its own random symbols in its URL. uWebSockets has a "
    "topic for each symbol, tokio-tungstenite and fastwebsockets the channels of the clients "
    "that watch it, the others a set of clients; the floor writes bytes that are ready-made, as "
    "many as the ticks of a client. The load only reads and checks every tick. Gaps: ticks missing between "
    "two of a symbol. One at a time means one each half millisecond for tickertape and the floor; "
    "the timers of most others have whole milliseconds, so they send two together, which is "
    "cheaper.",
)


@dataclass
class Block:
    """A table with its title."""

    title: str
    # Two lines each, one above the other.
    columns: list
    rows: list = field(default_factory=list)


def number(value, decimals):
    """With commas between the thousands; three significant digits are enough for large numbers."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        decimals = 0
    return f"{value:,.{decimals}f}"


def pace(scenario):
    if scenario.has_lists:
        each = f"{scenario.clients:,} clients, each {scenario.watched} of {scenario.symbols:,} symbols"
        one = "one at a time, a round" if scenario.spread else "a burst of all"
        return f"{each}, {one} each {scenario.interval_us / 1000:g} ms"
    return f"{scenario.clients:,} clients, a tick each {scenario.interval_us / 1000:g} ms"


def blocks(scenarios, figures_of, counts):
    """The tables, with the servers in the catalogue's order."""
    tables = []
    for scenario in scenarios:
        servers = figures_of.get(scenario.name)
        if servers:
            tables.append(scenario_block(scenario, servers))
    slopes, crowds = bytes_per_client(figures_of, counts)
    if slopes:
        title = f"memory: growth of the server between {crowds[0]:,} and {crowds[1]:,} clients"
        rows = [
            [entry.title, number(slopes[entry.name], 0)]
            for entry in ENTRIES
            if entry.name in slopes
        ]
        tables.append(Block(title, [("bytes per", "client")], rows))
    return tables


def scenario_block(scenario, servers):
    columns = LISTS if scenario.has_lists else COLUMNS.get(scenario.name, SWEEP)
    kind = "" if scenario.follows_the_seed else f"{scenario.name}: "
    block = Block(f"{kind}{pace(scenario)}", [titles for titles, _, _ in columns])
    for entry in ENTRIES:
        if entry.name in servers:
            figures = servers[entry.name]
            cells = [cell(figures, name, decimals) for _, name, decimals in columns]
            block.rows.append([entry.title, *cells])
    return block


def cell(figures, name, decimals):
    value = figures[name]
    if name == "of_due_percent" and value is not None:
        value = min(value, 100)  # the window may contain one more beat
    text = number(value, decimals)
    if "cpu" in name and figures["cpu_is_coarse"]:
        return f"~{text}" if value else "-"
    return text


def text(tables):
    """As text for a terminal."""
    lines = []
    for block in tables:
        lines += ["", block.title]
        for line in (0, 1):
            titles = "".join(f"{titles[line]:>{COLUMN_WIDTH}}" for titles in block.columns)
            lines.append(f"{'':<{NAME_WIDTH}}{titles}".rstrip())
        for name, *cells in block.rows:
            values = "".join(f"{value:>{COLUMN_WIDTH}}" for value in cells)
            lines.append(f"{name:<{NAME_WIDTH}}{values}")
    return "\n".join(lines[1:])


def markdown(outcome, tables):
    """As Markdown, with everything needed to understand the tables."""
    lines = [
        "# Side by side",
        "",
        f"{outcome['machine']}; {outcome['cores']}. {outcome['date']}, `{outcome['command']}`.",
        f"{outcome['how']}",
        "",
        "![The same as a chart](compare.svg)",
    ]
    for block in tables:
        titles = ["", *(" ".join(filter(None, titles)) for titles in block.columns)]
        lines += ["", f"## {block.title[0].upper()}{block.title[1:]}", "", row(titles)]
        lines.append("|---|" + "---:|" * len(block.columns))
        lines += [row(cells) for cells in block.rows]
    lines += ["", "## Who, in which version", ""]
    lines += [f"- {server['title']}: {server['versions']}" for server in outcome["servers"]]
    lines += ["", "## What to know", ""]
    lines += [f"- {note}" for note in outcome["notes"]]
    return "\n".join(lines) + "\n"


def row(cells):
    return "| " + " | ".join(cells) + " |"
