#!/usr/bin/env python3
"""Writes what measure.py found: the numbers as JSON, a table in Markdown, a chart in SVG.

`report.py RESULT.json` writes the table and the chart of a result anew, beside it.
"""

import json
import math
import pathlib
import re
import statistics
import sys
from xml.sax.saxutils import escape

OURS = "Mockingbird"
COLUMNS = [OURS, "avalanche", "client_golang", "prometheus_client", "telemetrygen"]
GRPC = "telemetrygen, gRPC"

# ---- numbers as people read them ---------------------------------------------------------


def three_digits(value):
    if value == 0:
        return "0"
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.01 else f"{value:.2g}"


def seconds(value):
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if value * factor >= 1:
            return f"{three_digits(value * factor)} {unit}"
    return f"{three_digits(value * 1e3)} ms"


def megabytes(value):
    return f"{three_digits(value / 1e6)} MB" if value >= 1e6 else f"{three_digits(value / 1e3)} kB"


def millions(value):
    for unit, factor in (("million", 1e-6), ("thousand", 1e-3)):
        if value * factor >= 1:
            return f"{three_digits(value * factor)} {unit}"
    return three_digits(value)


def plain_seconds(value):
    return f"{three_digits(value)} s"


# ---- from measurements to rows -----------------------------------------------------------


class Row:
    """A line of a table: a value, or the reason why there is none, for each contender."""

    def __init__(self, label, cells, form, better=min, chart=None):
        self.label = label
        self.cells = cells
        self.form = form
        self.better = better
        # What the chart calls it, if it shows it.
        self.chart = chart

    def best(self):
        numbers = [value for value in self.cells.values() if not isinstance(value, str)]
        return self.better(numbers) if len(numbers) > 1 else None

    def text(self, column):
        value = self.cells[column]
        if isinstance(value, str):
            return value
        return self.form(value)


def sections(found):
    """Titles with their rows, in the order of the document."""
    result = []
    for series, turns in found.get("scrape", {}).items():
        result.append((f"Scrapes of {int(series):,} series", scrape_rows(found, series, turns)))
    if "capacity" in found:
        result.append(("The largest", [capacity_row(found)]))
    if "otlp" in found:
        result.append(("OTLP push", push_rows(found, found["otlp"], "point", "no OTLP")))
    if "remote_write" in found:
        rows = push_rows(found, found["remote_write"], "sample", "no remote write")
        result.append(("Remote write, version 1", rows))
    return result


def median(turns, field):
    """Over all turns; a turn has one number or several, or none of this kind."""
    values = []
    for turn in turns:
        value = turn.get(field)
        values += value if isinstance(value, list) else [value] if value is not None else []
    return statistics.median(values) if values else None


def is_missing(found, column):
    return found["versions"][column] == "not available"


def cells_of(turns_by_name, field, otherwise):
    """One number for each contender: the median, or why there is none."""
    cells = {}
    for column in COLUMNS:
        turns = turns_by_name.get(column)
        failed = [turn["none"] for turn in turns or [] if "none" in turn]
        if turns is None:
            cells[column] = otherwise(column)
        elif failed:
            cells[column] = failed[0]
        else:
            value = median(turns, field)
            cells[column] = otherwise(column) if value is None else value
    return cells


def scrape_rows(found, series, turns):
    def row(label, field, form, chart=None, otherwise="not told"):
        def why(column):
            if is_missing(found, column):
                return "not available"
            return "only pushes" if column == "telemetrygen" else otherwise

        return Row(label, cells_of(turns, field, why), form, chart=chart)

    size = f"{int(series):,} series"
    return [
        row("steady scrape, plain", "plain_s", seconds, f"Scrape of {size}, plain"),
        row("steady scrape, gzip", "gzip_s", seconds, f"Scrape of {size}, gzip"),
        row("first scrape, plain", "first_plain_s", seconds, otherwise="not measured"),
        row("first scrape, gzip", "first_gzip_s", seconds, otherwise="not measured"),
        row(
            "CPU seconds per million samples, plain",
            "plain_cpu_s_per_million",
            plain_seconds,
            f"CPU per million samples, {size}, plain",
        ),
        row("CPU seconds per million samples, gzip", "gzip_cpu_s_per_million", plain_seconds),
        row("resident memory before the first scrape", "memory_before", megabytes),
        row("resident memory after scrapes", "memory_after", megabytes),
        row("resident memory, most", "memory_most", megabytes, f"Memory at most, {size}"),
        # Mockingbird and the others have their series by then.
        without(row("start until it answers", "startup_s", seconds), "avalanche", "without series"),
        row("start until the first scrape is complete", "first_complete_s", seconds),
        row("longest delay of a tick during scrapes", "lag_s", seconds),
        without(
            row("bytes of a gzipped body", "gzip_bytes", megabytes), "avalanche", "other values"
        ),
    ]


