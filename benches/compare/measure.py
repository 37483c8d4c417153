#!/usr/bin/env python3
"""Measures Mockingbird beside its peers, from outside, and writes down what it saw.

run.sh builds what this needs and calls it. README.md says how each number is taken and why so.
"""

import argparse
import dataclasses
import datetime
import os
import pathlib
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
import zlib

import report
from contenders import (
    Avalanche,
    ClientGolang,
    Mockingbird,
    PrometheusClient,
    Telemetrygen,
    output_of,
)
from processes import Failed
from pushing import case_otlp, case_remote_write
from scrape import TooSlow
from scraping import case_capacity, case_same, case_scrape


@dataclasses.dataclass
class Plan:
    """How much is measured. The defaults are the full measurement, about twenty minutes."""

    # Series, and rounds in which everybody has a turn.
    sizes: tuple = ((10_000, 3), (100_000, 3), (1_000_000, 2))
    # Timed scrapes of each encoding in a turn; of one that takes long only one.
    scrapes: int = 3
    slow_s: float = 2
    # Beyond this a scrape, or a start, is given up.
    limit_s: float = 120
    # How long scrapes follow each other without a pause while the delay of ticks is watched.
    hurry_s: float = 3
    # Pushes: turns of everybody, seconds before and while they are counted.
    push_rounds: int = 2
    # Remote write has the smallest differences.
    write_rounds: int = 4
    warm_s: float = 1.5
    window_s: float = 6
    # By what the numbers of series that are pushed are divided.
    load_divisor: int = 1
    # What one scrape may take where the largest number is looked for, and in how much memory.
    timeout_s: float = 10
    memory_bytes: int = 4 << 30
    # Numbers to try, each a quarter more than the one before.
    capacity_grid: tuple = tuple(
        factor * decade
        for decade in (1_000, 10_000, 100_000, 1_000_000)
        for factor in (100, 125, 160, 200, 250, 320, 400, 500, 640, 800)
        if factor * decade <= 200_000_000
    )


SMOKE = Plan(
    sizes=((1_000, 1), (10_000, 1)),
    scrapes=1,
    limit_s=30,
    hurry_s=1,
    push_rounds=1,
    write_rounds=1,
    warm_s=1,
    window_s=1,
    load_divisor=20,
    capacity_grid=(10_000, 20_000),
)


class Run:
    """What all cases need: the contenders, a scratch folder, the plan; and what went wrong."""

    def __init__(self, plan, tools, folder):
        self.plan = plan
        self.tools = tools
        self.folder = folder
        self.failures = []

    def say(self, text):
        print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)

    def attempt(self, what, body, *arguments):
        """The result of `body`; or why there is none, for the cell. Only a failure is an error."""
        try:
            result = body(*arguments)
        except TooSlow:
            result = {"none": f"> {self.plan.limit_s:.0f} s"}
        except (Failed, OSError, zlib.error) as error:
            self.failures.append(f"{what}: {error}")
            result = {"none": "failed"}
        self.say(f"{what}: {report.in_short(result)}")
        return result

    @staticmethod
    def turn_order(contenders, number):
        """Each round begins with another one, so that nobody always follows the same neighbour."""
        at = number % len(contenders)
        return contenders[at:] + contenders[:at]


