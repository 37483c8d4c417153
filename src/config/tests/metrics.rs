//! `profiles` and `metrics`.

use super::*;
use crate::algorithm::gauge::{GaugeAlgorithm, RandomWalk};

/// Checks the only message for a metric given as `key: value, …`; its place is
/// not compared.
#[track_caller]
fn check_metric(fields: &str, expected: &str) {
    let profile = "{p: {labels: {a: [x, y], le: [q], quantile: [r]}}}";
    let text = format!("profiles: {profile}\nmetrics: [{{{fields}}}]\n");
    let expected = format!("metrics[0].{expected}");
    assert_eq!(message_without_place(&text), expected, "for {fields}");
}

/// Values of a label `x`, and what is said about `x`.
const LABELS: &str = r#"
[]
    : the list is empty; a label needs at least one value
{values: []}
    .values: the list is empty; a label needs at least one value
{}
    .values: missing; a label needs values or range
{values: [a], range: [1, 2]}
    : has both values and range; keep one of them
{values: [a], fmt: '%5d'}
    .fmt: values are texts; write {} for them, without a width
{values: [a, b], fmt: x}
    .fmt: "x" has no place for the value; use {}
{values: {a: 1, b: 0}}
    .values.b: a weight is more than 0; leave out a value that nothing falls to
{a: 1, b: -2}
    .b: a weight is more than 0; leave out a value that nothing falls to
{a: 1, b: 1e10}
    .b: must be within 1e-9 and 1e9, found 10000000000
{a: 1, b: x}
    .b: expected a number, found the text "x"
{a: 1, b: .inf}
    .b: expected a finite number, found .inf
{a: 1, '': 2}
    ."": an empty label value means the same as no label, so series could become equal; write some text
{values: [a], spread: even}
    .spread: is only used with of: it is how the values of a property are spread over those of the other label
{fmt: 'x-{}'}
    .fmt: has a place for a value, and the label has neither values nor range; give one of them, or remove the place
{fmt: 'x-{id:40}'}
    .fmt: {id:N} is an identifier of 1 to 32 characters, such as {id:5}, found "40"
{range: [2, 1]}
    .range: is reversed; write [1, 2]
{range: [2]}
    .range: expected [first, last], found 1 entries
{range: [1, 2.5]}
    .range[1]: expected a whole number, found the number 2.5
{range: [1.0, 2]}
    .range[0]: expected a whole number, found one with a fraction or exponent; write 1
{range: [1, 9223372036854775808]}
    .range[1]: the number 9223372036854775808 is not within -9223372036854775808 and 9223372036854775807
{range: [1, 2], fmt: x}
    .fmt: "x" has no place for the number; use one of {} %d %s %x, with a width (%5d) or zeros (%02d)
{range: [-1, 2], fmt: '%x'}
    .fmt: %x cannot write the negative numbers of this range
{value: [a]}
    .value: unknown field; did you mean "values"?
[a, null]
    [1]: null is not a value; quote it to use it as text
[a, '']
    [1]: an empty label value means the same as no label, so series could become equal; write some text
[1, '1']
    [1]: "1" equals entry 0; values of a label must differ
[1.50, b, '1.5']
    [2]: "1.5" equals entry 0; values of a label must differ
[a, [b]]
    [1]: expected a single value, found a list
[.inf]
    [0]: .inf is a number here; put it in quotes to use it as text
["a\0"]
    [0]: must not contain NUL
null
    : this entry is empty; fill it in or remove it
"#;

/// A profile `p`, and what is said about it.
const PROFILES: &str = r#"
{}
    .labels: missing; a profile needs at least one label
{labels: {}}
    .labels: missing; a profile needs at least one label
{labels: {a: b}, series_cap: 0}
    .series_cap: must be at least 1, found 0
{labels: {a: b}, zipf_alpha: 11}
    .zipf_alpha: must be within 0 and 10, found 11
{labels: {a: b}, sampling_strategy: random}
    .sampling_strategy: unknown "random"; expected one of: first_n, hash
