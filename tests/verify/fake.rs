//! A backend in this process: it answers the queries that `verify` asks from what it is given, as
//! Prometheus would or with the peculiarities that it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use mockingbird::http::{Limits, Reply, Request, Server, percent_decode};
use mockingbird::verify::backend::Backend;
use serde_json::json;

/// A query that is not answered within this fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Labels of a series, its name among them.
pub(crate) type Labels = BTreeMap<String, String>;
/// Samples by series: Unix milliseconds and values.
pub(crate) type Store = BTreeMap<Labels, Vec<(i64, f64)>>;

/// An exemplar: the labels of its series, its own, value and Unix milliseconds.
pub(crate) type Kept = (Labels, Labels, f64, i64);
/// Native histograms by series and time, Unix milliseconds.
pub(crate) type Histograms = BTreeMap<Labels, BTreeMap<i64, serde_json::Value>>;

/// A Prometheus that knows the queries that are asked of it.
pub(crate) struct Fake {
    pub(crate) store: Store,
    /// Series of native histograms: when they have samples, and how many observations.
    pub(crate) native: Store,
    /// The same as the API shows them.
    pub(crate) histograms: Histograms,
    /// Functions do not see NaN.
    pub(crate) drops_nan: bool,
    /// How far a query looks back that does not say so: for nothing but what is there, as
    /// everything else was marked as ended; or for minutes.
    pub(crate) looks_back_ms: i64,
    /// The answer to `/api/v1/metadata`.
    pub(crate) metadata: &'static str,
    /// How long that takes.
    pub(crate) metadata_takes: Duration,
    /// What it has of exemplars, if it answers for them.
    pub(crate) exemplars: Option<Vec<Kept>>,
    /// Whether queries that `verify` does not ask are refused; otherwise nothing is found.
    pub(crate) refuses: bool,
}