class Tools:
    """The programs: what run.sh built or found, and what they say they are."""

    def __init__(self, arguments):
        self.peers = arguments.peers
        self.servers = arguments.servers

        def stamp(folder, name):
            return (folder / f"{name}.stamp").read_text().strip()

        mockingbird = arguments.mockingbird
        version = output_of(mockingbird, "--version").removeprefix("mockingbird ")
        if arguments.commit:
            version += f", {arguments.commit}"
        self.mockingbird = Mockingbird(mockingbird, version)
        built = self.peers / "avalanche"
        if built.exists():
            self.avalanche = Avalanche(built, stamp(self.peers, "avalanche"))
        else:
            found = shutil.which("avalanche")
            self.avalanche = Avalanche(found, found and version_of_avalanche(found))
            self.avalanche.missing = None if found else "not available"
        python = [self.peers / "python/bin/python"]
        self.telemetrygen = Telemetrygen(
            self.peers / "telemetrygen", stamp(self.peers, "telemetrygen")
        )
        self.all_scraped = [
            self.mockingbird,
            self.avalanche,
            ClientGolang(self.peers / "generator", stamp(self.peers, "generator")),
            PrometheusClient(
                [*python, HERE / "peers/python/generator.py"], stamp(self.peers, "python")
            ),
        ]
        self.scraped = [contender for contender in self.all_scraped if not contender.missing]
        self.versions = {
            **{c.name: c.missing or c.version for c in [*self.all_scraped, self.telemetrygen]},
            "Collector": stamp(self.servers, "otelcol"),
            "VictoriaMetrics": stamp(self.servers, "victoria-metrics"),
        }


def version_of_avalanche(program):
    words = output_of(program, "--version").split()
    return words[words.index("version") + 1] if "version" in words else "of unknown version"


def machine():
    """What it runs on, without its name."""
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)
    return {
        "cpu": cpu[1].strip() if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / (1 << 20)),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mockingbird", type=pathlib.Path, required=True, help="the program")
    parser.add_argument("--commit", help="what it was built from, if that is known")
    parser.add_argument("--peers", type=pathlib.Path, required=True, help="folder of the peers")
    parser.add_argument("--servers", type=pathlib.Path, required=True, help="folder of the servers")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument("--cases", default=",".join(CASES), help="some of: %(default)s")
    parser.add_argument("--smoke", action="store_true", help="only that everything runs")
    arguments = parser.parse_args()
    cases = arguments.cases.split(",")
    unknown = sorted(set(cases) - set(CASES))
    if unknown:
        parser.error(f"no case is called {unknown[0]}; there are {', '.join(CASES)}")
    # Whoever ends it ends everything that it started: both are exceptions. (A shell lets what it
    # runs in the background ignore interrupts, so that one is set, too.)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))

    began = time.monotonic()
    tools = Tools(arguments)
    with tempfile.TemporaryDirectory(prefix="mockingbird-compare.") as folder:
        run = Run(SMOKE if arguments.smoke else Plan(), tools, pathlib.Path(folder))
        found = {
            "date": datetime.date.today().isoformat(),
            "smoke": arguments.smoke,
            "cases": [name for name in CASES if name in cases],
            "all_cases": set(cases) == set(CASES),
            "machine": machine(),
            "versions": tools.versions,
            "load_before": os.getloadavg()[0],
            "plan": dataclasses.asdict(run.plan),
        }
        if found["load_before"] > 0.5:
            # The numbers stay fair, since everybody has turns, but they will be worse.
            run.say(f"other work is going on here: the load is {found['load_before']:.1f}")
        for name, body in CASES.items():
            if name in cases:
                run.say(f"==== {name}")
                try:
                    found[name] = body(run, found)
                except Failed as error:
                    # Other series are nothing to compare; else what was measured is kept.
                    if name == "same":
                        raise
                    run.failures.append(f"{name}: {error}")
        found["seconds"] = time.monotonic() - began
    paths = report.write(found, arguments.out)
    run.say("written: " + ", ".join(str(path) for path in paths))
    for line in report.where_a_peer_is_better(found):
        run.say(f"a peer is better: {line}")
    for failure in run.failures:
        run.say(f"FAILED: {failure}")
    return 1 if run.failures else 0


HERE = pathlib.Path(__file__).resolve().parent
CASES = {
    "same": lambda run, _: case_same(run),
    "scrape": lambda run, _: case_scrape(run),
    "otlp": lambda run, _: case_otlp(run),
    "remote_write": lambda run, _: case_remote_write(run),
    "capacity": lambda run, found: case_capacity(run, found.get("scrape")),
}

if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, TooSlow) as error:
        sys.exit(f"compare: {str(error) or 'an answer took too long'}")
