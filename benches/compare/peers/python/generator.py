#!/usr/bin/env python3
"""Serves counters and gauges the way Python programs do: with prometheus_client, values by numpy.

Series, values and ticks are those that contenders.py writes into Mockingbird's configuration:
half Poisson counters, half random walks, all of them changed at each tick. Children are looked
up once, draws are made for all series at once; setting them is a loop, since the library has
nothing else. The `_created` series, which the others don't have either, are switched off.
"""

import argparse
import time

import numpy
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    start_http_server,
)

CLUSTERS = 10
DEVICES = 50
MEAN = 10  # of the events that a counter counts per tick
STEP = 0.01  # standard deviation of a gauge's step
LABELS = ["cluster", "host", "device"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="port to serve on")
    parser.add_argument("--hosts", type=int, default=10, help="hosts; a thousand series each")
    parser.add_argument("--interval", type=float, default=1, help="seconds between ticks")
    arguments = parser.parse_args()

    disable_created_metrics()
    registry = CollectorRegistry()
    requests = Counter("bench_requests", "Requests handled.", LABELS, registry=registry)
    load = Gauge("bench_load", "Load of a device.", LABELS, registry=registry)
    lag_max = Gauge(
        "gen_tick_lag_seconds_max", "How late the latest of all ticks began.", registry=registry
    )
    names = [
        (f"cluster-{cluster}", f"host-{host:06}", f"dev{device:02}")
        for cluster in range(CLUSTERS)
        for host in range(arguments.hosts)
        for device in range(DEVICES)
    ]
    counters = [requests.labels(*values) for values in names]
    gauges = [load.labels(*values) for values in names]
    random = numpy.random.default_rng(42)
    walks = numpy.full(len(names), 0.5)

    def tick():
        for counter, events in zip(counters, random.poisson(MEAN, len(counters)).tolist()):
            counter.inc(events)
        walks[:] += random.normal(0, STEP, len(walks))
        # Folds what left 0 to 1 back into it.
        walks[:] = 1 - numpy.abs(1 - numpy.abs(walks))
        for gauge, value in zip(gauges, walks.tolist()):
            gauge.set(value)

    tick()
    start_http_server(arguments.port, addr="127.0.0.1", registry=registry)

    # A late tick runs late and none is left out, as Mockingbird does it.
    longest = 0
    due = (time.time() // arguments.interval + 1) * arguments.interval
    while True:
        time.sleep(max(0, due - time.time()))
        lag = time.time() - due
        if lag > longest:
            longest = lag
            lag_max.set(lag)
        tick()
        due += arguments.interval


if __name__ == "__main__":
    main()
