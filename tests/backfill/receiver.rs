//! A receiver of remote write and OTLP in this process. It keeps every sample, and can be as
//! strict as Prometheus is: what is older than a series' latest sample, or another value at its
//! time, refuses the whole request.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mockingbird::http::{Limits, Reply, Request, Sent, Server};
use mockingbird::proto::otlp::metric::Data;
use mockingbird::proto::otlp::number_data_point::Value;
use mockingbird::proto::otlp::{
    AggregationTemporality, ExportMetricsServiceRequest, KeyValue, NumberDataPoint, any_value,
};
use mockingbird::proto::{remote_write_v1 as v1, remote_write_v2 as v2};
use prost::Message;

/// What the receiver does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Takes it.
    Take,
    /// Takes it after so many milliseconds.
    Late(u64),
    /// Answers with a status and does not take it.
    Answer(u16),
    /// Takes it, and answers as if it could not.
    Forget(u16),
}

/// Name and labels in one text.
pub(crate) type Series = String;

/// One sample as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrived {
    pub(crate) series: Series,
    pub(crate) time_ms: i64,
    /// Of the value.
    pub(crate) bits: u64,
}

#[derive(Default)]
struct State {
    is_strict: bool,
    script: VecDeque<Act>,
    requests: usize,
    /// Everything that was taken, in order.
    samples: Vec<Arrived>,
    latest: BTreeMap<Series, (i64, u64)>,
    /// What a strict receiver complained about.
    refused: Vec<String>,
}

/// A running receiver; it does what it was told, in turn, then takes everything.
#[derive(Clone)]
pub(crate) struct Receiver {
    state: Arc<Mutex<State>>,
    // Its threads end with the last of these.
    server: Arc<Server>,
}

