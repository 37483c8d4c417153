#!/usr/bin/env python3
"""The official Python parsers read what Mockingbird writes.

    parsers.py --mockingbird PROGRAM --twin PROGRAM CONFIG...

For every configuration and tick, `mockingbird dump` writes text 0.0.4 and OpenMetrics 1.0,
prometheus_client's two parsers read them, and every sample is compared, to the last bit, with
the slow twin: a program called as `PROGRAM CONFIG TICK` that prints a JSON object a line,

    {"name": "x_bucket", "labels": {"le": "0.1"}, "bits": "3ff0000000000000"}

for each sample of the text format; with `"exemplar": {"labels": {}, "bits": "", "ms": 5000}`
where OpenMetrics has one. OpenMetrics may have a `_created` sample besides for every
series that is not a gauge. The families' types and help texts must be the same in both.

Of a file that `mockingbird backfill` writes, the strict parser takes several ticks of every counter
and gauge: each series in one place, its times in order.

Before that the judge itself is given wrong bodies and must complain of each.
Exit status 1 if anything differed.
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import io
import json
import multiprocessing
import re
import struct
import subprocess
import sys
import tempfile
import time
from array import array

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text

PARSERS = {
    "text": text.text_fd_to_metric_families,
    "openmetrics": openmetrics.text_fd_to_metric_families,
}
TICKS = [1, 10]
# Python reads some 30,000 samples a second: larger bodies are read at the last tick only.
SAMPLES_LARGE = 500_000
COMPLAINTS_MAX = 5


class Wrong(Exception):
    """What a body has against the twin."""


def key(name, labels):
    return name + json.dumps(sorted(labels.items()))


class Twin:
    """The expected samples; key -> place in `bits`, and for each place its bits."""

    def __init__(self, lines):
        self.places = {}
        self.bits = array("Q")
        # By place: labels, bits of the value, milliseconds.
        self.exemplars = {}
        for line in lines:
            sample = json.loads(line)
            self.places[key(sample["name"], sample["labels"])] = len(self.bits)
            if exemplar := sample.get("exemplar"):
                told = (exemplar["labels"], int(exemplar["bits"], 16), exemplar["ms"])
                self.exemplars[len(self.bits)] = told
            self.bits.append(int(sample["bits"], 16))
        if len(self.places) != len(self.bits):
            raise Wrong("the twin repeats a sample")
        if not self.places:
            raise Wrong("the twin has no samples")


def bits_of(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def judge(twin, protocol, body, epoch=0, has_created=True):
    """Compares a body, an iterable of lines, with the twin. Returns its families, name ->
    (type, help). Raises Wrong with the first differences, or the parser's ValueError."""
    lines = 0

    def counted():
        nonlocal lines
        for line in body:
            lines += not line.startswith("#")
            yield line

    complaints, families, read = [], {}, 0
    seen = bytearray(len(twin.bits))
    # OpenMetrics only: the label sets with a _created sample, and those that should have one.
    created, with_created = set(), set()
    for family in PARSERS[protocol](counted()):
        if family.name in families:
            complaints.append(f"family {family.name} twice")
        families[family.name] = (family.type, family.documentation)
        read += len(family.samples)
        for sample in family.samples:
            if sample.timestamp is not None:
                complaints.append(f"{sample}: has a time")
            if protocol == "openmetrics" and family.type != "gauge":
                labels = sample.labels.items()
                owner = key(family.name, dict(i for i in labels if i[0] not in ("le", "quantile")))
                if sample.name == family.name + "_created":
                    created.add(owner)
                    if sample.value != epoch:
                        complaints.append(f"{sample}: created at another time than {epoch}")
                    continue
                with_created.add(owner)
            place = twin.places.get(key(sample.name, sample.labels))
            if place is None:
                complaints.append(f"{sample}: not in the twin")
            elif seen[place]:
                complaints.append(f"{sample}: twice")
            else:
                seen[place] = 1
                bits = bits_of(sample.value)
                expected = twin.bits[place]
                if bits != expected and not (sample.value != sample.value and is_nan(expected)):
                    complaints.append(f"{sample}: bits {bits:016x}, the twin's {expected:016x}")
                expected = twin.exemplars.get(place) if protocol == "openmetrics" else None
                if exemplar_of(sample) != expected:
                    complaints.append(f"{sample}: its exemplar should be {expected}")
        if len(complaints) > COMPLAINTS_MAX:
            break
    else:
        # The parsers drop some repetitions without a word.
        if read != lines:
            complaints.append(f"{lines} lines of samples, {read} samples read from them")
        if created != (with_created if has_created else set()):
            complaints.append(f"{len(with_created)} series, {len(created)} _created samples")
        missing = (k for k, place in twin.places.items() if not seen[place])
        complaints.extend(f"{k}: missing" for k, _ in zip(missing, range(COMPLAINTS_MAX)))
    if complaints:
        raise Wrong("\n  ".join(complaints[:COMPLAINTS_MAX]))
    return families