"#;

/// A label name, and what is said about it.
const LABEL_NAMES: &str = r"
9
    not a label name; use letters, digits and _, and do not begin with a digit; or set global.names: utf8
'a:b'
    not a label name; use letters, digits and _, and do not begin with a digit; or set global.names: utf8
''
    not a label name; use letters, digits and _, and do not begin with a digit
__a
    names that begin with __ are reserved by Prometheus
";

#[test]
fn label_rules() {
    for (label, expected) in rows(LABELS) {
        check_top(
            &format!("profiles: {{p: {{labels: {{x: {label}}}}}}}"),
            &format!("profiles.p.labels.x{expected}"),
        );
    }
    for (profile, expected) in rows(PROFILES) {
        check_top(
            &format!("profiles: {{p: {profile}}}"),
            &format!("profiles.p{expected}"),
        );
    }
    for (name, expected) in rows(LABEL_NAMES) {
        let all = messages(&format!(
            "{GAUGE}profiles: {{p: {{labels: {{{name}: [x]}}}}}}\n"
        ));
        assert!(
            all.starts_with("f.yaml:2:25: ") && all.ends_with(expected),
            "{all}"
        );
    }
}

#[test]
fn names_may_be_any_utf8() {
    let text = "\
global: {names: utf8, self_metrics_prefix: 'own.'}
exporters:
  prometheus: {prefix: '1/'}
  remote_write: [{url: 'http://h/w', labels: {k8s.cluster: c}}]
profiles: {p: {labels: {service.name: [x], 'a \"b\"': [y], a花火: [z], a:b: [u], of.one: {range: [1, 2], of: service.name}}}}
metrics:
- {name: http.server.requests, type: counter, algorithm: poisson, base_rate: 1, profile: p}
- {name: 'µ {x}', type: gauge, algorithm: constant, start: 1}
runtime: {on_start: [{action: spike, metric: http.server.requests_total, multiplier: 2, duration_s: 5, labels: {service.name: x}}]}
";
    let config = good(text);
    assert_eq!(config.warnings, []);
    let names: Vec<&str> = config.metrics.iter().map(|metric| &*metric.name).collect();
    assert_eq!(names, ["http.server.requests", "µ {x}"]);
    for (from, to, expected) in [
        (
            "http.server.requests, type",
            "'', type",
            "metrics[0].name: \"\" is not a metric name",
        ),
        (
            "'µ {x}'",
            "\"a\\0\"",
            "metrics[1].name: \"a\\0\" is not a metric name; it must not contain NUL",
        ),
        (
            "a花火",
            "__火",
            "profiles.p.labels.__火: names that begin with __ are reserved",
        ),
        (
            "a花火",
            "\"a\\0\"",
            "not a label name; it must not contain NUL",
        ),
        (
            "'µ {x}'",
            "own.gen.x",
            "metrics[1].name: \"own.gen.x\" is reserved for Mockingbird's own metrics",
        ),
        ("names: utf8, ", "", "or set global.names: utf8"),
    ] {
        assert!(text.contains(from));
        let all = messages(&text.replace(from, to));
        assert!(all.contains(expected), "{all}");
    }
}

#[test]
fn labels_become_text_and_replace_in_place() {
    let config = good(
        "\
profiles:
  p:
    labels:
      a: [1, 2.5, true, 0x10, '07', 123456789012345678901234567890]
      b: {range: [-5, 1000000000000000], fmt: 'n%03d'}
      c: only
    series_cap: 10
metrics:
  - {name: x, type: gauge, algorithm: constant, start: 0, profile: p, labels: {d: 5, b: [u]}}
",
    );
    let metric = &config.metrics[0];
    let names: Vec<_> = metric
        .labels
        .iter()
        .map(|label| (label.name.as_str(), label.from_metric))
        .collect();
    assert_eq!(
        names,
        [("a", false), ("b", true), ("c", false), ("d", true)]
    );
    let list = |values: &[&str]| LabelValues::List(values.iter().map(|&v| v.to_owned()).collect());
    assert_eq!(
        metric.labels[0].values,
        list(&[
            "1",
            "2.5",
            "true",
            "16",
            "07",
            "123456789012345678901234567890"
        ])
    );
    assert_eq!(metric.labels[1].values, list(&["u"]));
    assert_eq!(metric.labels[3].values, list(&["5"]));
    assert_eq!(
        (metric.series_cap, metric.sampling),
        (Some(10), Sampling::FirstN)
    );
}

