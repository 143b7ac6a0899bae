"""Starlette with uvicorn on uvloop: `send_text` to each of a set of WebSockets.

uvicorn's WebSocket implementation is `websockets-sansio`, the faster of those that it has.
"""

import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect
from ticks import BACKLOG, Ticker, beats, exit_with_stdin
from ticks import interval_from_arguments, listen, say_where

ticker = Ticker()
clients = set()


async def prices(websocket):
    await websocket.accept()
    await websocket.send_text(ticker.newest)
    clients.add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        clients.discard(websocket)


async def broadcast_forever():
    async for _ in beats(interval_from_arguments()):
        tick = ticker.next()
        for client in tuple(clients):
            try:
                await client.send_text(tick)
            except (WebSocketDisconnect, RuntimeError):
                clients.discard(client)  # it has gone meanwhile


async def main():
    listener = listen()
    config = uvicorn.Config(
        Starlette(routes=[WebSocketRoute("/", prices)]),
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level="warning",
        lifespan="off",
        backlog=BACKLOG,
    )
    say_where(listener)
    exit_with_stdin(asyncio.get_running_loop())
    broadcasting = asyncio.create_task(broadcast_forever())
    await uvicorn.Server(config).serve(sockets=[listener])
    broadcasting.cancel()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
