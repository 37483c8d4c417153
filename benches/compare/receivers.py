"""What is pushed to: a receiver that discards, the OpenTelemetry Collector, VictoriaMetrics.

Each says, asked from outside, how many points it took; so the generators' own word isn't needed.
"""

import re
import time

from processes import Failed, Process, free_port
from scrape import get


class Receiver:
    """A server; use it as a context manager."""

    name = ""
    # Where its own counters are, and what they are called.
    counters_port = 0
    counters = ""

    def start(self, command, folder):
        self.process = Process(command, folder)
        deadline = time.monotonic() + 60
        while True:
            self.process.require_running()
            try:
                get(self.counters_port, "/metrics")
                return
            except OSError:
                if time.monotonic() > deadline:
                    self.process.stop()
                    raise Failed(f"{self.name} doesn't answer") from None
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def count(self):
        """The sum of its counters; those that it never needed are zero."""
        page = get(self.counters_port, "/metrics")
        found = re.findall(rf"^{self.counters}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE)
        return sum(float(value) for value in found)

    def points(self, request_points):
        """Points it took so far, `request_points` in each request; None if it can't know."""
        return self.count()


class Discard(Receiver):
    """Ours, in peers/go/discard. It counts requests, and looks at nothing within them."""

    name = "discard"
    counters = "discard_requests_total"

    def __init__(self, tools, folder):
        self.port = self.counters_port = free_port()
        self.otlp_ports = {"http": self.port}
        self.start([tools.peers / "discard", "-listen", f"127.0.0.1:{self.port}"], folder)

    def points(self, request_points):
        return self.count() * request_points if request_points else None


class Collector(Receiver):
    """The OpenTelemetry Collector, which decodes what it gets and passes it on to nobody."""

    name = "Collector"
    counters = "otelcol_receiver_accepted_metric_points"

    def __init__(self, tools, folder):
        self.port, grpc_port, self.counters_port = free_port(), free_port(), free_port()
        self.otlp_ports = {"http": self.port, "grpc": grpc_port}
        path = folder / "otelcol.yaml"
        path.write_text(
            "receivers:\n  otlp:\n    protocols:\n"
            f"      http: {{endpoint: '127.0.0.1:{self.port}'}}\n"
            f"      grpc: {{endpoint: '127.0.0.1:{grpc_port}'}}\n"
            "exporters: {nop: }\n"
            "service:\n"
            "  telemetry:\n"
            "    logs: {level: warn}\n"
            "    metrics: {readers: [{pull: {exporter: {prometheus: "
            f"{{host: 127.0.0.1, port: {self.counters_port}}}}}}}}}]}}\n"
            "  pipelines: {metrics: {receivers: [otlp], exporters: [nop]}}\n"
        )
        self.start([tools.servers / "otelcol", "--config", path], folder)


class VictoriaMetrics(Receiver):
    """A single node, which stores what it gets."""

    name = "VictoriaMetrics"
    counters = 'vm_rows_inserted_total\\{type="promremotewrite"\\}'

    def __init__(self, tools, folder):
        self.port = self.counters_port = free_port()
        command = [
            tools.servers / "victoria-metrics",
            f"-storageDataPath={folder / 'victoria-metrics'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-loggerLevel=WARN",
        ]
        self.start(command, folder)
