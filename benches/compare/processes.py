"""Processes under measurement: in groups of their own, measured through /proc, always ended."""

import os
import pathlib
import signal
import socket
import subprocess
import time


class Failed(Exception):
    """Something that a case needs went wrong; the message says what."""


class Process:
    """A running program; use it as a context manager, so that it ends in any case."""

    def __init__(self, command, folder, environment=None):
        self.name = pathlib.Path(command[0]).name
        # One file for each start, so that the end of a log belongs to the run that failed.
        self.log = folder / f"{self.name}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                # A group of its own: whatever it starts ends with it, and an interrupt at the
                # terminal reaches the driver first.
                start_new_session=True,
            )
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def require_running(self):
        code = self.process.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-5:]
            raise Failed(f"{self.name} ended with {code}: {' / '.join(lines)}")

    def cpu_s(self):
        """CPU time of all its threads, those that ended as well; in nanoseconds, not in jiffies."""
        # The clock of a process has a number that is made from its id, see clock_getcpuclockid(3).
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory_bytes(self):
        """Resident memory now, and the most that it ever was."""
        fields = {}
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            fields[name] = value
        try:
            return tuple(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        except KeyError:
            self.require_running()
            raise Failed(f"{self.name} has no resident memory") from None

    def stop(self):
        """Asks it to end, then makes it."""
        for number, patience_s in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def free_port():
    """A port that was free just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
