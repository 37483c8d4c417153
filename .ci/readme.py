#!/usr/bin/env python3
"""Runs the README's commands: every line of its ```sh blocks, from the top, in the checkout.

A command must exit 0. One that serves (`--config` without a subcommand) runs until the next
such command or the end of the README, so that `curl` lines after it find it, and must then
stop cleanly at SIGINT. What .ci/run does in a step of its own isn't run again; it is only
looked up there. Afterwards git must see no new or changed file.
"""

import contextlib
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request

# Command in the README -> what .ci/run must contain, word for word.
STEPS = {
    "cargo test": "tests() { cargo test; }",
    "cargo bench": "cargo bench --locked --profile dev --benches -- --smoke",
    "benches/compare/run.sh": "benches/compare/run.sh --smoke",
    "tests/servers/install.sh": "tests/servers/install.sh",
    ".ci/run": "",
}
LIMIT_S = 600


def commands(readme):
    """The commands of all sh blocks, continued lines joined, comments left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            command = shlex.split(line, comments=True)
            if command:
                # As written, for the shell: it has redirections and patterns.
                yield re.sub(r"\s+#\s.*$", "", line).strip()


def is_server(command):
    words = shlex.split(command)
    if words[:2] == ["cargo", "run"] and "--" in words:
        words = ["mockingbird", *words[words.index("--") + 1 :]]
    return words[0] == "mockingbird" and (words[1:2] == ["--config"] or words[1:2] == ["run"])


class Server:
    def __init__(self, command):
        self.command = command
        # A process group of its own: `cargo run` has a child. No shell stays between: the signal
        # would end it as well, and its status would be taken for the program's.
        self.process = subprocess.Popen(f"exec {command}", shell=True, start_new_session=True)
        deadline = time.monotonic() + LIMIT_S
        while True:
            if self.process.poll() is not None:
                raise SystemExit(f"ended with {self.process.returncode}: {command}")
            try:
                with urllib.request.urlopen("http://localhost:8000/metrics", timeout=10) as answer:
                    assert answer.read()
                return
            except OSError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise SystemExit(f"nothing to scrape after {LIMIT_S} s: {command}")
                time.sleep(0.2)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SystemExit(f"still running 10 s after SIGINT: {self.command}")
        # cargo reports the signal it got itself.
        by_cargo = self.command.startswith("cargo ") and code in (-signal.SIGINT, 130)
        if code != 0 and not by_cargo:
            raise SystemExit(f"ended with {code} at SIGINT: {self.command}")

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def git_status():
    return subprocess.check_output(["git", "status", "--porcelain"], text=True)


def main():
    os.chdir(pathlib.Path(__file__).parent.parent)
    steps = pathlib.Path(".ci/run").read_text()
    found = list(commands(pathlib.Path("README.md").read_text()))
    if not found:
        raise SystemExit("the README has no ```sh block")
    before, server = git_status(), None
    try:
        for command in found:
            if command in STEPS:
                if STEPS[command] not in steps:
                    raise SystemExit(f".ci/run doesn't run this: {command}")
                print(f"has a step of its own: {command}", flush=True)
                continue
            print(f"$ {command}", flush=True)
            if is_server(command):
                if server:
                    server.stop()
                server = Server(command)
                continue
            done = subprocess.run(
                command, shell=True, timeout=LIMIT_S, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
            )
            print(f"  exit status {done.returncode}, {len(done.stdout)} bytes", flush=True)
            if done.returncode != 0:
                sys.stdout.buffer.write(done.stdout[-2000:])
                raise SystemExit(f"exit status {done.returncode}: {command}")
        if server:
            server.stop()
            server = None
    finally:
        if server:
            server.kill()
    if git_status() != before:
        raise SystemExit(f"the commands left something behind:\n{git_status()}")
    print(f"README: {len(found)} commands run")


if __name__ == "__main__":
    main()
