"""Code shared by the Python peers: ticks, beats, starting and stopping.

A peer is started as `python NAME_server.py MICROSECONDS [SYMBOLS [spread]]`: the time between two
ticks of a symbol, and the number of symbols. With `spread` they tick one after the other, otherwise
all at once. Without SYMBOLS there is a single one, sent to every client; otherwise each client gets
those listed in its URL (`?symbols=A,B`). A peer listens on a free port of the loopback, prints
"listening on 127.0.0.1:PORT" to stderr, and ends when its stdin is closed, so that it cannot
outlive the process that started it.
"""

import asyncio
import os
import random
import socket
import sys
import time
from urllib.parse import parse_qs, urlsplit

# How many handshakes may wait: all of them, within the system's own limit. The libraries' defaults
# are from 100 to 2048, and clients beyond that wait for a second.
BACKLOG = 4096


class Ticker:
    """A simulated price: `newest` is the last tick as JSON, which a joining client gets at once."""

    _sent = 0

    def __init__(self, symbol):
        self.symbol = symbol
        self._cents, self._seq = 9_712_345, 0
        self.newest = ""
        self.next()

    def next(self):
        """Makes the next tick. Call it right before sending, as `sent` is the current time."""
        now = time.time_ns() // 1_000
        self._cents = max(self._cents + random.randint(-400, 400), 100)
        self._seq += 1
        sent = Ticker._sent = max(now, Ticker._sent + 1)  # unique among all symbols
        whole, cents = divmod(self._cents, 100)
        self.newest = (
            f'{{"symbol":"{self.symbol}","price":{whole}.{cents:02},'
            f'"timestamp":{now // 1_000},"seq":{self._seq},"sent":{sent}}}'
        )
        return self.newest


class Market:
    """All symbols, each with the set of clients that watch it."""

    def __init__(self):
        counts = [int(word) for word in sys.argv[2:3] if word.isdigit()]
        numbered = [f"sim:S{number:04}/USDT" for count in counts for number in range(count)]
        self.tickers = [Ticker(symbol) for symbol in numbered or ["sim:BTC/USDT"]]
        self._watchers = {ticker.symbol: set() for ticker in self.tickers}
        self._is_spread = "spread" in sys.argv[3:]

    def join(self, client, url):
        """Makes a client watch the symbols in its URL, or all. Returns their newest ticks."""
        watched = self._watched(url)
        for symbol in watched:
            self._watchers[symbol].add(client)
        return [ticker.newest for ticker in self.tickers if ticker.symbol in watched]

    def leave(self, client, url):
        """Removes a client that joined with this URL."""
        for symbol in self._watched(url):
            self._watchers[symbol].discard(client)

    def watchers(self, ticker):
        """The clients that watch this symbol."""
        return self._watchers[ticker.symbol]

    async def due(self):
        """Yields the symbols that tick at each beat."""
        interval = int(sys.argv[1]) / 1e6
        if not self._is_spread:
            async for _ in beats(interval):
                yield self.tickers
        step, done, began = interval / len(self.tickers), 0, time.monotonic()
        async for _ in beats(step):
            # Timers may be coarser than the step: all due symbols tick, but each at most once.
            now = int((time.monotonic() - began) / step)
            first = max(done, now - len(self.tickers))
            yield [self.tickers[turn % len(self.tickers)] for turn in range(first, now)]
            done = now

    def _watched(self, url):
        asked = parse_qs(urlsplit(url).query).get("symbols", [])
        symbols = {symbol for text in asked for symbol in text.split(",")}
        return symbols & self._watchers.keys() if asked else self._watchers.keys()


async def beats(interval):
    """Yields every `interval` seconds, on a fixed grid. Missed beats are skipped."""
    due = time.monotonic() + interval
    while True:
        # At least one turn of the loop, so that a server that is behind still serves its sockets.
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield
        late = time.monotonic() - due
        due += interval * max(1, int(late // interval) + 1)


def listen():
    """A socket that listens on a free port of the loopback, without delays (TCP_NODELAY)."""
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def say_where(listener):
    """Prints the address for the process that started this one."""
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)


def exit_with_stdin(loop):
    """Ends the process when stdin is closed. The system closes its sockets."""
    loop.add_reader(0, lambda: os.read(0, 4096) or os._exit(0))