impl Fake {
    /// One that marks what is over, keeps NaN and describes nothing.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            native: Store::new(),
            histograms: Histograms::new(),
            drops_nan: false,
            looks_back_ms: 1,
            metadata: "none",
            metadata_takes: Duration::ZERO,
            exemplars: None,
            refuses: false,
        }
    }

    /// The answer to a query, which may be one that `verify` does not ask.
    fn answer_any(&self, path: &str, body: &str) -> String {
        let is_range = path == "/api/v1/query_range";
        let functions = ["topk", "rate", "max"];
        if !is_range && !functions.iter().any(|function| body.contains(function)) {
            return self.answer(body);
        }
        if self.refuses {
            return r#"{"status":"error","error":"too many\nseries"}"#.to_owned();
        }
        let kind = if is_range { "matrix" } else { "vector" };
        format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[]}}}}"#)
    }

    /// The answer to a question for exemplars.
    fn answer_exemplars(kept: &[Kept], body: &str) -> String {
        let form = form_of(body);
        let matchers = parse_selector(&form["query"]);
        let [start, end] = ["start", "end"].map(|end| form[end].parse::<f64>().unwrap());
        let found = kept.iter().filter(|(series, _, _, time_ms)| {
            let time = *time_ms as f64 / 1000.0;
            let is_meant = |(label, values): &(String, Vec<String>)| {
                values.contains(series.get(label).unwrap_or(&String::new()))
            };
            (start..=end).contains(&time) && matchers.iter().all(is_meant)
        });
        let found = found.map(|(series, labels, value, time_ms)| {
            let time = *time_ms as f64 / 1000.0;
            let one = json!({"labels": labels, "value": value.to_string(), "timestamp": time});
            json!({"seriesLabels": series, "exemplars": [one]})
        });
        json!({"status": "success", "data": found.collect::<Vec<_>>()}).to_string()
    }

    fn answer(&self, body: &str) -> String {
        let form = form_of(body);
        let time: f64 = form["time"].parse().unwrap();
        let time_ms = (time * 1000.0).round() as i64;
        let mut query = form["query"].as_str();
        let (aggregate, inner) = aggregate_of(query);
        query = inner;
        let native_only = query.strip_prefix("histogram_count(");
        query = native_only.map_or(query, |inner| inner.strip_suffix(')').unwrap());
        let numbers = Some(&self.store).filter(|_| native_only.is_none());
        let store = numbers.into_iter().chain([&self.native]).flatten();
        let numbers_only = query.contains(" == ");
        if numbers_only {
            let (left, right) = query.split_once(" == ").unwrap();
            assert_eq!(left, right);
            query = left;
        }
        let counted = query.strip_prefix("count_over_time(");
        let summed = query.strip_prefix("sum_over_time(");
        let inner = counted.or(summed);
        let inner = inner.or_else(|| query.strip_prefix("last_over_time("));
        let is_instant = inner.is_some();
        let selector = inner.map_or(query, |inner| inner.strip_suffix(')').unwrap());
        let is_instant = is_instant || !selector.ends_with(']');
        let (selector, range_ms) = match selector.rsplit_once('[') {
            Some((selector, range)) if range.ends_with("ms]") => {
                let range = range.strip_suffix("ms]").unwrap();
                (selector, range.parse().unwrap())
            }
            Some((selector, "5m]")) => (selector, 300_000),
            Some(_) => panic!("{selector}"),
            None => (selector, self.looks_back_ms),
        };
        let matchers = parse_selector(selector);
        let selected = store.filter(|(labels, _)| {
            matchers.iter().all(|(label, values)| {
                let value = labels.get(label.trim_end_matches('!'));
                let value = value.map_or("", String::as_str);
                values.iter().any(|v| v == value) != label.ends_with('!')
            })
        });
        let selected = selected.filter_map(|(labels, samples)| {
            let inside = samples.iter().copied();
            let inside = inside.filter(|(at, _)| (time_ms - range_ms + 1..=time_ms).contains(at));
            let inside: Vec<(i64, f64)> = inside.collect();
            (!inside.is_empty()).then_some((labels, inside))
        });
        let shows_histograms = native_only.is_none();
        let (kind, result) = if is_instant {
            let drops_nan = numbers_only || self.drops_nan;
            // No function sees what only marks an end.
            let seen = |samples: &[(i64, f64)]| {
                let seen = samples.iter().map(|(_, value)| *value);
                let seen = seen.filter(|value| !(drops_nan && value.is_nan()));
                seen.collect::<Vec<f64>>()
            };
            let of_range = |samples: &[(i64, f64)]| match (counted, summed) {
                (Some(_), _) => seen(samples).len() as f64,
                (_, Some(_)) => seen(samples).iter().sum(),
                _ => samples[samples.len() - 1].1,
            };
            let selected: Vec<(&Labels, Vec<(i64, f64)>)> = selected.collect();
            let is_summed = aggregate
                .as_ref()
                .is_none_or(|(function, _)| *function == "sum");
            if shows_histograms && is_summed {
                let shown = self.shown_histograms(&selected, aggregate.is_some(), time);
                if let Some(shown) = shown {
                    return shown;
                }
            }
            let last = selected.iter();
            let last = last.map(|(labels, samples)| (*labels, of_range(samples)));
            let last = last.filter(|(_, v)| !(drops_nan && v.is_nan()));
            let rows: Vec<(Labels, f64)> = match aggregate {
                None => last.map(|(labels, v)| (labels.clone(), v)).collect(),
                Some((function, by)) => {
                    let mut groups: BTreeMap<Labels, f64> = BTreeMap::new();
                    for (labels, v) in last {
                        let labels_by = by.iter().filter_map(|by| {
                            let value = labels.get(by)?;
                            Some((by.clone(), value.clone()))
                        });
                        *groups.entry(labels_by.collect()).or_default() +=
                            if function == "count" { 1.0 } else { v };
                    }
                    groups.into_iter().collect()
                }
            };
            let rows = rows.iter().map(
                |(labels, v)| serde_json::json!({"metric": labels, "value": [time, value(*v)]}),
            );
            ("vector", rows.collect::<Vec<_>>())
        } else {
            let series = selected.map(|(labels, samples)| self.shown_range(labels, &samples));
            ("matrix", series.collect())
        };
        serde_json::json!({"status": "success", "data": {"resultType": kind, "result": result}})
            .to_string()
    }
}

