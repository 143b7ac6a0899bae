#!/usr/bin/env python3
"""Writes lines to a server's stdin at a steady rate, and says what became of them.

Usage: scripts/lines.py [SERVER] [LINES_PER_SECOND] [SECONDS]

Prints how many lines were lost, how late the loop's timers ran, how long its turns lasted, and the
CPU time that a line took. The bounds are those of the buckets in /metrics.
"""

import re
import subprocess
import sys
import time
import urllib.request

SYMBOLS = 500
BEATS_PER_SECOND = 100


def main():
    server = sys.argv[1] if len(sys.argv) > 1 else "target/release/server"
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    process = subprocess.Popen(
        [server, "--port", "0", "--source", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        address = next(line.split()[-1] for line in process.stderr if b"listening on" in line)
        url = f"http://{address.decode()}/metrics"
        run(process.stdin, url, rate, seconds)
    finally:
        process.kill()
        process.wait()


def run(script, url, rate, seconds):
    per_beat = rate // BEATS_PER_SECOND
    lines = b"".join(
        b'{"symbol":"S%d/USDT","price":97123.%04d,"timestamp":1732270000123}\n' % (n % SYMBOLS, n % 10_000)
        for n in range(per_beat)
    )
    before = metrics(url)
    began = time.monotonic()
    late = 0.0
    for beat in range(seconds * BEATS_PER_SECOND):
        due = began + beat / BEATS_PER_SECOND
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        late = max(late, -wait)
        script.write(lines)
        script.flush()
    took = time.monotonic() - began
    sent = per_beat * seconds * BEATS_PER_SECOND
    until = time.monotonic() + 10
    after = metrics(url)
    while value(after, "tickertape_ticks_total") < sent and time.monotonic() < until:
        time.sleep(0.05)
        after = metrics(url)
    ticks = int(value(after, "tickertape_ticks_total"))
    cpu = value(after, "process_cpu_seconds_total") - value(before, "process_cpu_seconds_total")
    print(f"lines written          {sent} in {took:.2f} s: {sent / took:.0f} a second")
    print(f"lines lost             {sent - ticks}")
    print(f"the writer was late    by at most {late * 1e3:.1f} ms")
    for what, name in [("loop lateness", "loop_lateness"), ("turns of the loop", "loop_turn")]:
        shares = [f"p{share} <= {bound(before, after, name, share)} s" for share in (50, 99, 99.9)]
        print(f"{what:<22} {', '.join(shares)}")
    print(f"CPU of the server      {cpu:.2f} s: {cpu / sent * 1e6:.2f} us a line")


def metrics(url):
    with urllib.request.urlopen(url) as page:
        return page.read().decode()


def value(page, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", page, re.M).group(1))


def bound(before, after, name, share):
    """The bound of the bucket that has this share of what was observed in between."""
    pattern = rf'^tickertape_{name}_seconds_bucket{{le="([^"]+)"}} (\d+)$'
    old = dict(re.findall(pattern, before, re.M))
    counts = [(le, int(count) - int(old[le])) for le, count in re.findall(pattern, after, re.M)]
    total = counts[-1][1]
    return next(le for le, count in counts if count >= total * share / 100)


if __name__ == "__main__":
    main()
