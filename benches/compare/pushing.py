"""What is pushed: points a second by OTLP, samples a second by remote write, and what they cost."""

import time

from contenders import Avalanche, ledger
from processes import Failed, Process, free_port
from receivers import Collector, Discard, VictoriaMetrics
from scraping import wait_until_it_answers

# Mockingbird ticks no faster.
TICK_S_MIN = 0.001
# Of Mockingbird: small beside a tick, see `saturated`; the queue holds a request and a bit.
OTLP_REQUEST_BYTES = 1 << 20
REMOTE_WRITE_QUEUE_BYTES = 1 << 18
# Series that Mockingbird pushes each tick, and points a second that are more than two cores take.
# VictoriaMetrics keeps an index of series, so there are fewer; the others don't care.
LOADS = {
    ("otel", "discard"): (4_000_000, 40e6),
    ("otel", "Collector"): (4_000_000, 4e6),
    ("remote_write", "discard"): (1_000_000, 40e6),
    ("remote_write", "VictoriaMetrics"): (200_000, 3e6),
}


def case_otlp(run):
    """Points a second into a receiver that discards and into a Collector."""
    found = {}
    for make in (Discard, Collector):
        with make(run.tools, run.folder) as receiver:
            for number in range(run.plan.push_rounds):
                for compression in ("none", "gzip"):
                    for name, push in otlp_turns(run, receiver, compression, number):
                        what = f"{name} to {receiver.name}, compression {compression}"
                        row = found.setdefault(f"{receiver.name}, {compression}", {})
                        row.setdefault(name, []).append(run.attempt(what, push))
    return found


def otlp_turns(run, receiver, compression, number):
    def mockingbird():
        def exporters(tick_s):
            return (
                f"  otel: {{endpoint: 'http://127.0.0.1:{receiver.port}/v1/metrics', prefix: '', "
                f"compression: {compression}, export_interval_s: {tick_s:.6f}, "
                f"max_request_bytes: {OTLP_REQUEST_BYTES}, queue_bytes: {OTLP_REQUEST_BYTES}}}"
            )

        return saturated(run, receiver, "otel", exporters)

    turns = [("Mockingbird", mockingbird)]
    generator = run.tools.telemetrygen
    for protocol, port in receiver.otlp_ports.items():

        def telemetrygen(protocol=protocol, port=port):
            seconds = run.plan.warm_s + run.plan.window_s + 5
            command = generator.command(port, protocol, seconds)
            environment = generator.environment(compression)
            with Process(command, run.folder, environment) as process:
                time.sleep(run.plan.warm_s)
                return window(run, process, receiver, generator.request_points)

        name = generator.name + ("" if protocol == "http" else ", gRPC")
        turns.append((name, telemetrygen))
    return run.turn_order(turns, number)


def case_remote_write(run):
    """Samples a second by remote write 1 into a receiver that discards and VictoriaMetrics."""
    found = {}
    for make in (Discard, VictoriaMetrics):
        with make(run.tools, run.folder) as receiver:
            for number in range(run.plan.write_rounds):
                for name, push in remote_write_turns(run, receiver, number):
                    what = f"{name} by remote write to {receiver.name}"
                    row = found.setdefault(receiver.name, {})
                    row.setdefault(name, []).append(run.attempt(what, push))
    return found


def remote_write_turns(run, receiver, number):
    url = f"http://127.0.0.1:{receiver.port}/api/v1/write"

    def mockingbird():
        def exporters(tick_s):
            return (
                "  otel: {enabled: false}\n"
                f"  remote_write: [{{url: '{url}', version: 1, prefix: '', labels: {{}}, "
                f"interval_s: {tick_s:.6f}, max_samples_per_send: {Avalanche.request_samples}, "
                f"queue_bytes: {REMOTE_WRITE_QUEUE_BYTES}}}]"
            )

        return saturated(run, receiver, "remote_write", exporters)

    turns = [("Mockingbird", mockingbird)]
    avalanche = run.tools.avalanche
    if not avalanche.missing:

        def by_avalanche():
            command = avalanche.remote_writing(free_port(), url)
            with Process(command, run.folder) as process:
                # Its first collection comes with its first tick.
                time.sleep(run.plan.warm_s + 2)
                return window(run, process, receiver, avalanche.request_samples)

        turns.append((avalanche.name, by_avalanche))
    return run.turn_order(turns, number)


def window(run, process, receiver, request_points):
    """What a process that pushes as fast as it can gets rid of."""
    return between(run, process, lambda: (receiver.points(request_points),))[0]


def between(run, process, points):
    """Points a second and what they cost, from two looks at `points`; and the two looks."""
    before, cpu_before, began = points(), process.cpu_s(), time.monotonic()
    time.sleep(run.plan.window_s)
    process.require_running()
    after, cpu_after, ended = points(), process.cpu_s(), time.monotonic()
    arrived = after[0] - before[0]
    if arrived <= 0:
        raise Failed("nothing arrived")
    rates = {
        "points_per_s": arrived / (ended - began),
        "cpu_s_per_million": (cpu_after - cpu_before) / arrived * 1e6,
    }
    return rates, before, after


def saturated(run, receiver, section, exporters):
    """What Mockingbird delivers when it has more than it can get rid of.

    It has a clock and doesn't push as fast as it can by itself, so it is given more than that.
    Whole ticks that come too early are dropped before they are encoded. A queue that is small
    beside a tick keeps what is encoded in vain to a few hundredths.
    """
    plan = run.plan
    series, points_per_s = LOADS[section, receiver.name]
    series //= plan.load_divisor
    tick_s = max(TICK_S_MIN, series / points_per_s)
    for _ in range(4):
        control_port = free_port()
        command = run.tools.mockingbird.pushing(
            series, run.folder, tick_s, exporters(tick_s), control_port
        )
        with Process(command, run.folder) as process:
            wait_until_it_answers(process, control_port, plan.limit_s, "/healthz")

            def points(control_port=control_port):
                # A receiver that counts is believed more than the ledger.
                known = receiver.points(None)
                own = ledger(control_port, section)
                return own["accepted"] if known is None else known, own["dropped"]

            # VictoriaMetrics is slower while it sees series for the first time.
            time.sleep(plan.warm_s + (2 if section == "remote_write" else 0))
            pushed, (_, dropped_before), (_, dropped_after) = between(run, process, points)
        if dropped_after > dropped_before or tick_s == TICK_S_MIN:
            return pushed
        # This machine does more than was thought.
        tick_s = max(TICK_S_MIN, tick_s / 2)
    raise Failed(f"{receiver.name} takes everything, however much it is")
