"""What all Python peers have in common: the tick, the beats, the way to start and to stop.

A peer is started as `python NAME_server.py MICROSECONDS`, the time between two ticks. It takes a
free port of the loopback, says "listening on 127.0.0.1:PORT" on stderr, and ends when its stdin is
closed, so that it cannot outlive who started it.
"""

import asyncio
import os
import random
import socket
import sys
import time

# As many handshakes as may wait: all of them, the system's own limit permitting. The libraries'
# defaults are from 100 to 2048, and who comes beyond that waits for a second.
BACKLOG = 4096


class Ticker:
    """A simulated price: `newest` is the last tick as JSON, what a joining client gets at once."""

    def __init__(self):
        self._cents, self._seq, self._sent = 9_712_345, 0, 0
        self.newest = ""
        self.next()

    def next(self):
        """Makes the next tick. To be called right before it is sent, as `sent` is the time now."""
        now = time.time_ns() // 1_000
        self._cents = max(self._cents + random.randint(-400, 400), 100)
        self._seq += 1
        self._sent = max(now, self._sent + 1)
        whole, cents = divmod(self._cents, 100)
        self.newest = (
            f'{{"symbol":"sim:BTC/USDT","price":{whole}.{cents:02},'
            f'"timestamp":{now // 1_000},"seq":{self._seq},"sent":{self._sent}}}'
        )
        return self.newest


async def beats(interval):
    """Yields every `interval` seconds, on a fixed grid. Beats that were missed are left out."""
    due = time.monotonic() + interval
    while True:
        # At least one turn of the loop, so that a server that is behind still serves its sockets.
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield
        late = time.monotonic() - due
        due += interval * max(1, int(late // interval) + 1)


def interval_from_arguments():
    """The time between two ticks, in seconds."""
    return int(sys.argv[1]) / 1e6


def listen():
    """A socket that listens on a free port of the loopback. Nothing is delayed (TCP_NODELAY)."""
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def say_where(listener):
    """Tells who started this where it listens."""
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)


def exit_with_stdin(loop):
    """Ends the process when stdin is closed. What is still open, the system closes."""
    loop.add_reader(0, lambda: os.read(0, 4096) or os._exit(0))
