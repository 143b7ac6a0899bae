"""The measurements, their order, and their medians."""

import json
import os
import resource
import statistics
import time
from dataclasses import asdict, dataclass

from processes import Failure, NotStarted, Server, run_client

# Descriptors for other uses, in the server and in the client.
DESCRIPTORS_RESERVED = 100
# Below this CPU time, steps of 10 ms are too coarse to be meaningful.
COARSE_CPU_S = 0.1
# In per cent of one core, used by other processes meanwhile.
OTHERS_PERCENT = 20
# Above this the client was so busy or late that latencies depend on it as well.
CLIENT_CPU_PERCENT, CLIENT_LATE_US = 90, 5_000


@dataclass(frozen=True)
class Scenario:
    """A load: a number of clients, and a tick of each symbol per interval."""

    name: str
    clients: int
    interval_us: int
    warmup_s: float
    duration_s: float
    repeats: int
    # With watchlists: how many symbols there are, how many of them each client watches, and
    # whether they tick one at a time instead of all at once.
    symbols: int = 0
    watched: int = 0
    spread: bool = False

    @property
    def has_lists(self):
        return self.symbols > 0

    @property
    def follows_the_seed(self):
        return self.name.startswith("clients-")


# The clients, the time between two ticks of a symbol in ms, the symbols, and how many of them each
# client watches, as in `cargo bench -- lists`.
LISTS = {
    "lists-250": (1000, 100, (250, 5)),
    "lists-500": (1000, 100, (500, 5)),
    "lists-2000": (1000, 100, (2000, 5)),
    "lists-crowd": (9900, 250, (500, 5)),
    "lists-crowd-1s": (9900, 1000, (500, 5)),
    "lists-long": (1000, 1000, (2000, 50)),
    "lists-single": (1000, 250, (500, 5, True)),
    "lists-single-crowd": (9900, 250, (500, 5, True)),
    "lists-20ms": (1000, 20, (500, 20)),
    "lists-5ms": (1000, 5, (500, 20)),
}


def plan(counts, lists, quick):
    """All scenarios. The Python original has a tick each 250 ms."""
    warmup_s, duration_s, repeats = (0.25, 1.5, 1) if quick else (1.0, 5.0, 3)
    seconds = (warmup_s, duration_s, repeats)
    sweep = [Scenario(f"clients-{count}", count, 250_000, *seconds) for count in counts]
    paced = [Scenario("paced", 1000, 10_000, *seconds), Scenario("overload", 1000, 1_000, *seconds)]
    watching = [
        Scenario(name, clients, interval_ms * 1000, *seconds, *watched)
        for name, (clients, interval_ms, watched) in LISTS.items()
        if name in lists
    ]
    return sweep + paced + watching


def lacking_descriptors(scenario):
    """The reason why this load is impossible, if there is one."""
    need = scenario.clients + DESCRIPTORS_RESERVED
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= need:
        return None
    return f"{need} descriptors per process are needed, ulimit -n allows {limit}"


