"""What is scraped: whether it is the same everywhere, how long it takes, how much there can be."""

import re
import time
import urllib.error

import report
from contenders import Avalanche
from processes import Failed, Process, free_port
from scrape import NotYet, TooSlow, count, get, scrape, scrape_and_drop

ENCODINGS = {"plain": "identity", "gzip": "gzip"}

# ---- are they the same series? -----------------------------------------------------------


def case_same(run):
    """Everybody but avalanche serves the same series of the same types, all of which move."""
    identities = {}
    for contender in run.tools.scraped:
        if isinstance(contender, Avalanche):
            continue
        port = free_port()
        with Process(contender.command(2000, port, run.folder), run.folder) as process:
            wait_until_it_answers(process, port, run.plan.limit_s)
            time.sleep(1)
            first = samples(scrape(port, "identity", 10).body()[0])
            time.sleep(2.1)
            second = samples(scrape(port, "gzip", 10).body()[0])
        moved = sum(second.get(series) != value for series, value in first.items())
        run.say(f"{contender.name}: {len(first)} series, {moved} of them moved")
        # Some counters have nothing to count in a tick; hardly any in two.
        if moved < 0.99 * len(first):
            raise Failed(f"{contender.name}: only {moved} of {len(first)} values moved in 2 s")
        identities[contender.name] = set(first)
    expected = identities["Mockingbird"]
    for name, found in identities.items():
        if found != expected:
            raise Failed(f"{name} serves other series: {sorted(found ^ expected)[:3]}")
    return {"series": len(expected), "contenders": sorted(identities)}


def samples(body):
    """Values by type, name and labels in the order of their names."""
    types, found = {}, {}
    for line in body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        elif line.startswith("bench_"):
            name, labels, value = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line).groups()
            # Python's client names a counter's family without _total.
            kind = types.get(name) or types[name.removesuffix("_total")]
            found[kind, name, tuple(sorted(labels.split(",")))] = float(value)
    return found


# ---- scrapes -----------------------------------------------------------------------------


def case_scrape(run):
    found = {}
    for series, rounds in run.plan.sizes:
        turns = found[str(series)] = {contender.name: [] for contender in run.tools.scraped}
        for number in range(rounds):
            for contender in run.turn_order(run.tools.scraped, number):
                mine = turns[contender.name]
                # Who was too slow once has no further turn.
                if not any("none" in turn for turn in mine):
                    what = f"{contender.name}, {series:,} series, round {number + 1}"
                    mine.append(run.attempt(what, scrape_turn, run, contender, series, number))
    return found


def scrape_turn(run, contender, series, number):
    """Starts a contender, scrapes it, ends it."""
    plan, port = run.plan, free_port()
    with Process(contender.command(series, port, run.folder), run.folder) as process:
        started_s = wait_until_it_answers(process, port, plan.limit_s)
        memory_before, _ = process.memory_bytes()

        # The first scrape is a plain one in one round, a compressed one in the next. Whoever says
        # that its series aren't there yet, or shows only some of them, hasn't started yet.
        first = list(ENCODINGS)[number % 2]
        while True:
            try:
                answer = scrape(port, ENCODINGS[first], plan.limit_s)
                require_series(contender, answer.body()[0], series)
                break
            except NotYet:
                if time.monotonic() > process.started + plan.limit_s:
                    raise
                time.sleep(0.0005)
                started_s = time.monotonic() - process.started
        found = {
            "startup_s": started_s,
            f"first_{first}_s": answer.seconds,
            "first_complete_s": started_s + answer.seconds,
        }

        for kind, encoding in ENCODINGS.items():
            few = answer.seconds > plan.slow_s
            times, cpu_before = [], process.cpu_s()
            for _ in range(1 if few else plan.scrapes):
                # A scrape sees another tick than the one before, at another point between two.
                time.sleep(max(0, 1.1 - (times[-1] if times else answer.seconds)))
                answer = scrape(port, encoding, plan.limit_s)
                times.append(answer.seconds)
            cpu_s = process.cpu_s() - cpu_before
            body, wire_bytes = answer.body()
            require_series(contender, body, series)
            found[f"{kind}_s"] = times
            found[f"{kind}_cpu_s_per_million"] = cpu_s / (len(times) * series / 1e6)
            found[f"{kind}_bytes"] = wire_bytes

        # Who is slow had scrapes without a pause all the time; it tells the longest of all delays.
        slow = answer.seconds > plan.slow_s
        found["lag_s"] = contender.lag_s(body) if slow else longest_lag(plan, contender, port)
        process.require_running()
        memory_after, memory_most = process.memory_bytes()
    found["memory_before"] = memory_before
    found["memory_after"] = memory_after
    found["memory_most"] = memory_most
    return found


