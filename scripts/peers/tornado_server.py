"""Tornado in the style of its chat demo: `write_message` to each of a symbol's set of handlers.

With the word `blocking` after the interval it behaves like the Python original: the price comes from
a blocking HTTP request of 260 ms on the loop, which all clients wait for. A client that joins gets
the price that is fetched next.
"""

import asyncio
import sys
import time

from ticks import Market, exit_with_stdin, listen, say_where
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

# The time of the request, and the pause after it: 0.317 s per message were measured in all.
FETCH_SECONDS, PAUSE_SECONDS = 0.26, 0.05

market = Market()
blocking = "blocking" in sys.argv[2:]


class Prices(WebSocketHandler):
    def open(self):
        self.set_nodelay(True)
        newest = market.join(self, self.request.uri)
        for tick in () if blocking else newest:
            self.write_message(tick)

    def on_close(self):
        market.leave(self, self.request.uri)


def broadcast(ticker):
    tick = ticker.next()
    for client in market.watchers(ticker):
        try:
            client.write_message(tick)
        except (WebSocketClosedError, StreamClosedError):
            pass  # on_close removes it from its sets


async def fetch_and_broadcast():
    (ticker,) = market.tickers
    while True:
        if market.watchers(ticker):
            time.sleep(FETCH_SECONDS)
            broadcast(ticker)
        await asyncio.sleep(PAUSE_SECONDS)


async def main():
    listener = listen()
    server = HTTPServer(Application([("/", Prices)]))
    server.add_sockets([listener])
    say_where(listener)
    exit_with_stdin(asyncio.get_running_loop())
    if blocking:
        await fetch_and_broadcast()
    async for tickers in market.due():
        for ticker in tickers:
            broadcast(ticker)


asyncio.run(main())
