"""Tornado, as its chat demo does it: `write_message` to each of a set of handlers.

With the word `blocking` behind the interval it is what this project began as: the price comes from
a blocking HTTP request of 260 ms on the loop, which everybody waits for. A client that joins gets
the price that is fetched next.
"""

import asyncio
import sys
import time

from ticks import Ticker, beats, exit_with_stdin
from ticks import interval_from_arguments, listen, say_where
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

# The time of the request, and the pause after it: 0.317 s per message were measured in all.
FETCH_SECONDS, PAUSE_SECONDS = 0.26, 0.05

ticker = Ticker()
clients = set()
blocking = "blocking" in sys.argv[2:]


class Prices(WebSocketHandler):
    def open(self):
        self.set_nodelay(True)
        if not blocking:
            self.write_message(ticker.newest)
        clients.add(self)

    def on_close(self):
        clients.discard(self)


def broadcast():
    tick = ticker.next()
    for client in clients:
        try:
            client.write_message(tick)
        except (WebSocketClosedError, StreamClosedError):
            pass  # on_close takes it out of the set


async def fetch_and_broadcast():
    while True:
        if clients:
            time.sleep(FETCH_SECONDS)
            broadcast()
        await asyncio.sleep(PAUSE_SECONDS)


async def main():
    listener = listen()
    server = HTTPServer(Application([("/", Prices)]))
    server.add_sockets([listener])
    say_where(listener)
    exit_with_stdin(asyncio.get_running_loop())
    if blocking:
        await fetch_and_broadcast()
    async for _ in beats(interval_from_arguments()):
        broadcast()


asyncio.run(main())