#[test]
fn too_many_combinations() {
    let with = |profile: &str| {
        messages(&format!(
            "metrics: [{{name: g, type: gauge, algorithm: constant, start: 1, profile: p}}]\nprofiles: {{p: {{{profile}}}}}\n"
        ))
    };
    let big = "labels: {a: {range: [1, 1000000]}, b: {range: [1, 1000000]}}, series_cap: 1000";
    assert_eq!(with(big), "");
    assert_eq!(
        with(&format!("{big}, sampling_strategy: hash")),
        "f.yaml:1:74: metrics[0].profile: hash sampling looks at every combination, up to 2^32, and the labels have 1000000000000; make the ranges smaller or use sampling_strategy: first_n"
    );
    let huge = "{range: [-9223372036854775808, 9223372036854775807]}";
    for labels in [
        format!("a: {huge}"),
        format!("a: {huge}, b: {huge}, c: {huge}"),
    ] {
        assert_eq!(
            with(&format!("labels: {{{labels}}}, series_cap: 5")),
            "f.yaml:1:74: metrics[0].profile: the labels have more than 2^64 combinations; make the ranges smaller"
        );
    }
}

/// Fields of a metric, and what is said about one of them.
const METRICS: &str = r#"
type: gauge, algorithm: constant, start: 1
    name: missing; a metric needs a name
name: '', type: gauge, algorithm: constant, start: 1
    name: "" is not a metric name; use letters, digits, _ and :, and do not begin with a digit
name: _total, type: counter, algorithm: poisson, base_rate: 1
    name: "_total" is not a metric name; there is nothing before _total
name: x
    type: missing; one of counter, gauge, histogram, summary
name: x, type: guage
    type: unknown "guage"; did you mean "gauge"?
name: x, type: gauge
    algorithm: missing; gauge knows random_walk, sine, bernoulli, sawtooth, constant, follow
name: x, type: gauge, algorithm: sin
    algorithm: no algorithm "sin"; did you mean "sine"? gauge also knows random_walk, bernoulli, sawtooth, constant, follow
name: x, type: gauge, algorithm: poisson
    algorithm: no algorithm "poisson"; gauge knows random_walk, sine, bernoulli, sawtooth, constant, follow
name: x, type: counter, algorithm: poisson
    base_rate: missing; counter poisson needs it
name: x, type: counter, algorithm: poisson, base_rate: -1
    base_rate: must be within 0 and 1e12, found -1
name: x, type: counter, algorithm: poisson, base_rate: .inf
    base_rate: expected a finite number, found .inf
name: x, type: counter, algorithm: poisson, base_rate: '1'
    base_rate: expected a number, found the text "1" (remove the quotes)
name: x, type: counter, algorithm: constant
    base_rate: missing; counter constant needs base_rate (per second) or increment (per tick)
name: x, type: counter, algorithm: constant, base_rate: 1, increment: 1
    increment: base_rate (per second) and increment (per tick) are both set; keep one
name: x, type: counter, algorithm: constant, increment: x
    increment: expected a number, found the text "x"
name: x, type: gauge, algorithm: random_walk, step: 1, base_rate: 1
    base_rate: not used by gauge random_walk, which takes: start, step, clamp, diurnal_amp, diurnal_phase
name: x, type: gauge, algorithm: random_walk, step: -1
    step: must be within 0 and 1e200, found -1
