"""The processes of a comparison: their cores, their start, and their certain end.

Every process has its own process group, and every wait has a time limit. No process outlives this
one: `stop_all` is called in any case, and on Linux the system ends the rest if this process is
killed.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import time

START_LIMIT_S = 20
STOP_LIMIT_S = 5
# Time for joining, closing and delays.
CLIENT_LIMIT_S = 45


class Failure(Exception):
    """Something could not be done; the message is one line."""


class NotStarted(Failure):
    """A server did not start."""


class Interrupted(BaseException):
    """A signal asks to stop. It must not be caught by `except Exception`."""


def raise_on_signals():
    """Turns signals that ask to stop into an exception, so that all processes are stopped."""

    def interrupt(number, _):
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(again, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


class Cores:
    """A core for the server and one for the client: the first and the last of those allowed, as
    neighbours may be two threads of one."""

    def __init__(self):
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._taskset = shutil.which("taskset")
        pinned = self._taskset and len(cores) > 1
        self._server, self._client = (cores[0], cores[-1]) if pinned else (None, None)

    @property
    def are_pinned(self):
        """Whether server and client have separate cores."""
        return self._server is not None

    def server(self, command):
        return self._pinned(command, self._server)

    def client(self, command):
        return self._pinned(command, self._client)

    def _pinned(self, command, core):
        # taskset replaces itself by the program, so the child is the program itself.
        return command if core is None else [self._taskset, "-c", str(core), *command]

    def __str__(self):
        if self._server is None:
            return "nothing pinned (that takes two cores and taskset)"
        return f"servers pinned to core {self._server}, client to core {self._client}"


def die_with_parent():
    """Runs in the child: makes the system kill it when its parent is gone."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def load_libc():
    with contextlib.suppress(OSError):
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "prctl") else None


LIBC = load_libc()
PR_SET_PDEATHSIG = 1

running = set()


def spawn(command, **streams):
    """Starts a process that `stop_all` will stop."""
    try:
        process = subprocess.Popen(
            command, start_new_session=True, preexec_fn=die_with_parent, **streams
        )
    except OSError as error:
        raise Failure(f"cannot start {command[0]}: {error.strerror}") from error
    running.add(process)
    return process


def kill(process):
    """Ends a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()
    running.discard(process)


def stop_all():
    for process in tuple(running):
        kill(process)


def run(command, limit_s, **options):
    """Runs a program to its end. Returns its stdout; a failure quotes the end of its stderr."""
    process = spawn(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        **options,
    )
    try:
        out, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise Failure(f"{os.path.basename(command[0])} took longer than {limit_s} s") from None
    finally:
        kill(process)
    if process.returncode != 0:
        raise Failure(f"{os.path.basename(command[0])}: {reason(errors or out)}")
    return out


# `error: …`, `error[E0425]: …`, `ReferenceError: …`, `npm error …`, but not warnings that quote one.
ERROR = re.compile(r"^\w*error(\[\w+\])?:|^npm err", re.IGNORECASE)


def reason(text):
    """The line of an output that best explains the failure."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if ERROR.search(line)]
    # The first error causes the others; without any, the last line is the best guess.
    told = errors[:1] or lines[-1:] or ["it failed without a word"]
    return told[0][:160]


class Server:
    """A server that listens until `stop` is called."""

    def __init__(self, command, log, cwd=None):
        self._log = log
        with open(log, "wb") as errors:
            self._process = spawn(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=cwd,
            )
        try:
            self.address = self._wait_for_address()
        except BaseException:
            kill(self._process)
            raise

    @property
    def pid(self):
        return self._process.pid

    def threads(self):
        with contextlib.suppress(OSError):
            return len(os.listdir(f"/proc/{self.pid}/task"))
        return 1

    def is_gone(self):
        return self._process.poll() is not None

    def last_words(self):
        with open(self._log, encoding="utf-8", errors="replace") as log:
            return reason(log.read())

    def stop(self):
        """Asks it to stop, and kills it if it does not."""
        self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_LIMIT_S)
        kill(self._process)

    def _wait_for_address(self):
        give_up = time.monotonic() + START_LIMIT_S
        while time.monotonic() < give_up:
            with open(self._log, encoding="utf-8", errors="replace") as log:
                for line in log:
                    _, found, address = line.partition("listening on ")
                    if found and line.endswith("\n"):
                        return address.strip()
            if self.is_gone():
                raise NotStarted(f"it ended at once: {self.last_words()}")
            time.sleep(0.01)
        raise NotStarted(f"it does not listen after {START_LIMIT_S} s: {self.last_words()}")


def run_client(command, limit_s):
    """Runs the load client and returns its report. Who takes too long is asked for what there is:
    its status says no more than its report."""
    process = spawn(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for limit in (limit_s + CLIENT_LIMIT_S, STOP_LIMIT_S):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=limit)
            process.send_signal(signal.SIGINT)
        raise Failure("the client did not end")
    finally:
        kill(process)
