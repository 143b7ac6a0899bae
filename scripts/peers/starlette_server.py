"""Starlette with uvicorn on uvloop: `send_text` to each of a set of WebSockets, one per symbol.

uvicorn's WebSocket implementation is `websockets-sansio`, the fastest that it has.
"""

import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect
from ticks import BACKLOG, Market, exit_with_stdin, listen, say_where

market = Market()


async def prices(websocket):
    await websocket.accept()
    url = str(websocket.url)
    try:
        for tick in market.join(websocket, url):
            await websocket.send_text(tick)
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        market.leave(websocket, url)


async def broadcast(ticker):
    tick, watchers = ticker.next(), market.watchers(ticker)
    for client in tuple(watchers):
        try:
            await client.send_text(tick)
        except (WebSocketDisconnect, RuntimeError):
            watchers.discard(client)  # it has left meanwhile


async def broadcast_forever():
    async for tickers in market.due():
        for ticker in tickers:
            await broadcast(ticker)


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
