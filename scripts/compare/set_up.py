"""Sets up the compared servers in a scratch folder, in exactly the versions that their files name.

What has been set up before and has not changed since is taken as it is.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass

from catalogue import PEERS, PEERS_CRATE, ROOT, UWEBSOCKETS_CRATE
from processes import Failure, run

# Builds are slow on small machines; the rest is a download.
BUILD_LIMIT_S = 1200
INSTALL_LIMIT_S = 300


@dataclass(frozen=True)
class Ready:
    """A server that can be started."""

    entry: object
    command: tuple
    versions: str
    cwd: str = None
    # After the ticks to send.
    arguments: tuple = ()

    def start_command(self, scenario):
        """The command that makes it send the ticks of a scenario."""
        if self.entry.name == "ours":
            options = ["--interval", f"{scenario.interval_us}us"]
            if scenario.symbols:
                options += ["--symbols", ",".join(map(symbol, range(scenario.symbols)))]
            if scenario.spread:
                options.append("--spread")
            return [*self.command, *options]
        unit = "us" if self.entry.name == "floor" else ""
        orders = [f"{scenario.interval_us}{unit}"]
        if scenario.symbols:
            orders.append(str(scenario.symbols))
        if scenario.spread:
            orders.append("spread")
        return [*self.command, *orders, *self.arguments]


def symbol(number):
    """The name of a symbol where there are many."""
    return f"sim:S{number:04}/USDT"


class SetUp:
    """The scratch folder, and the project's own programs."""

    def __init__(self, scratch, say):
        self._scratch, self._say = scratch, say
        os.makedirs(scratch, exist_ok=True)
        self._own = self._build_own()
        self.client = self._own["client"]
        # The load for watchlists is in the same program as the floor.
        self.loader = self._own["floor"]

    def prepare(self, entry):
        """Sets up one server. A failure says why that is impossible."""
        return getattr(self, f"_prepare_{entry.kind}")(entry)

    def _build_own(self):
        self._say("building the server, the client and the floor")
        out = run(
            ["cargo", "bench", "--locked", "--no-run", "--bench", "floor"]
            + ["--message-format=json-render-diagnostics"],
            BUILD_LIMIT_S,
            cwd=ROOT,
        )
        messages = (json.loads(line) for line in out.splitlines() if line.startswith("{"))
        found = {
            message["target"]["name"]: message["executable"]
            for message in messages
            if message.get("executable")
        }
        missing = {"server", "client", "floor"} - found.keys()
        if missing:
            raise Failure(f"cargo built no {', '.join(sorted(missing))}")
        return found

    def _prepare_own(self, entry):
        program = self._own[entry.program]
        if entry.name == "floor":
            return Ready(entry, (program, "--serve-floor"), "mio, one write per client and tick")
        version = run([program, "--version"], 10).split()[-1]
        options = ("--port", "0", "--source", "sim", "--log", "info")
        return Ready(entry, (program, *options), f"{version}{self._commit()}")

    def _commit(self):
        with contextlib.suppress(Failure):
            return f" ({run(['git', 'describe', '--always', '--dirty'], 10, cwd=ROOT).strip()})"
        return ""

    def _prepare_pip(self, entry):
        folder = os.path.join(self._scratch, "venv")
        python = os.path.join(folder, "bin", "python")
        requirements = os.path.join(PEERS, f"{entry.packages[0]}.txt")
        with open(requirements, encoding="utf-8") as file:
            wanted = file.read()
        if not os.path.exists(python):
            self._say("setting up Python packages")
            self._make_venv(folder)
        stamp = os.path.join(folder, f"{entry.packages[0]}.txt")
        if read(stamp) != wanted:
            self._say(f"installing {entry.packages[0]} from PyPI")
            cache = os.path.join(self._scratch, "pip-cache")
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            options = ["--cache-dir", cache, "--requirement", requirements]
            run([*pip, *options], INSTALL_LIMIT_S)
            write(stamp, wanted)
        versions = dict(re.findall(r"^([\w-]+)==(\S+)$", wanted, re.MULTILINE))
        made_of = [f"{name} {versions[name]}" for name in entry.packages]
        made_of.append(run([python, "--version"], 10).strip())
        command = (python, "-B", os.path.join(PEERS, entry.program))
        return Ready(entry, command, ", ".join(made_of), arguments=entry.arguments)

    def _make_venv(self, folder):
        # A partial one would be taken for a complete one the next time.
        shutil.rmtree(folder, ignore_errors=True)
        try:
            run([sys.executable, "-m", "venv", folder], INSTALL_LIMIT_S)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _prepare_npm(self, entry):
        for tool in ("node", "npm"):
            if not shutil.which(tool):
                raise Failure(f"{tool} is missing")
        folder = os.path.join(self._scratch, "npm")
        os.makedirs(folder, exist_ok=True)
        wanted = read(os.path.join(PEERS, "package-lock.json"))
        stamp = os.path.join(folder, "installed.json")
        if read(stamp) != wanted:
            self._say("installing ws from npm")
            for name in ("package.json", "package-lock.json"):
                shutil.copy(os.path.join(PEERS, name), folder)
            cache = os.path.join(self._scratch, "npm-cache")
            options = ["--no-audit", "--no-fund", "--ignore-scripts", "--cache", cache]
            run(["npm", "ci", *options], INSTALL_LIMIT_S, cwd=folder)
            write(stamp, wanted)
        version = json.loads(wanted)["packages"]["node_modules/ws"]["version"]
        node = run(["node", "--version"], 10).strip()
        command = ("node", os.path.join(PEERS, entry.program))
        return Ready(entry, command, f"ws {version}, Node.js {node}", cwd=folder)

    def _prepare_cpp(self, entry):
        for tool in ("gcc", "g++"):
            if not shutil.which(tool):
                raise Failure(f"{tool} is missing")
        about = ["--locked", "--format-version", "1", "--manifest-path", UWEBSOCKETS_CRATE]
        packages = json.loads(run(["cargo", "metadata", *about], INSTALL_LIMIT_S))["packages"]
        (crate,) = (package for package in packages if package["name"] == "libuwebsockets-sys")
        source = os.path.join(os.path.dirname(crate["manifest_path"]), "uWebSockets")
        folder = os.path.join(self._scratch, "uwebsockets")
        program = os.path.join(folder, "server")
        peer = os.path.join(PEERS, entry.program)
        stamp, wanted = os.path.join(folder, "built.cpp"), read(peer)
        if read(stamp) != wanted:
            self._say("building uWebSockets")
            os.makedirs(folder, exist_ok=True)
            self._build_cpp(source, peer, folder, program)
            write(stamp, wanted)
        compiler = run(["g++", "-dumpfullversion"], 10).strip()
        versions = f"as in {crate['name']} {crate['version']}, g++ {compiler}"
        return Ready(entry, (program,), versions)

    @staticmethod
    def _build_cpp(source, peer, folder, program):
        """Uses the options of its own makefiles, without TLS and compression."""
        sockets = os.path.join(source, "uSockets", "src")
        options = ["-O3", "-flto", "-march=native", "-DLIBUS_NO_SSL", "-DUWS_NO_ZLIB"]
        options += ["-I", sockets, "-I", os.path.join(source, "src")]
        parts = [os.path.join(sockets, name) for name in (".", "eventing", "crypto")]
        c = [path for part in parts for path in glob.glob(os.path.join(part, "*.c"))]
        run(["gcc", "-std=c11", *options, "-c", *c], BUILD_LIMIT_S, cwd=folder)
        objects = glob.glob(os.path.join(folder, "*.o"))
        command = ["g++", "-std=c++20", *options, peer, *objects, "-o", program]
        run(command, BUILD_LIMIT_S, cwd=folder)

    def _prepare_cargo(self, entry):
        target = os.path.join(self._scratch, "cargo")
        self._say(f"building {entry.program}")
        run(
            ["cargo", "build", "--release", "--locked", "--manifest-path", PEERS_CRATE]
            + ["--bin", entry.program, "--target-dir", target],
            BUILD_LIMIT_S,
            cwd=ROOT,
        )
        lock = read(os.path.join(os.path.dirname(PEERS_CRATE), "Cargo.lock"))
        versions = dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', lock))
        made_of = [f"{name} {versions[name]}" for name in entry.packages]
        made_of.append(" ".join(run(["rustc", "--version"], 10).split()[:2]))
        command = (os.path.join(target, "release", entry.program),)
        return Ready(entry, command, ", ".join(made_of))


def read(path):
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        return file.read()
    return None


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