name: x, type: gauge, algorithm: random_walk, step: 1, clamp: [1, 0]
    clamp: the lower bound 1 must be below the upper bound 0
name: x, type: gauge, algorithm: random_walk, step: 1, clamp: [1]
    clamp: expected [lo, hi], found 1 entries
name: x, type: gauge, algorithm: random_walk, step: 1, clamp: [1, x]
    clamp[1]: expected a number, found the text "x"
name: x, type: gauge, algorithm: random_walk, step: 1, clamp: [0, .inf]
    clamp[1]: expected a finite number, found .inf
name: x, type: gauge, algorithm: random_walk, step: 1, clamp: [0, 1], start: 2
    start: 2 is outside of clamp, 0 to 1
name: x, type: gauge, algorithm: random_walk, step: 1, start: .nan
    start: expected a finite number, found .nan (a gauge constant may have it with allow_nan: true)
name: x, type: gauge, algorithm: random_walk, step: 1, allow_nan: true
    allow_nan: not used by gauge random_walk, which takes: start, step, clamp, diurnal_amp, diurnal_phase
name: x, type: gauge, algorithm: sine, period_s: 1
    min: missing; gauge sine takes min and max, or amplitude and offset
name: x, type: gauge, algorithm: sine, period_s: 1, offset: 1
    amplitude: missing; gauge sine with offset needs it
name: x, type: gauge, algorithm: sine, period_s: 1, min: 1
    max: missing; gauge sine with min needs it
name: x, type: gauge, algorithm: sine, period_s: 1, min: 1, max: 1
    max: must be more than min, 1, found 1
name: x, type: gauge, algorithm: sine, period_s: 1, min: 0, max: 1, amplitude: 1
    amplitude: gauge sine takes min and max, or amplitude and offset, not both; keep one pair
name: x, type: gauge, algorithm: sine, min: 0, max: 1
    period_s: missing; gauge sine needs it
name: x, type: gauge, algorithm: sine, min: 0, max: 1, period_s: 0
    period_s: must be within 0.001 and 3e9, found 0
name: x, type: gauge, algorithm: sine, min: 0, max: 1, period_s: 5, phase_spread: 2
    phase_spread: must be within 0 and 1, found 2
name: x, type: gauge, algorithm: bernoulli
    p: missing; gauge bernoulli needs it
name: x, type: gauge, algorithm: bernoulli, p: 1.5
    p: must be within 0 and 1, found 1.5
name: x, type: gauge, algorithm: sawtooth, min: 0, period_s: 5
    max: missing; gauge sawtooth needs it
name: x, type: gauge, algorithm: constant
    start: missing; gauge constant needs it
name: x, type: gauge, algorithm: constant, start: 1, diurnal_amp: 2
    diurnal_amp: must be within -1 and 1, found 2
name: x, type: histogram, algorithm: lognormal, mu: 0
    sigma: missing; lognormal needs it
name: x, type: histogram, algorithm: lognormal, mu: 301, sigma: 1
    mu: must be within -300 and 300, found 301
name: x, type: histogram, algorithm: lognormal, mu: 0, sigma: -1
    sigma: must be within 0 and 50, found -1
name: x, type: counter, algorithm: share, p: 0.5
    of: missing; counter share needs it
name: x, type: counter, algorithm: share, of: y, p: 0.5
    of: no metric "y"; it can be one of: none
name: x, type: counter, algorithm: share, of: x, p: 0.5
    of: goes round in a circle: "x" of "x"; one of them has to be of none
name: x, type: counter, algorithm: poisson, base_rate: 1, of: x
    of: not used by counter poisson, which takes: base_rate, exemplars, diurnal_amp, diurnal_phase
name: x, type: histogram, algorithm: exponential, lam: 1, observations_of: x
    observations_of: "x" is a histogram; it has to be a counter
name: x, type: histogram, algorithm: exponential
    lam: missing; exponential needs it
name: x, type: histogram, algorithm: exponential, lam: 0
    lam: must be more than 0, found 0