def wait_until_it_answers(process, port, limit_s, path="/favicon.ico"):
    """Seconds from the start until it answers anything at all."""
    # Nobody has this page, and everybody says so cheaply; / is a scrape to Python's client.
    while True:
        process.require_running()
        try:
            get(port, path)
        except urllib.error.HTTPError:
            pass
        except OSError:
            if time.monotonic() > process.started + limit_s:
                raise TooSlow from None
            time.sleep(0.0005)
            continue
        return time.monotonic() - process.started


def require_series(contender, body, series):
    found = body.count(b"\n" + contender.series_start)
    if found < series:
        raise NotYet(f"a scrape of {contender.name} holds {found} of {series} series")
    if found > series:
        raise Failed(f"a scrape of {contender.name} holds {found} series, {series} were asked for")


def longest_lag(plan, contender, port):
    """How late a tick began at the latest while scrapes follow each other without a pause."""
    lags, until = [], time.monotonic() + plan.hurry_s
    while not lags or time.monotonic() < until:
        lag = contender.lag_s(scrape(port, "identity", plan.limit_s).body()[0])
        if lag is None:
            return None
        lags.append(lag)
    return max(lags)


# ---- the largest -------------------------------------------------------------------------


def case_capacity(run, scrapes):
    """The most series that are scraped, compressed as Prometheus asks, within the limits."""
    found = {}
    for contender in run.tools.scraped:
        guess = guessed_capacity(run.plan, scrapes, contender)
        what = f"{contender.name}, largest"
        found[contender.name] = run.attempt(what, largest, run, contender, guess)
    return found


def guessed_capacity(plan, scrapes, contender):
    """Where to begin to look, from what a million series took."""
    turns = (scrapes or {}).get("1000000", {}).get(contender.name, [])
    turns = [turn for turn in turns if "none" not in turn]
    if not turns:
        return 1_000_000
    by_time = plan.timeout_s / max(max(turn["gzip_s"]) for turn in turns)
    by_memory = plan.memory_bytes / max(turn["memory_most"] for turn in turns)
    return 1_000_000 * min(by_time, by_memory)


def largest(run, contender, guess):
    """Goes up or down from the guess until one number is served and the next isn't."""
    grid = run.plan.capacity_grid
    at = max([i for i, series in enumerate(grid) if series <= guess], default=0)
    served, stopped_by = None, None
    while 0 <= at < len(grid):
        result = serves(run, contender, grid[at])
        told = result if isinstance(result, str) else report.in_short(result)
        run.say(f"  {contender.name}, {grid[at]:,} series: {told}")
        if isinstance(result, str):
            stopped_by = f"{grid[at]:,}: {result}"
            if served:
                break
            at -= 1
        else:
            served = {"series": grid[at], **result}
            # Coming from above, the next one was too many.
            if stopped_by:
                break
            at += 1
    if not served:
        return {"none": f"< {grid[0]:,}"}
    return {**served, "stopped_by": stopped_by}


def counted(port, contender, limit_s):
    try:
        return count(port, contender.series_start, limit_s)
    except NotYet:
        return 0


def serves(run, contender, series):
    """How it serves so many; or, as a string, why it doesn't."""
    plan, port = run.plan, free_port()
    with Process(contender.command(series, port, run.folder), run.folder) as process:
        try:
            wait_until_it_answers(process, port, plan.limit_s)
            # Not judged by its time: it is looked through here, line by line.
            while (found := counted(port, contender, plan.limit_s)) < series:
                if time.monotonic() > process.started + plan.limit_s:
                    raise Failed(f"a scrape of {contender.name} holds {found} of {series} series")
                time.sleep(0.05)
        except TooSlow:
            return f"not there within {plan.limit_s:.0f} s"
        try:
            times = [scrape_and_drop(port, "gzip", plan.timeout_s) for _ in range(2)]
        except TooSlow:
            return f"> {plan.timeout_s:.0f} s"
        _, memory = process.memory_bytes()
    if memory > plan.memory_bytes:
        return f"{memory / (1 << 30):.1f} GiB"
    return {"gzip_s": times, "memory_most": memory}