impl Fake {
    /// The samples of a series as an answer has them: native histograms, or numbers.
    fn shown_range(&self, labels: &Labels, samples: &[(i64, f64)]) -> serde_json::Value {
        let shown = samples.iter().filter_map(|(at, _)| {
            let one = self.histograms.get(labels)?.get(at)?;
            Some((*at as f64 / 1000.0, one.clone()))
        });
        let shown: Vec<(f64, serde_json::Value)> = shown.collect();
        if !shown.is_empty() {
            return serde_json::json!({"metric": labels, "histograms": shown});
        }
        let samples = samples.iter();
        let samples = samples.map(|(at, v)| (*at as f64 / 1000.0, value(*v)));
        let values: Vec<(f64, String)> = samples.collect();
        serde_json::json!({"metric": labels, "values": values})
    }

    /// The answer to an instant query that shows native histograms, or their sum: of the last
    /// sample of each series. Nothing where there are none.
    fn shown_histograms(
        &self,
        selected: &[(&Labels, Vec<(i64, f64)>)],
        are_summed: bool,
        time: f64,
    ) -> Option<String> {
        let last_of = |(labels, samples): &(&Labels, Vec<(i64, f64)>)| {
            let (at, _) = samples[samples.len() - 1];
            let one = self.histograms.get(*labels)?.get(&at)?;
            Some(((*labels).clone(), one.clone()))
        };
        let mut rows: Vec<(Labels, serde_json::Value)> =
            selected.iter().filter_map(last_of).collect();
        if are_summed {
            let all = rows.into_iter().map(|(_, one)| one);
            let sum = all.reduce(|sum, one| added(&sum, &one))?;
            rows = vec![(Labels::new(), sum)];
        }
        let shown = rows
            .into_iter()
            .map(|(labels, one)| serde_json::json!({"metric": labels, "histogram": [time, one]}));
        let result: Vec<_> = shown.collect();
        if result.is_empty() {
            return None;
        }
        let data = serde_json::json!({"resultType": "vector", "result": result});
        Some(serde_json::json!({"status": "success", "data": data}).to_string())
    }
}

/// Two native histograms of the same kind as one.
fn added(one: &serde_json::Value, other: &serde_json::Value) -> serde_json::Value {
    let number = |of: &serde_json::Value| -> f64 { of.as_str().unwrap().parse().unwrap() };
    let mut buckets: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    for of in [one, other] {
        for bucket in of["buckets"].as_array().unwrap() {
            let bucket = bucket.as_array().unwrap().clone();
            let bounds = format!("{:?}", &bucket[..3]);
            match buckets.get_mut(&bounds) {
                Some(known) => known[3] = value(number(&known[3]) + number(&bucket[3])).into(),
                None => drop(buckets.insert(bounds, bucket)),
            }
        }
    }
    serde_json::json!({
        "count": value(number(&one["count"]) + number(&other["count"])),
        "sum": value(number(&one["sum"]) + number(&other["sum"])),
        "buckets": buckets.into_values().collect::<Vec<_>>(),
    })
}

/// What adds series up, by which labels, and what it adds up.
fn aggregate_of(query: &str) -> (Option<(&str, Vec<String>)>, &str) {
    for function in ["count", "sum"] {
        let Some(rest) = query.strip_prefix(function) else {
            continue;
        };
        let (by, inner) = match rest.strip_prefix(" by (") {
            Some(rest) => {
                let (labels, inner) = rest.split_once(") ").unwrap();
                (labels.split(", ").map(str::to_owned).collect(), inner)
            }
            None => (Vec::new(), rest),
        };
        // Those over time add up no series.
        if let Some(inner) = inner.strip_prefix('(') {
            return (Some((function, by)), inner.strip_suffix(')').unwrap());
        }
    }
    (None, query)
}