impl Receiver {
    pub(crate) fn start(is_strict: bool, script: impl IntoIterator<Item = Act>) -> Self {
        let state = State {
            is_strict,
            script: script.into_iter().collect(),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let limits = Limits {
            body_bytes_max: 16 << 20,
            ..Limits::default()
        };
        let handler = {
            let state = Arc::clone(&state);
            move |request: &Request<'_>, reply: Reply<'_>| handle(&state, request, reply)
        };
        let server = Server::bind("127.0.0.1:0", limits, handler).unwrap();
        Self {
            state,
            server: Arc::new(server),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/write", self.server.local_addr())
    }

    /// Requests so far, also those that were not taken.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// What was taken, in order.
    pub(crate) fn samples(&self) -> Vec<Arrived> {
        self.state.lock().unwrap().samples.clone()
    }

    /// The same, each sample once however often it came, in an order of its own.
    pub(crate) fn stored(&self) -> Vec<Arrived> {
        let mut samples = self.samples();
        samples.sort();
        samples.dedup();
        samples
    }

    /// What a strict receiver complained about.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.state.lock().unwrap().refused.clone()
    }
}

fn handle(state: &Mutex<State>, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
    let samples = read(request);
    let act = {
        let mut state = state.lock().unwrap();
        state.requests += 1;
        state.script.pop_front().unwrap_or(Act::Take)
    };
    if let Act::Late(ms) = act {
        std::thread::sleep(Duration::from_millis(ms));
    }
    if let Act::Answer(status) = act {
        return reply.send(status, &[], b"as ordered");
    }
    let count = samples.len().to_string();
    if let Err(message) = state.lock().unwrap().take(samples) {
        return reply.send(400, &[], message.as_bytes());
    }
    if let Act::Forget(status) = act {
        return reply.send(status, &[], b"as ordered");
    }
    let written = ("X-Prometheus-Remote-Write-Samples-Written", count.as_str());
    reply.send(200, &[written], b"")
}

impl State {
    fn take(&mut self, samples: Vec<Arrived>) -> Result<(), String> {
        for sample in &samples {
            let latest = self.latest.get(&sample.series);
            let is_old = latest.is_some_and(|&(time_ms, bits)| {
                sample.time_ms < time_ms || sample.time_ms == time_ms && sample.bits != bits
            });
            if self.is_strict && is_old {
                let message = format!("out of order sample: {sample:?}");
                self.refused.push(message.clone());
                return Err(message);
            }
        }
        for sample in samples {
            let now = (sample.time_ms, sample.bits);
            self.latest.insert(sample.series.clone(), now);
            self.samples.push(sample);
        }
        Ok(())
    }
}

fn read(request: &Request<'_>) -> Vec<Arrived> {
    let version = request.header("x-prometheus-remote-write-version");
    let body = request.body();
    let plain = || snap::raw::Decoder::new().decompress_vec(body).unwrap();
    match version {
        Some("0.1.0") => read_v1(v1::WriteRequest::decode(plain().as_slice()).unwrap()),
        Some("2.0.0") => read_v2(&v2::Request::decode(plain().as_slice()).unwrap()),
        _ => {
            // Without compression.
            assert_eq!(request.header("content-encoding"), None);
            read_otlp(ExportMetricsServiceRequest::decode(body).unwrap())
        }
    }
}

fn read_v1(request: v1::WriteRequest) -> Vec<Arrived> {
    let mut samples = Vec::new();
    for series in request.timeseries {
        let labels = series.labels.iter();
        let name = text(labels.map(|label| (label.name.as_str(), label.value.as_str())));
        samples.extend(series.samples.iter().map(|sample| Arrived {
            series: name.clone(),
            time_ms: sample.timestamp,
            bits: sample.value.to_bits(),
        }));
    }
    samples
}

fn read_v2(request: &v2::Request) -> Vec<Arrived> {
    let symbol = |number: u32| request.symbols[number as usize].as_str();
    let mut samples = Vec::new();
    for series in &request.timeseries {
        let pairs = series.labels_refs.chunks(2);
        let name = text(pairs.map(|pair| (symbol(pair[0]), symbol(pair[1]))));
        samples.extend(series.samples.iter().map(|sample| Arrived {
            series: name.clone(),
            time_ms: sample.timestamp,
            bits: sample.value.to_bits(),
        }));
    }
    samples
}

/// Counters and gauges; deltas have a mark in their name.
fn read_otlp(request: ExportMetricsServiceRequest) -> Vec<Arrived> {
    let resources = request.resource_metrics.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    let mut samples = Vec::new();
    for metric in scopes.flat_map(|scope| scope.metrics) {
        let (end, points) = match metric.data.unwrap() {
            Data::Gauge(gauge) => ("", gauge.data_points),
            Data::Sum(sum) => {
                let is_delta = sum.aggregation_temporality == AggregationTemporality::Delta as i32;
                (if is_delta { "_delta" } else { "_total" }, sum.data_points)
            }
            other => panic!("only counters and gauges, not {other:?}"),
        };
        let name = format!("{}{end}", metric.name);
        samples.extend(points.iter().map(|point| read_point(&name, point)));
    }
    samples
}

fn read_point(name: &str, point: &NumberDataPoint) -> Arrived {
    let value = |attribute: &KeyValue| match &attribute.value.as_ref().unwrap().value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("a label is text, not {other:?}"),
    };
    let attributes = point.attributes.iter();
    let labels: Vec<_> = attributes
        .map(|pair| (pair.key.clone(), value(pair)))
        .collect();
    let labels = labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let Some(Value::AsDouble(value)) = point.value else {
        panic!("values are doubles")
    };
    Arrived {
        series: text([("__name__", name)].into_iter().chain(labels)),
        time_ms: (point.time_unix_nano / 1_000_000) as i64,
        bits: value.to_bits(),
    }
}

/// A series by its labels in order; numbers of buckets in one spelling.
pub(crate) fn text<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Series {
    let labels: BTreeMap<&str, &str> = labels.collect();
    let texts = labels.iter().map(|(&name, &value)| match name {
        "le" | "quantile" => {
            let number: f64 = value.trim_start_matches('+').parse().unwrap();
            format!("{name}={number:?}")
        }
        _ => format!("{name}={value:?}"),
    });
    texts.collect::<Vec<_>>().join(",")
}
