"""The generators that are compared: how each is asked for the same series, and what it can't do.

Wherever they can be told so: half counters with Poisson increments, half gauges that walk at
random, three labels, every value another one at each tick, a tick a second.
"""

import json
import re
import subprocess

from processes import Failed
from scrape import get

SERIES_PER_HOST = 1000  # 10 clusters × 50 devices × a counter and a gauge


class Contender:
    """A generator that can be scraped."""

    name = ""
    # What the lines of its series begin with; whatever else it serves about itself isn't counted.
    series_start = b"bench_"
    # Why there is nothing to measure; None if there is.
    missing = None

    def __init__(self, program, version):
        self.program = program
        self.version = version

    def command(self, series, port, folder):
        """The command line that serves so many series on a port of 127.0.0.1."""
        raise NotImplementedError

    def lag_s(self, body):
        """How late a tick began at the latest, as far as this body tells; None if it doesn't."""
        return tick_lag(body, b"gen_tick_lag_seconds_max")


class Mockingbird(Contender):
    name = "Mockingbird"

    def command(self, series, port, folder):
        return self.configured(series, folder, port=port)

    def configured(self, series, folder, port=None, tick_s=1, exporters="", control_port=0):
        """Its command line; without a port it isn't scraped."""
        scraped = (
            f'{{port: {port}, bind_address: 127.0.0.1, prefix: ""}}' if port else "{enabled: false}"
        )
        path = folder / "mockingbird.yaml"
        path.write_text(
            f"global: {{tick_interval_s: {tick_s:.6f}, control_api_port: {control_port}, "
            "max_series: 1000000000}\n"
            "exporters:\n"
            f"  prometheus: {scraped}\n"
            f"{exporters or '  otel: {enabled: false}'}\n"
            "profiles:\n"
            "  bench:\n"
            "    labels:\n"
            '      cluster: {range: [0, 9], fmt: "cluster-%d"}\n'
            f'      host: {{range: [0, {series // SERIES_PER_HOST - 1}], fmt: "host-%06d"}}\n'
            '      device: {range: [0, 49], fmt: "dev%02d"}\n'
            "metrics:\n"
            "  - {name: bench_requests_total, type: counter, algorithm: poisson, base_rate: "
            f"{10 / tick_s:.6f}, profile: bench, description: Requests handled.}}\n"
            "  - {name: bench_load, type: gauge, algorithm: random_walk, start: 0.5, step: 0.01, "
            "clamp: [0, 1], profile: bench, description: Load of a device.}\n"
        )
        return [self.program, "--config", path]

    def pushing(self, series, folder, tick_s, exporters, control_port):
        """Its command line for pushing each tick."""
        return self.configured(
            series, folder, tick_s=tick_s, exporters=exporters, control_port=control_port
        )

    def lag_s(self, body):
        # Of one tick: the one that the body shows.
        return tick_lag(body, b"gen_tick_lag_seconds")


class Avalanche(Contender):
    """It names metrics and labels itself, and draws whole numbers below 100 for all of them."""

    name = "avalanche"
    series_start = b"avalanche_"

    def command(self, series, port, folder):
        return [*self.flags(series), f"--port={port}"]

    def flags(self, series):
        # Beside a label of its own choice it always has series_id and cycle_id: three in all.
        return [
            self.program,
            "--gauge-metric-count=1",
            "--counter-metric-count=1",
            f"--series-count={series // 2}",
            "--label-count=1",
            "--value-interval=1",
            "--series-interval=0",
            "--metric-interval=0",
            "--series-change-interval=0",
        ]

    # It collects all series anew when their values change, each second, and the more there are,
    # the less time is left to send them. Of 20,000 to 200,000 series, 2,000 and 10,000 samples a
    # request and 2 and 20 requests at a time these were the fastest. All requests are full.
    remote_write_series = 20_000
    request_samples = 10_000

    def remote_writing(self, port, url):
        """As much as it can: a pass over all series begins when the one before is through."""
        return [
            *self.flags(self.remote_write_series),
            f"--remote-batch-size={self.request_samples}",
            "--remote-concurrency-limit=20",
            f"--port={port}",
            f"--remote-url={url}",
            "--remote-requests-count=-1",
            "--remote-write-interval=1ms",
            # Without it, a third of its samples would be a minute old.
            "--no-remote-out-of-order",
        ]

    def lag_s(self, body):
        return None


class ClientGolang(Contender):
    name = "client_golang"

    def command(self, series, port, folder):
        return [self.program, "-listen", f"127.0.0.1:{port}", "-hosts", series // SERIES_PER_HOST]


class PrometheusClient(Contender):
    name = "prometheus_client"

    def command(self, series, port, folder):
        return [*self.program, "--port", port, "--hosts", series // SERIES_PER_HOST]


class Telemetrygen:
    """Pushes OTLP as fast as it can: the same series again and again, with three labels."""

    name = "telemetrygen"
    missing = None
    # Two workers with a thousand points a request were the fastest of 1 to 4 and 100 to 10,000.
    request_points = 1000
    workers = 2

    def __init__(self, program, version):
        self.program = program
        self.version = version

    def command(self, port, protocol, seconds):
        labels = {"cluster": "cluster-1", "host": "host-000001", "device": "dev01"}
        return [
            self.program,
            "metrics",
            *(["--otlp-http"] if protocol == "http" else []),
            "--otlp-insecure",
            f"--otlp-endpoint=127.0.0.1:{port}",
            "--rate=0",
            "--metric-type=Sum",
            f"--workers={self.workers}",
            f"--batch-size={self.request_points}",
            f"--duration={seconds:.0f}s",
            *(f'--telemetry-attributes={name}="{value}"' for name, value in labels.items()),
        ]

    @staticmethod
    def environment(compression):
        # It has no flag for this; the SDK that it is made of reads the standard variable.
        return {"OTEL_EXPORTER_OTLP_COMPRESSION": compression}


def tick_lag(body, name):
    # Everybody writes what is about themselves behind the series.
    found = re.search(rb"^" + name + rb" (\S+)$", body[-65536:], re.MULTILINE)
    if not found:
        raise Failed(f"a scrape shows no {name.decode()}")
    return float(found[1])


def ledger(control_port, section):
    """What Mockingbird says became of the points it had to push."""
    exporters = json.loads(get(control_port, "/status"))["exporters"]
    return exporters["otel"] if section == "otel" else exporters["remote_write"][0]


def output_of(*command):
    """What a program prints, trimmed; for versions."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise Failed(str(error)) from None
    return (done.stdout + done.stderr).strip()
