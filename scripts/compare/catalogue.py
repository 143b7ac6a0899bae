"""The compared servers: how each is set up, started and named."""

import os
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = os.path.join(ROOT, "scripts", "peers")
UWEBSOCKETS_CRATE = os.path.join(PEERS, "uwebsockets", "Cargo.toml")
PEERS_CRATE = os.path.join(ROOT, "benches", "peers", "Cargo.toml")


@dataclass(frozen=True)
class Entry:
    """A server of the comparison."""

    name: str
    title: str
    # How it is set up: "own", "pip", "npm", "cargo" or "cpp".
    kind: str
    # The program: a source in `PEERS`, or a binary.
    program: str
    # The packages whose versions are reported.
    packages: tuple = ()
    arguments: tuple = ()
    # A server that sends prices only as fast as it fetches them is not in faster scenarios.
    slow: bool = False


ENTRIES = (
    Entry("ours", "tickertape", "own", "server"),
    Entry("floor", "floor: bare writes", "own", "floor"),
    Entry("tornado", "Tornado", "pip", "tornado_server.py", ("tornado",)),
    Entry(
        "tornado-blocking",
        "Tornado, 260 ms fetch",
        "pip",
        "tornado_server.py",
        ("tornado",),
        ("blocking",),
        slow=True,
    ),
    Entry(
        "starlette",
        "Starlette, uvicorn",
        "pip",
        "starlette_server.py",
        ("starlette", "uvicorn", "uvloop"),
    ),
    Entry("websockets", "websockets", "pip", "websockets_server.py", ("websockets", "uvloop")),
    Entry("picows", "picows", "pip", "picows_server.py", ("picows", "uvloop")),
    Entry("uwebsockets", "uWebSockets (C++)", "cpp", "uwebsockets_server.cpp"),
    Entry("ws", "ws (Node.js)", "npm", "ws_server.mjs", ("ws",)),
    Entry(
        "tokio-tungstenite",
        "tokio-tungstenite",
        "cargo",
        "tokio-tungstenite",
        ("tokio-tungstenite", "tokio"),
    ),
    Entry(
        "fastwebsockets",
        "fastwebsockets",
        "cargo",
        "fastwebsockets",
        ("fastwebsockets", "hyper", "tokio"),
    ),
)

NAMES = tuple(entry.name for entry in ENTRIES)