def exemplar_of(sample):
    """Labels, bits of the value and milliseconds of a sample's exemplar."""
    exemplar = sample.exemplar
    if exemplar is None:
        return None
    ms = round(float(exemplar.timestamp) * 1000)
    return exemplar.labels, bits_of(exemplar.value), ms


def is_nan(bits):
    return (bits & 0x7FFF_FFFF_FFFF_FFFF) > 0x7FF0_0000_0000_0000


# ---- programs ------------------------------------------------------------------------------


@contextlib.contextmanager
def output_of(command):
    """The lines that a command prints; raises Wrong if it fails. Whoever stops reading early
    has something more interesting to say."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        # A carriage return is a character of a label like any other.
        yield io.TextIOWrapper(child.stdout, encoding="utf-8", newline="\n")
        child.stdout.close()
        if child.wait() != 0:
            raise Wrong(f"{command}: exit status {child.returncode}")


# Set before the readers are forked, so that they share it.
twin_shared = None


def read_body(mockingbird, config, tick, protocol):
    """Judges one body; for a process of its own. Returns its families and a complaint."""
    # Every file has the last tick; OpenMetrics tells there when series began, else not.
    has_created = tick == TICKS[-1]
    try:
        with asking_for_created(config, has_created) as asking:
            command = [mockingbird, "dump", "--config", asking]
            command += ["--tick", str(tick), "--format", protocol]
            with output_of(command) as body:
                return judge(twin_shared, protocol, body, epoch_s(config), has_created), None
    except (Wrong, ValueError) as wrong:
        return None, f"{config} tick {tick} as {protocol}: {type(wrong).__name__}: {wrong}"


def check(arguments, config, tick):
    """Both formats of one tick. Returns complaints."""
    global twin_shared
    began = time.monotonic()
    with output_of([arguments.twin, config, str(tick)]) as lines:
        twin_shared = Twin(lines)
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(len(PARSERS), context) as readers:
        answers = [
            readers.submit(read_body, arguments.mockingbird, config, tick, protocol)
            for protocol in PARSERS
        ]
        (families, others), complaints = zip(*(answer.result() for answer in answers))
    complaints = [complaint for complaint in complaints if complaint]
    if not complaints and families != others:
        differ = sorted(set(families.items()) ^ set(others.items()))
        complaints.append(f"{config} tick {tick}: types or help texts differ: {differ}")
    seconds = time.monotonic() - began
    print(f"{config} tick {tick}: {len(twin_shared.bits)} samples, {seconds:.1f} s", flush=True)
    return complaints


@contextlib.contextmanager
def asking_for_created(config, has_created):
    """A copy of a configuration that says whether there are `_created` samples."""
    with open(config, encoding="utf-8") as lines:
        text = re.sub(r"^    created: .*\n", "", lines.read(), flags=re.MULTILINE)
    said = f"  prometheus:\n    created: {str(has_created).lower()}\n"
    text, count = re.subn(r"^  prometheus:\n", said, text, flags=re.MULTILINE)
    if count != 1:
        raise Wrong(f"{config}: {count} sections exporters.prometheus")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as copy:
        copy.write(text)
        copy.flush()
        yield copy.name


def epoch_s(config):
    """A configuration's epoch in Unix seconds, 1970 unless it states one."""
    with open(config, encoding="utf-8") as lines:
        stated = re.search(r"^  epoch: (?!null)(\S+)$", lines.read(), re.MULTILINE)
    if not stated:
        return 0
    return datetime.datetime.fromisoformat(stated[1].replace("Z", "+00:00")).timestamp()


def ticks(arguments, config):
    with output_of([arguments.mockingbird, "plan", config, "--json"]) as plan:
        total = json.load(plan)["total"]
    return TICKS if total["samples_openmetrics"] < SAMPLES_LARGE else TICKS[-1:]


PAST = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:03:00Z", "--step", "1m"]
PAST_TICKS = 4


