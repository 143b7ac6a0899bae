"""picows on uvloop: its core API, with the call that copies nothing.

`send_reuse_external_bytearray` writes the frame's header into the room left before the message, the
same header for everybody.
"""

import asyncio

import uvloop
from picows import WSListener, WSMsgType, ws_create_server
from ticks import BACKLOG, Ticker, beats, exit_with_stdin
from ticks import interval_from_arguments, listen, say_where

# What picows wants before a message.
HEADER_ROOM = 14

ticker = Ticker()
clients = set()


class Prices(WSListener):
    def on_ws_connected(self, transport):
        transport.send(WSMsgType.TEXT, ticker.newest.encode())
        clients.add(transport)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport):
        clients.discard(transport)


def broadcast():
    message = bytearray(HEADER_ROOM) + ticker.next().encode()
    for client in tuple(clients):
        client.send_reuse_external_bytearray(WSMsgType.TEXT, message, HEADER_ROOM)


async def main():
    listener = listen()
    server = await ws_create_server(
        lambda request: Prices(), sock=listener, backlog=BACKLOG, read_buffer_init_size=4096
    )
    say_where(listener)
    exit_with_stdin(asyncio.get_running_loop())
    async with server:
        async for _ in beats(interval_from_arguments()):
            broadcast()


uvloop.run(main())