name: x, type: histogram, algorithm: exponential, lam: 1, lambda: 1
    lambda: is the same as lam; keep one of them
name: x, type: histogram, algorithm: exponential, lam: 1, buckets: [1, 1]
    buckets[1]: 1 is there already; remove one
name: x, type: histogram, algorithm: exponential, lam: 1, buckets: [2, 1]
    buckets[1]: 1 comes after 2; sort the buckets upwards
name: x, type: histogram, algorithm: exponential, lam: 1, buckets: [.nan]
    buckets[0]: expected a finite number, found .nan
name: x, type: histogram, algorithm: exponential, lam: 1, buckets: []
    buckets: needs at least one finite bound; +Inf is added by itself
name: x, type: histogram, algorithm: exponential, lam: 1, histograms: exponential
    histograms: unknown "exponential"; expected one of: classic, native, nhcb, both
name: x, type: histogram, algorithm: exponential, lam: 1, native_histogram: {schema: 9}
    native_histogram.schema: must be within -4 and 8, found 9
name: x, type: histogram, algorithm: exponential, lam: 1, native_histogram: {schema: 1, growth_factor: 2}
    native_histogram.growth_factor: schema says how fine buckets are; keep one of them
name: x, type: histogram, algorithm: exponential, lam: 1, native_histogram: {growth_factor: 1}
    native_histogram.growth_factor: must be within 1.0001 and 65536, found 1
name: x, type: histogram, algorithm: exponential, lam: 1, native_histogram: {max_buckets: 0}
    native_histogram.max_buckets: must be at least 1, found 0
name: x, type: histogram, algorithm: exponential, lam: 1, native_histogram: {zero_threshold: -1}
    native_histogram.zero_threshold: must be within 0 and 1e300, found -1
name: x, type: gauge, algorithm: constant, start: 1, histograms: native
    histograms: not used by gauge constant, which takes: start, allow_nan, clamp, diurnal_amp, diurnal_phase
name: x, type: histogram, algorithm: exponential, lam: 1, observations_per_tick: -1
    observations_per_tick: must be within 0 and 1e9, found -1
name: x, type: histogram, algorithm: exponential, lam: 1, objectives: {0.5: 0.1}
    objectives: not used by histogram exponential, which takes: lam, lambda, observations_per_tick, observations_of, buckets, histograms, native_histogram, exemplars, diurnal_amp, diurnal_phase
name: x, type: histogram, algorithm: mixture
    components: missing; a mixture needs at least one component such as {type: lognormal, weight: 1, mu: 0, sigma: 1}
name: x, type: histogram, algorithm: mixture, components: [{type: exponential, weight: 0, lam: 1}]
    components: the weights sum to zero; give at least one a positive weight
name: x, type: histogram, algorithm: mixture, components: [{type: exponential, weight: -1, lam: 1}]
    components[0].weight: must be within 0 and 1e200, found -1
name: x, type: histogram, algorithm: mixture, components: [{type: exponential, weight: 1, lam: 1, mu: 1}]
    components[0].mu: not used by exponential, which takes: lam, lambda
name: x, type: histogram, algorithm: mixture, components: [{weight: 1, lam: 1}]
    components[0].type: missing; one of lognormal, exponential
name: x, type: summary, algorithm: exponential, lam: 1, objectives: {1.5: 0.1}
    objectives.1.5: a quantile is a number from 0 to 1, found "1.5"
name: x, type: summary, algorithm: exponential, lam: 1, objectives: {0.5: 2}
    objectives.0.5: must be within 0 and 1, found 2
name: x, type: summary, algorithm: exponential, lam: 1, objectives: {0.5: 0, 0.50: 0}
    objectives.0.50: quantile 0.5 is there already; remove one
name: x, type: summary, algorithm: exponential, lam: 1, objectives: {}
    objectives: is empty; name at least one quantile, for example {0.5: 0.05}
