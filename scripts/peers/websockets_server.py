"""websockets on uvloop: its own `broadcast`, which encodes a message once for all clients.

Each symbol has its set of connections to broadcast to.
"""

import asyncio

import uvloop
from ticks import BACKLOG, Market, exit_with_stdin, listen, say_where
from websockets.asyncio.server import broadcast, serve

market = Market()


async def prices(connection):
    url = connection.request.path
    try:
        for tick in market.join(connection, url):
            await connection.send(tick)
        await connection.wait_closed()
    finally:
        market.leave(connection, url)


async def main():
    listener = listen()
    async with serve(prices, sock=listener, backlog=BACKLOG, compression=None):
        say_where(listener)
        exit_with_stdin(asyncio.get_running_loop())
        async for tickers in market.due():
            for ticker in tickers:
                # According to its documentation, text frames are faster from bytes.
                broadcast(market.watchers(ticker), ticker.next().encode(), text=True)


uvloop.run(main())
