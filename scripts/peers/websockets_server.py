"""websockets on uvloop: its own `broadcast`, which encodes a message once for everybody."""

import asyncio

import uvloop
from ticks import BACKLOG, Ticker, beats, exit_with_stdin
from ticks import interval_from_arguments, listen, say_where
from websockets.asyncio.server import broadcast, serve

ticker = Ticker()
clients = set()


async def prices(connection):
    await connection.send(ticker.newest)
    clients.add(connection)
    try:
        await connection.wait_closed()
    finally:
        clients.discard(connection)


async def main():
    listener = listen()
    async with serve(prices, sock=listener, backlog=BACKLOG, compression=None):
        say_where(listener)
        exit_with_stdin(asyncio.get_running_loop())
        async for _ in beats(interval_from_arguments()):
            # Bytes are documented to be the faster way to a text frame.
            broadcast(clients, ticker.next().encode(), text=True)


uvloop.run(main())