name: x, type: summary, algorithm: exponential, lam: 1, max_age_s: 0.5
    max_age_s: must be at least one tick (1 s) and at most 1000000 ticks, found 0.5
name: x, type: histogram, algorithm: exponential, lam: 1, profile: p
    profile: profile "p" has the label le, which every histogram sets itself
name: x, type: summary, algorithm: exponential, lam: 1, profile: p
    profile: profile "p" has the label quantile, which every summary sets itself
name: x, type: histogram, algorithm: exponential, lam: 1, labels: {le: x}
    labels.le: every histogram sets this label itself; use another name
name: x, type: gauge, algorithm: constant, start: 1, unit: 'a b'
    unit: must be at most 63 visible ASCII characters without spaces
name: x, type: gauge, algorithm: constant, start: 1, description: "\0"
    description: must not contain NUL
name: x, type: gauge, algorithm: constant, start: 1, profile: [p]
    profile: expected text, found a list
name: x, type: gauge, algorithm: constant, start: 1, labels: [a]
    labels: expected a map of names, found a list
name: gen_x, type: gauge, algorithm: constant, start: 1
    name: "gen_x" is reserved for Mockingbird's own metrics; to have it, give these a prefix: global.self_metrics_prefix, such as mockingbird_
name: process_cpu_seconds, type: counter, algorithm: poisson, base_rate: 1
    name: "process_cpu_seconds" is reserved for Mockingbird's own metrics; to have it, give these a prefix: global.self_metrics_prefix, such as mockingbird_
"#;

#[test]
fn metric_rules() {
    for (fields, expected) in rows(METRICS) {
        check_metric(fields, expected);
    }
}

/// A metric `x` beside some others, and what is said about it.
const KIN: &str = r#"
type: counter, algorithm: share, of: request, p: 0.5, profile: p
    of: no metric "request"; did you mean "requests"? it can also be one of: steps
type: counter, algorithm: share, of: level, p: 0.5, profile: p
    of: "level" is a gauge; it has to be a counter
type: gauge, algorithm: follow, of: requests, profile: p, lag: -1
    lag: must be within 0 and 3e9, found -1
type: gauge, algorithm: follow, of: sizes, profile: p
    of: "sizes" is a summary; it has to be a counter or a gauge
type: counter, algorithm: share, of: requests, p: 0.5
    of: series go with those of "requests" by their labels, which have to be the same, but this one lacks the label a, and this one has no series_cap, that one series_cap 5, and this one has zipf_alpha 0, that one 1; give both the same profile and labels
type: counter, algorithm: share, of: requests, p: 0.5, profile: p, labels: {a: [x], b: [y]}
    of: series go with those of "requests" by their labels, which have to be the same, but only this one has the label b, and the label a has other values; give both the same profile and labels
type: histogram, algorithm: exponential, lam: 1, observations_of: steps, profile: p
    observations_of: "steps" grows by 2.5 at each tick, and there are no observations of a part of an event; let it be algorithm: poisson
type: counter, algorithm: share, of: steps, p: 0.5, profile: p
    of: "steps" grows by 2.5 at each tick, and there is no share of a part of an event; let it be algorithm: poisson
type: histogram, algorithm: exponential, lam: 1, observations_of: requests, observations_per_tick: 1, profile: p
    observations_per_tick: observations_of says how many there are; keep one of them
type: histogram, algorithm: exponential, lam: 1, observations_of: requests, diurnal_amp: 0.5, profile: p
    diurnal_amp: there is one observation for each event of observations_of, at any time of day; give it to that counter
"#;