def without(row, column, why):
    """Takes out a number that can't be compared."""
    if not isinstance(row.cells[column], str):
        row.cells[column] = why
    return row


def capacity_row(found):
    cells = {}
    for column in COLUMNS:
        result = found["capacity"].get(column)
        if result is None:
            cells[column] = "only pushes" if column == "telemetrygen" else "not available"
        else:
            cells[column] = result.get("none") or result["series"]
    label = "series served gzipped within {timeout_s:.0f} s in {gib:.0f} GiB".format(
        gib=found["plan"]["memory_bytes"] / (1 << 30), **found["plan"]
    )

    def form(value):
        most = found["plan"]["capacity_grid"][-1]
        return ("≥ " if value == most else "") + millions(value)

    return Row(label, cells, form, max, "Largest number of series within 10 s and 4 GiB")


def push_rows(found, receivers, unit, cannot):
    rates, costs = [], []
    for receiver, turns in receivers.items():
        over = receiver.replace(", none", ", plain")

        def why(column):
            # Only avalanche may be missing, and it has no OTLP anyway.
            can = unit == "sample" and is_missing(found, column)
            return "not available" if can else cannot

        def add(label, turns, why, chart):
            rates.append(
                Row(
                    f"{unit}s a second, {label}",
                    cells_of(turns, "points_per_s", why),
                    millions,
                    max,
                    chart,
                )
            )
            cells = cells_of(turns, "cpu_s_per_million", why)
            costs.append(Row(f"CPU seconds per million {unit}s, {label}", cells, plain_seconds))

        kind = "OTLP points" if unit == "point" else "Remote-write samples"
        add(over, turns, why, f"{kind} a second to: {over}")
        if GRPC in turns:
            only = {"telemetrygen": turns[GRPC]}

            def why_not_grpc(column):
                return "HTTP only" if column == OURS else cannot

            add(f"{over}, over gRPC", only, why_not_grpc, None)
    return rates + costs


def where_a_peer_is_better(found):
    """Every cell in which Mockingbird is beaten, in words."""
    worse = []
    for title, rows in sections(found):
        for row in rows:
            ours, best = row.cells[OURS], row.best()
            if isinstance(ours, str) or ours == best:
                continue
            for column, value in row.cells.items():
                if not isinstance(value, str) and row.better(value, ours) == value != ours:
                    text = f"{column} {row.text(column)}, Mockingbird {row.text(OURS)}"
                    worse.append(f"{title}: {row.label}: {text}")
    return worse


def in_short(result):
    """A result in the line of progress."""
    if "none" in result:
        return result["none"]
    shown = {
        "startup_s": ("started in", seconds),
        "plain_s": ("plain", lambda times: seconds(statistics.median(times))),
        "gzip_s": ("gzip", lambda times: seconds(statistics.median(times))),
        "memory_most": ("most", megabytes),
        "lag_s": ("ticks late by", lambda lag: "?" if lag is None else seconds(lag)),
        "points_per_s": ("a second", millions),
        "cpu_s_per_million": ("CPU per million", plain_seconds),
        "series": ("series", millions),
        "stopped_by": ("stopped by", str),
    }
    parts = (f"{name} {form(result[key])}" for key, (name, form) in shown.items() if key in result)
    return ", ".join(parts)


# ---- Markdown ----------------------------------------------------------------------------


def markdown(found, chart_name):
    machine = found["machine"]
    lines = [
        "# Mockingbird and its peers",
        "",
        f"Measured on {found['date']} by `benches/compare/run.sh` on {machine['cores']} cores of "
        f"{machine['cpu']}, {machine['memory_gib']} GiB, {machine['system']}, in "
        f"{found['seconds'] / 60:.0f} minutes; load of the machine before: "
        f"{found['load_before']:.2f}.",
        "[How, and why so](../README.md).",
        "",
    ]
    if found["smoke"]:
        lines += ["**Smoke mode: this shows that everything runs; the numbers mean nothing.**", ""]
    lines += [
        f"![The same as bars]({chart_name})",
        "",
        "The best of each line is bold. Medians of all rounds.",
        "",
    ]
    for title, rows in sections(found):
        lines += [f"## {title}", "", "| | " + " | ".join(COLUMNS) + " |", "|---" * 6 + "|"]
        for row in rows:
            best = row.best()
            texts = [
                f"**{row.text(column)}**" if row.cells[column] == best else row.text(column)
                for column in COLUMNS
            ]
            lines.append(f"| {row.label} | " + " | ".join(texts) + " |")
        lines.append("")
    lines += ["## Versions", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {version} |" for name, version in found["versions"].items()]
    return "\n".join(lines) + "\n"


# ---- the chart ---------------------------------------------------------------------------

BAR, GAP, PANEL_GAP, LEFT, RIGHT, WIDTH, TOP = 16, 4, 34, 150, 110, 760, 88
# Readable on white and on black: grey for peers, one colour for ours.
STYLE = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}"
    ".title{font-size:16px;font-weight:600}.panel{font-weight:600}.none,.note{fill:#656d76}"
    ".bar{fill:#8c959f}.ours{fill:#1a7f5a}"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.none,.note{fill:#9198a1}"
    ".bar{fill:#6e7681}.ours{fill:#3fb68b}}"
)


