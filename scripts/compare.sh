#!/usr/bin/env bash
# The comparison: our server, the floor and other people's servers, measured side by side in one
# run. This script finds the tools and raises limits; scripts/compare/ does the work. See --help.
set -euo pipefail

usage() {
    cat <<'END'
Usage: scripts/compare.sh [options]

Measures our server, the floor (one bare write per client and tick) and servers made with other
libraries side by side: same ticks, same load, in turns, servers on one core and the load on another.
In some scenarios all clients read the same, in others each has its own watchlist. Prints a
table and writes it as Markdown, JSON and an SVG chart.

The others are set up from PyPI, npm and crates.io in target/compare, in exactly the versions that
scripts/peers and benches/peers name; nothing is installed elsewhere. What cannot be set up is
skipped with a reason.

  --quick        one run of each instead of three, and shorter: about five minutes for all, where
                 the full comparison takes 45; the first set-up comes on top of both
  --only A,B     these servers only: ours, floor, tornado, tornado-blocking, starlette, websockets,
                 picows, uwebsockets, ws, tokio-tungstenite, fastwebsockets
  --clients N,M  these numbers of clients only [default: 10,100,1000,10000]
  --lists A,B    these scenarios with watchlists, as cargo bench -- --help explains them, or none
                 [default: lists-500,lists-single]
  --out DIR      write compare.md, compare.json and compare.svg there [default: target/compare]
  --set-up       only set up, without measuring
  -h, --help     print this

Needs python3 (3.9 or later) in addition to cargo. Exits with 1 if our own server could not be
measured, with 2 if an option is invalid.

Example: scripts/compare.sh --quick --only ours,floor,websockets
END
}

for argument in "$@"; do
    case $argument in
        -h | --help)
            usage
            exit 0
            ;;
    esac
done

root=$(CDPATH='' cd -P -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin
for tool in python3 cargo; do
    if ! command -v "$tool" >/dev/null; then
        echo "error: $tool was not found" >&2
        exit 127
    fi
done
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
    echo "error: $(python3 --version 2>&1) is too old: expected 3.9 or later" >&2
    exit 1
fi
# Allows descriptors for ten thousand clients, if possible.
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true
# When it is told to stop, it stops all processes that it started; none outlives it.
exec python3 -B "$root/scripts/compare" "$@"