#[test]
fn weights_make_parts_of_events() {
    let text = |weights: &str, child: &str| {
        format!(
            "profiles: {{p: {{labels: {{s: {{{weights}}}}}}}}}\n\
             metrics:\n\
             - {{name: all, type: counter, profile: p, algorithm: constant, base_rate: 3}}\n\
             - {{name: x, profile: p, {child}}}\n"
        )
    };
    for (child, field, what) in [
        (
            "type: counter, algorithm: share, of: all, p: 1",
            "of",
            "is no share",
        ),
        (
            "type: histogram, algorithm: exponential, lam: 1, observations_of: all",
            "observations_of",
            "are no observations",
        ),
    ] {
        assert_eq!(
            message_without_place(&text("'200': 95, '404': 4", child)),
            format!(
                "metrics[1].{field}: \"all\" has series that grow by parts, by the weights of s, \
                 and there {what} of a part of an event; let it be algorithm: poisson"
            )
        );
        assert_eq!(messages(&text("'200': 2, '404': 2", child)), "");
    }
    let gauge = "type: gauge, algorithm: follow, of: all";
    assert_eq!(messages(&text("'200': 95, '404': 4", gauge)), "");
}

#[test]
fn metrics_of_others() {
    const OTHERS: &str = "\
profiles: {p: {labels: {a: [x, y]}, series_cap: 5, sampling_strategy: hash, zipf_alpha: 1}}
metrics:
  - {name: requests, type: counter, profile: p, algorithm: poisson, base_rate: 1}
  - {name: steps, type: counter, profile: p, algorithm: constant, increment: 2.5}
  - {name: level, type: gauge, profile: p, algorithm: constant, start: 1}
  - {name: sizes, type: summary, profile: p, algorithm: exponential, lam: 1}
";
    for (fields, expected) in rows(KIN) {
        let text = format!("{OTHERS}  - {{name: x, {fields}}}\n");
        let expected = format!("metrics[4].{expected}");
        assert_eq!(message_without_place(&text), expected, "for {fields}");
    }
    let good = good(&format!(
        "{OTHERS}  - {{name: x, type: counter, profile: p, algorithm: share, of: requests_total, p: 0}}\n"
    ));
    assert_eq!(good.metrics[4].of.as_deref(), Some("requests"));
    // Each circle once, and not what only leads into it.
    let all = messages(
        "\
metrics:
  - {name: a, type: counter, algorithm: share, of: b, p: 1}
  - {name: b, type: counter, algorithm: share, of: c, p: 1}
  - {name: c, type: counter, algorithm: share, of: b, p: 1}
",
    );
    assert_eq!(
        all,
        "f.yaml:3:52: metrics[1].of: goes round in a circle: \"b\" of \"c\" of \"b\"; one of them has to be of none"
    );
}

#[test]
fn a_spike_of_observed_events_is_one_of_their_counter() {
    let all = message_without_place(
        "\
metrics:
  - {name: a, type: counter, algorithm: poisson, base_rate: 1}
  - {name: h, type: histogram, algorithm: exponential, lam: 1, observations_of: a}
runtime: {on_start: [{action: spike, metric: h, target: rate, multiplier: 2, duration_s: 9}]}
",
    );
    assert_eq!(
        all,
        "runtime.on_start[0].target: \"h\" observes each event of \"a\" once; spike \"a\", or the value"
    );
}

#[test]
fn zero_is_not_unset() {
    for fields in [
        "type: counter, algorithm: poisson, base_rate: 0",
        "type: counter, algorithm: constant, increment: 0",
        "type: gauge, algorithm: bernoulli, p: 0",
        "type: gauge, algorithm: sine, min: -1, max: 0, period_s: 60",
        "type: gauge, algorithm: random_walk, step: 0, clamp: [-5, 3]",
        "type: gauge, algorithm: constant, start: .nan, allow_nan: true",
        "type: gauge, algorithm: constant, start: -.inf, allow_nan: true",
        "type: histogram, algorithm: exponential, lambda: 2, observations_per_tick: 0, buckets: [-1, 0, .inf]",
        "type: summary, algorithm: lognormal, mu: 0, sigma: 0, objectives: {1: 0, 0: 0}",
    ] {
        good(&format!("metrics: [{{name: x, {fields}}}]"));
    }
    let config =
        good("metrics: [{name: x, type: gauge, algorithm: random_walk, step: 0, clamp: [-5, 3]}]");
    let Kind::Gauge { algorithm, .. } = &config.metrics[0].kind else {
        panic!("not a gauge");
    };
    let expected = GaugeAlgorithm::RandomWalk(RandomWalk {
        start: -1.0,
        step: 0.0,
    });
    assert_eq!(*algorithm, expected);
}