def chart(found):
    """A panel for each row that says so, a bar for each contender, lengths logarithmic."""
    rows = [row for _, rows in sections(found) for row in rows if row.chart]
    # Of the scrapes only the largest size.
    sizes = list(found.get("scrape", {}))
    small = tuple(f"{int(size):,} series" for size in sizes[:-1])
    rows = [row for row in rows if not any(f" {size}" in row.chart for size in small)]
    body, y = [], TOP
    for row in rows:
        drawn, y = panel(row, y)
        body += drawn
    machine = found["machine"]
    notes = [
        f"{found['date']}, {machine['cores']} cores of {machine['cpu']}; bars are logarithmic",
        ", ".join(f"{column} {short_version(found, column)}" for column in COLUMNS),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        f'height="{y}" role="img" aria-label="Mockingbird and its peers">\n'
        f"<style>{STYLE}</style>\n"
        f'<text class="title" x="0" y="20">Mockingbird and its peers</text>\n'
        + "".join(
            f'<text class="note" x="0" y="{40 + 18 * i}">{escape(note)}</text>\n'
            for i, note in enumerate(notes)
        )
        + "\n".join(body)
        + "\n</svg>\n"
    )


def short_version(found, column):
    """The first number with points in it."""
    number = re.search(r"\d+\.\d+\.\d+", found["versions"][column])
    return number[0] if number else found["versions"][column]


def panel(row, y):
    numbers = [value for value in row.cells.values() if not isinstance(value, str)]
    shown = [column for column in COLUMNS if row.cells[column] not in NEVER]
    direction = "longer is better" if row.better is max else "shorter is better"
    lines = [
        f'<text x="0" y="{y}"><tspan class="panel">{escape(row.chart)}</tspan>'
        f'<tspan class="note" dx="8">{direction}</tspan></text>'
    ]
    y += 10
    for column in shown:
        value = row.cells[column]
        middle = y + BAR - 4
        lines.append(f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(column)}</text>')
        if isinstance(value, str):
            lines.append(f'<text class="none" x="{LEFT}" y="{middle}">{escape(value)}</text>')
        else:
            length = bar_length(value, numbers)
            ours = " ours" if column == OURS else ""
            lines.append(
                f'<rect class="bar{ours}" x="{LEFT}" y="{y}" width="{length:.1f}" '
                f'height="{BAR}" rx="2"/>'
                f'<text x="{LEFT + length + 6:.1f}" y="{middle}">{escape(row.form(value))}</text>'
            )
        y += BAR + GAP
    return lines, y + PANEL_GAP - GAP


# Who can't do a case at all needs no empty line in the chart.
NEVER = ("only pushes", "no OTLP", "no remote write", "HTTP only")


def bar_length(value, numbers):
    """Logarithmic, from half of the smallest to the largest number."""
    low, high = min(numbers) / 2, max(numbers)
    if value <= 0 or low <= 0:
        return 1
    return max(1, math.log(value / low) / math.log(high / low) * (WIDTH - LEFT - RIGHT))


# ---- files -------------------------------------------------------------------------------


def write(found, folder):
    """Writes the three files; returns their paths."""
    machine = found["machine"]
    kind = re.sub(r"[^a-z0-9]+", "-", machine["cpu"].lower()).strip("-")
    name = f"{found['date']}-{kind}-{machine['cores']}-cores"
    if not found["all_cases"]:
        # A part of the cases doesn't take the place of a whole measurement.
        name += "-" + "-".join(found["cases"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    return [path, *render(found, path)]


def render(found, path):
    paths = [path.with_suffix(".md"), path.with_suffix(".svg")]
    paths[0].write_text(markdown(found, paths[1].name))
    paths[1].write_text(chart(found))
    return paths


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        source = pathlib.Path(argument)
        print(*render(json.loads(source.read_text()), source))
