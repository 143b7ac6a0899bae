"""Compares our server with others; see `scripts/compare.sh --help`."""

import argparse
import json
import os
import platform
import sys
import textwrap
import time

import chart
import report
from catalogue import ENTRIES, NAMES, ROOT
from measure import LISTS, Comparison, Others, as_data, bytes_per_client, doubts, medians, plan
from processes import Cores, Failure, Interrupted, raise_on_signals, stop_all
from set_up import SetUp

SCRATCH = os.path.join(ROOT, "target", "compare")


def main():
    options = parse(sys.argv[1:])
    raise_on_signals()
    try:
        return compare(options)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except Interrupted as signal:
        print(f"error: stopped by {signal}", file=sys.stderr)
        return 1
    finally:
        stop_all()


def parse(words):
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", type=names, default=NAMES)
    parser.add_argument("--clients", type=counts, default=(10, 100, 1000, 10_000))
    parser.add_argument("--lists", type=lists, default=("lists-500", "lists-single"))
    parser.add_argument("--out", default=SCRATCH)
    parser.add_argument("--set-up", action="store_true")
    return parser.parse_args(words)


class Parser(argparse.ArgumentParser):
    """Prints errors in the format of the other programs here."""

    def error(self, message):
        message = message.removeprefix("argument ")
        self.exit(2, f"error: {message}, see scripts/compare.sh --help\n")


def names(text):
    return some_of(NAMES, text)


def lists(text):
    return () if text == "none" else some_of(tuple(LISTS), text)


def some_of(known, text):
    asked = text.split(",")
    for name in asked:
        if name not in known:
            raise argparse.ArgumentTypeError(f"invalid name '{name}': expected {', '.join(known)}")
    return asked


def counts(text):
    try:
        found = sorted({int(word) for word in text.split(",")})
    except ValueError:
        found = [0]
    if not 0 < found[0] <= found[-1] <= 1_000_000:
        raise argparse.ArgumentTypeError(f"invalid numbers '{text}': expected for example 10,100")
    return found


def say(line):
    """To stderr, with the time since the start."""
    print(f"{time.monotonic() - BEGAN:6.0f} s  {line}", file=sys.stderr, flush=True)


BEGAN = time.monotonic()


def compare(options):
    set_up = SetUp(SCRATCH, say)
    servers, skipped = prepare(set_up, options.only)
    if options.set_up:
        return 0
    scenarios = plan(options.clients, options.lists, options.quick)
    began, cores, others = time.monotonic(), Cores(), Others()
    clients = (set_up.client, set_up.loader)
    comparison = Comparison(servers, clients, cores, SCRATCH, say)
    comparison.measure(scenarios)
    others_percent = others.percent()
    figures_of = medians(comparison, scenarios)
    outcome = {
        "machine": machine(),
        "cores": str(cores),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["scripts/compare.sh", *sys.argv[1:]]),
        "how": how(scenarios[0], time.monotonic() - began),
        "servers": [describe(server) for server in servers],
        "skipped": skipped,
        "scenarios": as_data(scenarios),
        "medians": figures_of,
        "bytes_per_client": bytes_per_client(figures_of, options.clients)[0],
        "others_percent_of_a_core": others_percent,
        "notes": notes(comparison, skipped, others_percent),
        "runs": comparison.runs,
    }
    tables = report.blocks(scenarios, figures_of, options.clients)
    print_all(outcome, tables)
    write_all(outcome, tables, scenarios, options.out)
    measured = all("ours" in servers for servers in figures_of.values() if servers)
    return 0 if tables and (measured or "ours" not in options.only) else 1


def prepare(set_up, asked):
    """The servers that can be set up, and the reasons why others cannot."""
    servers, skipped = [], {}
    for entry in ENTRIES:
        if entry.name in asked:
            try:
                servers.append(set_up.prepare(entry))
            except Failure as failure:
                say(f"{entry.name} is skipped: {failure}")
                skipped[entry.name] = str(failure)
    return servers, skipped


def describe(server):
    entry = server.entry
    return {"name": entry.name, "title": entry.title, "versions": server.versions}


def how(scenario, took_s):
    runs = "one run" if scenario.repeats == 1 else f"medians of {scenario.repeats} runs"
    return (
        f"Each figure: {runs} of {scenario.duration_s:g} s after {scenario.warmup_s:g} s, "
        f"servers in turns; {took_s / 60:.1f} minutes in all."
    )


def machine():
    """The class of this machine."""
    cores = os.cpu_count() or 1
    plural = "" if cores == 1 else "s"
    return f"{cores} core{plural}{cpu()}, {platform.system()} {platform.release()}"


def cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            models = [line.split(":", 1)[1] for line in file if line.startswith("model name")]
    except OSError:
        models = []
    return f" of {' '.join(models[0].split())}" if models else ""


def notes(comparison, skipped, others_percent):
    found = list(report.EXPLANATIONS) + doubts(comparison, others_percent)
    found += [f"{scenario} was skipped: {why}" for scenario, why in comparison.skipped_scenarios]
    found += [f"{name} was skipped: {why}" for name, why in skipped.items()]
    found += [f"{name} failed in {scenario}: {why}" for scenario, name, why in comparison.failures]
    return found


def print_all(outcome, tables):
    lines = [f"{outcome['machine']}; {outcome['cores']}", outcome["how"], ""]
    print("\n".join(lines) + report.text(tables) + "\n")
    for server in outcome["servers"]:
        print(f"{server['title']:<{report.NAME_WIDTH}}  {server['versions']}")
    print()
    for note in outcome["notes"]:
        print(textwrap.fill(note, 94, subsequent_indent="  "))


def write_all(outcome, tables, scenarios, folder):
    files = {
        "compare.json": json.dumps(outcome, indent=1) + "\n",
        "compare.md": report.markdown(outcome, tables),
        "compare.svg": chart.draw(outcome, scenarios),
    }
    os.makedirs(folder, exist_ok=True)
    for name, content in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(content)
    print(f"\nwritten: {', '.join(os.path.relpath(os.path.join(folder, name)) for name in files)}")


sys.exit(main())