#[test]
fn names_that_collide() {
    let gauge = "type: gauge, algorithm: constant, start: 0";
    let counter = "type: counter, algorithm: poisson, base_rate: 0";
    let histogram = "type: histogram, algorithm: exponential, lam: 1";
    let with = |one: String, other: String| {
        let text = format!("metrics:\n  - {{name: {one}}}\n  - {{name: {other}}}\n");
        let all = messages(&text);
        all.strip_prefix("f.yaml:3:12: metrics[1].name: ")
            .unwrap_or(&all)
            .to_owned()
    };
    assert_eq!(
        with(format!("x, {gauge}"), format!("x, {gauge}")),
        "metrics[0] has the name \"x\" already"
    );
    assert_eq!(
        with(format!("x_total, {counter}"), format!("x, {counter}")),
        "metrics[0] has the name \"x\" already"
    );
    assert_eq!(
        with(format!("x, {histogram}"), format!("x_count, {gauge}")),
        "collides with metrics[0], the histogram \"x\": both expose \"x_count\""
    );
    assert_eq!(
        with(format!("x_total, {gauge}"), format!("x, {counter}")),
        "collides with metrics[0], the gauge \"x_total\": both expose \"x_total\""
    );
    assert_eq!(with(format!("x, {gauge}"), format!("x_count, {gauge}")), "");
}

/// What `exemplars` of a counter may be, and what is said about it.
const EXEMPLARS: &str = r#"
0
    : must be more than 0 and at most 1, found 0
1.5
    : must be more than 0 and at most 1, found 1.5
often
    : expected a number, found the text "often"
{labels: {a: hex4}}
    .share: missing; the share of series that have an exemplar at a tick, for example 0.01
{share: -1}
    .share: must be more than 0 and at most 1, found -1
{share: 0.5, labels: {}}
    .labels: is empty; name at least one label, for example {trace_id: hex16}
{share: 0.5, labels: {a: hex}}
    .labels.a: expected hexN, N bytes (1 to 64) in hexadecimal digits, for example hex16, found "hex"
{share: 0.5, labels: {a: hex65}}
    .labels.a: expected hexN, N bytes (1 to 64) in hexadecimal digits, for example hex16, found "hex65"
{share: 0.5, labels: {a: uuid}}
    .labels.a: expected hexN, N bytes (1 to 64) in hexadecimal digits, for example hex16, found "uuid"
{share: 0.5, labels: {a.b: hex4}}
    .labels.a.b: not a name for a label of exemplars; use letters, digits and _, and begin with a letter or one _
{share: 0.5, labels: {a: hex60, bc: hex3}}
    .labels: names and values have 129 characters in all (2 for each byte); an exemplar may have 128
"#;

#[test]
fn exemplars_are_checked() {
    for (exemplars, expected) in rows(EXEMPLARS) {
        let metric = "name: m, type: counter, algorithm: constant, base_rate: 1";
        let fields = format!("{metric}, exemplars: {exemplars}");
        check_metric(&fields, &format!("exemplars{expected}"));
    }
    check_metric(
        "name: m, type: gauge, algorithm: constant, start: 1, exemplars: 0.1",
        "exemplars: not used by gauge constant, which takes: start, allow_nan, clamp, diurnal_amp, diurnal_phase",
    );
    let text = "metrics: [{name: m, type: counter, algorithm: constant, base_rate: 1, \
                exemplars: 0.25}]";
    let exemplars = good(text).metrics[0].exemplars.clone();
    let (share, labels) = (0.25, Exemplars::labels_default());
    assert_eq!(exemplars, Some(Exemplars { share, labels }));
}