def check_past(arguments, config):
    """A file of some ticks. Returns complaints. Families of several samples a point are left out:
    prometheus_client 0.26 takes the later points of their series for repetitions."""
    command = [arguments.mockingbird, "backfill", "--config", config, *PAST, "--openmetrics", "-"]
    lines = []
    with output_of(command) as body:
        is_read = False
        for line in body:
            if line.startswith("# TYPE "):
                is_read = line.endswith((" counter\n", " gauge\n"))
            if is_read or line == "# EOF\n":
                lines.append(line)
    try:
        families = list(PARSERS["openmetrics"](io.StringIO("".join(lines))))
    except ValueError as wrong:
        return [f"{config}, written by backfill: {wrong}"]
    samples = [sample for family in families for sample in family.samples]
    series = {key(sample.name, sample.labels) for sample in samples}
    written = sum(not line.startswith("#") for line in lines)
    print(f"{config}, written by backfill: {written} samples of {len(series)} series", flush=True)
    # A configuration may leave some points out, but not a whole tick's.
    if len(samples) != written or not (PAST_TICKS - 1) * len(series) < written:
        return [f"{config}, written by backfill: {len(samples)} samples in {written} lines"]
    return []


# ---- the judge judged ----------------------------------------------------------------------

TWIN = r"""{"name": "c_total", "labels": {"a": "1\n\"\\"}, "bits": "3ff0000000000000"}
{"name": "c_total", "labels": {"a": "2"}, "bits": "3fb999999999999a"}
{"name": "g", "labels": {}, "bits": "7ff8000000000000"}
{"name": "h_bucket", "labels": {"le": "0.1"}, "bits": "3ff0000000000000"}
{"name": "h_bucket", "labels": {"le": "+Inf"}, "bits": "4000000000000000", "exemplar": {"labels": {"t": "0a"}, "bits": "4008000000000000", "ms": 5250}}
{"name": "h_sum", "labels": {}, "bits": "3ff8000000000000"}
{"name": "h_count", "labels": {}, "bits": "4000000000000000"}
"""
TEXT = r"""# HELP c_total Help.
# TYPE c_total counter
c_total{a="1\n\"\\"} 1
c_total{a="2"} 0.1
# TYPE g gauge
g NaN
# TYPE h histogram
h_bucket{le="0.1"} 1
h_bucket{le="+Inf"} 2
h_sum 1.5
h_count 2
"""
OPENMETRICS = r"""# TYPE c counter
# HELP c Help.
c_total{a="1\n\"\\"} 1
c_created{a="1\n\"\\"} 0
c_total{a="2"} 0.1
c_created{a="2"} 0
# TYPE g gauge
g NaN
# TYPE h histogram
h_bucket{le="0.1"} 1
h_bucket{le="+Inf"} 2 # {t="0a"} 3 5.25
h_sum 1.5
h_count 2
h_created 0
# EOF
"""


def judge_the_judge():
    """Right bodies pass; every one with a line dropped, doubled or changed does not."""
    twin = Twin(TWIN.splitlines())
    right = {"text": TEXT, "openmetrics": OPENMETRICS}
    families = [judge(twin, protocol, io.StringIO(body)) for protocol, body in right.items()]
    assert families[0] == families[1] == {
        "c": ("counter", "Help."), "g": ("gauge", ""), "h": ("histogram", "")
    }, families
    wrong = 0
    for protocol, body in right.items():
        lines = body.splitlines(keepends=True)
        for at, line in enumerate(lines):
            name, _, value = line.strip().rpartition(" ")
            changed = "0.10000000000000002" if value == "0.1" else "7"
            replacements = ["", line + line, f"{name} {changed}\n"]
            if line.startswith("#"):
                # A comment may be missing or doubled; what it says is compared elsewhere.
                replacements = [""] if line.startswith("# EOF") else []
            for replacement in replacements:
                broken = lines[:at] + [replacement] + lines[at + 1 :]
                try:
                    judge(twin, protocol, io.StringIO("".join(broken)))
                except (Wrong, ValueError):
                    wrong += 1
                else:
                    raise AssertionError(f"{protocol}: {line!r} -> {replacement!r} passed")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mockingbird", required=True, help="the program under test")
    parser.add_argument("--twin", required=True, help="the program that prints the slow twin")
    parser.add_argument("configs", nargs="+", metavar="CONFIG")
    arguments = parser.parse_args()

    print(f"the judge refuses {judge_the_judge()} wrong bodies", flush=True)
    passed, complaints = 0, []
    for config in arguments.configs:
        for tick in ticks(arguments, config):
            new = check(arguments, config, tick)
            complaints += new
            passed += not new
        if len(ticks(arguments, config)) == len(TICKS):
            complaints += check_past(arguments, config)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    print(f"parsers: {passed} ticks right, {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