/// A value as the API writes it.
fn value(v: f64) -> String {
    if v.is_nan() {
        "NaN".to_owned()
    } else {
        v.to_string()
    }
}

/// Serves a store as a backend.
pub(crate) fn serve(store: Store) -> (Server, Backend) {
    serve_fake(Fake::new(store), &[])
}

/// The same as `VictoriaMetrics`, which is known by a header.
pub(crate) fn serve_victoria(store: Store) -> (Server, Backend) {
    let fake = Fake {
        drops_nan: true,
        ..Fake::new(store)
    };
    serve_fake(fake, &[("X-Server-Hostname", "vm")])
}

pub(crate) fn serve_fake(
    fake: Fake,
    headers: &'static [(&'static str, &'static str)],
) -> (Server, Backend) {
    let handler = move |request: &Request<'_>, reply: Reply<'_>| match request.path() {
        path @ ("/api/v1/query" | "/api/v1/query_range") => {
            let body = std::str::from_utf8(request.body()).unwrap();
            reply.send(200, headers, fake.answer_any(path, body).as_bytes())
        }
        "/api/v1/query_exemplars" if fake.exemplars.is_some() => {
            let kept = fake.exemplars.as_deref().unwrap_or(&[]);
            let body = std::str::from_utf8(request.body()).unwrap();
            let answer = Fake::answer_exemplars(kept, body);
            reply.send(200, headers, answer.as_bytes())
        }
        "/api/v1/metadata" => {
            std::thread::sleep(fake.metadata_takes);
            reply.send(200, headers, fake.metadata.as_bytes())
        }
        _ => reply.send(404, headers, b"none"),
    };
    let limits = Limits::default();
    let server = Server::bind("127.0.0.1:0", limits, handler).unwrap();
    let url = format!("http://{}", server.local_addr());
    (server, Backend::new(&url, Vec::new(), TIMEOUT).unwrap())
}

/// The fields of a form.
fn form_of(body: &str) -> BTreeMap<String, String> {
    let fields = body.split('&').map(|field| field.split_once('=').unwrap());
    let decoded = fields.map(|(name, value)| {
        let value = value.replace('+', " ");
        let value = percent_decode(&value).unwrap().into_owned();
        (name.to_owned(), value)
    });
    decoded.collect()
}

/// Labels, with a `!` where they must differ, and the values they may have.
fn parse_selector(selector: &str) -> Vec<(String, Vec<String>)> {
    let (name, rest) = selector.split_once('{').unwrap();
    let mut matchers = Vec::new();
    if !name.is_empty() {
        matchers.push(("__name__".to_owned(), vec![name.to_owned()]));
    }
    let mut rest = rest.strip_suffix('}').unwrap();
    while !rest.is_empty() {
        let end = rest.find(['=', '!']).unwrap();
        let label = rest[..end].to_owned();
        rest = &rest[end..];
        let (operator, quoted) = rest.split_at(rest.find('"').unwrap());
        let mut text = String::new();
        let mut chars = quoted[1..].char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (end, '"') => break end + 2,
                (_, '\\') => text.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => text.push(other),
            }
        };
        rest = quoted[end..].trim_start_matches(',');
        let values = if operator == "=~" {
            let mut values = vec![String::new()];
            let mut chars = text.chars();
            while let Some(c) = chars.next() {
                match c {
                    '|' => values.push(String::new()),
                    '\\' => values.last_mut().unwrap().push(chars.next().unwrap()),
                    c => values.last_mut().unwrap().push(c),
                }
            }
            values
        } else {
            vec![text]
        };
        let negated = if operator == "!=" { "!" } else { "" };
        matchers.push((label + negated, values));
    }
    matchers
}