class Comparison:
    """The runs, in turns: each scenario begins with another server each time, so that a machine
    that gets slower or faster meanwhile favours none."""

    def __init__(self, servers, clients, cores, scratch, say):
        self._servers, self._cores = list(servers), cores
        # The client that measures everything, and the one for watchlists.
        self._client, self._loader = clients
        self._scratch, self._say = scratch, say
        # The figures of each run, by scenario and server.
        self.runs = {}
        self.failures = []
        self.skipped_scenarios = []

    def measure(self, scenarios):
        for number, scenario in enumerate(scenarios):
            lacking = lacking_descriptors(scenario)
            if lacking:
                self._say(f"{scenario.name} is skipped: {lacking}")
                self.skipped_scenarios.append((scenario.name, lacking))
                continue
            for turn in range(scenario.repeats):
                first = number + turn * max(1, len(self._servers) // scenario.repeats)
                self._measure_in_turn(scenario, turn, first)

    def _measure_in_turn(self, scenario, turn, first):
        servers = [s for s in self._servers if scenario.follows_the_seed or not s.entry.slow]
        for index in range(len(servers)):
            server = servers[(first + index) % len(servers)]
            self._say(f"{scenario.name} {turn + 1}/{scenario.repeats}: {server.entry.name}")
            try:
                figures = self._run(scenario, server)
            except Failure as failure:
                self._note_failure(scenario, server, failure)
                continue
            runs = self.runs.setdefault(scenario.name, {})
            runs.setdefault(server.entry.name, []).append(figures)

    def _note_failure(self, scenario, server, failure):
        self._say(f"{scenario.name}, {server.entry.name} failed: {failure}")
        self.failures.append((scenario.name, server.entry.name, str(failure)))
        if isinstance(failure, NotStarted):
            # It will not start the next time either, and trying again takes long.
            self._servers.remove(server)

    def _run(self, scenario, ready):
        command = self._cores.server(ready.start_command(scenario))
        server = Server(command, os.path.join(self._scratch, "server.log"), ready.cwd)
        try:
            threads = server.threads()
            out, errors = run_client(
                self._cores.client(self._load_command(scenario, ready, server)),
                scenario.warmup_s + scenario.duration_s,
            )
            if server.is_gone():
                raise Failure(f"the server ended meanwhile: {server.last_words()}")
        finally:
            server.stop()
        try:
            report = json.loads(out)
        except ValueError:
            raise Failure(f"the client has no report: {errors.strip()[:160]}") from None
        return figures(scenario, report, threads)

    def _load_command(self, scenario, ready, server):
        if scenario.has_lists:
            return self._loader_command(scenario, ready, server)
        options = {
            "--url": f"ws://{server.address}/",
            "--clients": scenario.clients,
            "--warmup": f"{scenario.warmup_s * 1000:.0f}ms",
            "--duration": f"{scenario.duration_s * 1000:.0f}ms",
        }
        if os.path.exists(f"/proc/{server.pid}"):
            options["--pid"] = server.pid
        words = [str(word) for option in options.items() for word in option]
        return [self._client, "--json", *words]

    def _loader_command(self, scenario, ready, server):
        options = {
            "--address": server.address,
            "--pid": server.pid,
            "--clients": scenario.clients,
            "--symbols": scenario.symbols,
            "--watched": scenario.watched,
            "--interval-us": scenario.interval_us,
            "--warmup-ms": round(scenario.warmup_s * 1000),
            "--duration-ms": round(scenario.duration_s * 1000),
        }
        words = [str(word) for option in options.items() for word in option]
        if ready.entry.name == "floor":
            words.append("--unchecked")
        if self._cores.are_pinned:
            words.append("--spin")
        return [self._loader, "--load-lists", *words]


def figures(scenario, report, threads):
    """The compared figures of one run; None if not measured."""
    server = report["server"] or {}
    ticks, cpu_s, duration_s = report["ticks"], server.get("cpu_s"), report["duration_s"]
    errors = report["errors"]
    if not ticks:
        example = (errors["examples"] or ["no tick came"])[0]
        raise Failure(f"{errors['total']} errors, {example[:120]}")
    due = scenario.clients * max(scenario.watched, 1) * duration_s * 1e6 / scenario.interval_us
    p50, p99 = report["delivery_us"]["p50"], report["delivery_us"]["p99"]
    return {
        "response_mean_ms": scaled(report["response_s"]["mean"], 1e3),
        "delivery_p50_ms": scaled(p50, 1e-3),
        "delivery_p99_ms": scaled(p99, 1e-3),
        "errors": errors["total"],
        "gaps": report["gaps"],
        "error_kinds": errors["kinds"],
        "connected": report["clients"]["connected"],
        "cpu_us_per_delivery": server.get("cpu_us_per_tick"),
        "cpu_is_coarse": threads > 1 and (cpu_s or 0) < COARSE_CPU_S,
        "cpu_percent": server.get("cpu_percent"),
        "deliveries_per_s": ticks / duration_s,
        "deliveries_per_cpu_s": ticks / cpu_s if cpu_s else None,
        "of_due_percent": 100 * ticks / due,
        "rss_bytes": server.get("rss_bytes_after"),
        "rss_mb": scaled(server.get("rss_bytes_after"), 1e-6),
        "client_cpu_percent": report["client"]["cpu_percent"],
        "client_lateness_p99_us": report["client"]["lateness_p99_us"],
    }


def scaled(value, factor):
    return None if value is None else value * factor


def median(runs, figure):
    """The median of a figure over the runs that have it."""
    values = [run[figure] for run in runs if run[figure] is not None]
    return statistics.median(values) if values else None


def medians(comparison, scenarios):
    """The median of each figure, by scenario and server; counts are those of the worst run."""
    return {
        scenario.name: {
            server: summary(runs)
            for server, runs in comparison.runs.get(scenario.name, {}).items()
        }
        for scenario in scenarios
    }


def summary(runs):
    numbers = [name for name, value in runs[0].items() if name not in NO_MEDIAN]
    result = {name: median(runs, name) for name in numbers}
    for count in COUNTS:
        result[count] = max(run[count] for run in runs)
    result["cpu_is_coarse"] = any(run["cpu_is_coarse"] for run in runs)
    result["runs"] = len(runs)
    return result


COUNTS = ("errors", "gaps")
NO_MEDIAN = (*COUNTS, "error_kinds", "cpu_is_coarse")


def bytes_per_client(figures_of, counts):
    """The slope of memory between the two largest crowds, by server; and those crowds."""
    crowds = sorted(count for count in counts if figures_of.get(f"clients-{count}"))[-2:]
    if len(crowds) < 2:
        return {}, None
    few, many = (figures_of[f"clients-{count}"] for count in crowds)
    slopes = {}
    for server in few.keys() & many.keys():
        before, after = few[server], many[server]
        joined = (before["connected"], after["connected"])
        if joined == tuple(crowds) and before["rss_bytes"] and after["rss_bytes"]:
            slopes[server] = (after["rss_bytes"] - before["rss_bytes"]) / (crowds[1] - crowds[0])
    return slopes, crowds


class Others:
    """The CPU time of all other processes of the machine, which disturbs every figure."""

    def __init__(self):
        self._began, self._used = time.monotonic(), self._seconds()

    def percent(self):
        """In per cent of one core; None if the system does not report it."""
        used = self._seconds()
        if used is None or self._used is None:
            return None
        return 100 * (used - self._used) / (time.monotonic() - self._began)

    @staticmethod
    def _seconds():
        try:
            with open("/proc/stat", encoding="ascii") as file:
                fields = [int(word) for word in file.readline().split()[1:9]]
        except (OSError, ValueError):
            return None
        user, nice, system, _, _, irq, softirq, steal = fields
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        own = [resource.getrusage(who) for who in whose]
        return busy - sum(times.ru_utime + times.ru_stime for times in own)


def doubts(comparison, others_percent):
    """Reasons to doubt the numbers: a busy machine, or a client that was the bottleneck."""
    found = []
    if (others_percent or 0) > OTHERS_PERCENT:
        found.append(
            f"other processes used {others_percent:.0f} % of a core meanwhile, which makes every "
            "figure worse and less certain: compare again on an idle machine"
        )
    for scenario, servers in comparison.runs.items():
        busy = [name for name, runs in servers.items() if is_busy(runs)]
        late = [name for name, runs in servers.items() if is_late(runs)]
        if busy:
            found.append(
                f"{scenario}: the client used over {CLIENT_CPU_PERCENT} % of its core with "
                f"{', '.join(busy)}, which could do more than is shown"
            )
        if late:
            found.append(
                f"{scenario}: the client's own loop was over {CLIENT_LATE_US // 1000} ms late "
                f"(p99) with {', '.join(late)}, which their latencies include"
            )
    return found


def is_busy(runs):
    return (median(runs, "client_cpu_percent") or 0) > CLIENT_CPU_PERCENT


def is_late(runs):
    return (median(runs, "client_lateness_p99_us") or 0) > CLIENT_LATE_US


def as_data(scenarios):
    return [asdict(scenario) for scenario in scenarios]
