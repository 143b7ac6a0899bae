"""picows on uvloop: its core API, with the call that avoids copying.

`send_reuse_external_bytearray` writes the frame's header into the room before the message, the same
header for all clients.
"""

import asyncio

import uvloop
from picows import WSListener, WSMsgType, ws_create_server
from ticks import BACKLOG, Market, exit_with_stdin, listen, say_where

# The room that picows needs before a message.
HEADER_ROOM = 14

market = Market()


class Prices(WSListener):
    def __init__(self, request):
        self._url = request.path.decode()

    def on_ws_connected(self, transport):
        for tick in market.join(transport, self._url):
            transport.send(WSMsgType.TEXT, tick.encode())

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport):
        market.leave(transport, self._url)


def broadcast(ticker):
    message = bytearray(HEADER_ROOM) + ticker.next().encode()
    for client in tuple(market.watchers(ticker)):
        client.send_reuse_external_bytearray(WSMsgType.TEXT, message, HEADER_ROOM)


async def main():
    listener = listen()
    server = await ws_create_server(
        Prices, sock=listener, backlog=BACKLOG, read_buffer_init_size=4096
    )
    say_where(listener)
    exit_with_stdin(asyncio.get_running_loop())
    async with server:
        async for tickers in market.due():
            for ticker in tickers:
                broadcast(ticker)


uvloop.run(main())
