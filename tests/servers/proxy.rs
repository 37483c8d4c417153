//! Stands between the program under test and a backend, and tampers with what passes: a scrape's
//! body on its way back, text or `OpenMetrics` as was negotiated; or what is pushed.

use super::tamper::{Made, Point, Tamperer};
use super::wire;
use mockingbird::http::{Limits, Reply, Request, Sent, Server};
use mockingbird::proto::otlp::ExportMetricsServiceRequest;
use mockingbird::proto::remote_write_v1::WriteRequest;
use prost::Message;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// A running proxy.
pub(crate) struct Proxy {
    server: Server,
    shared: Arc<Shared>,
}

/// What requests share.
#[derive(Default)]
struct Shared {
    tamperer: Mutex<Tamperer>,
    /// Time of tick 0 and between ticks, once they are known.
    ticks_ms: OnceLock<(i64, i64)>,
}

impl Shared {
    /// Tampers with what is pushed; says whether it may pass.
    fn pass_pushed(&self, points: &mut Vec<Point>) -> bool {
        let ends = self.tamperer.lock().unwrap().take_ends(points);
        let passes = self.pass_samples(points);
        points.extend(ends);
        points.sort_by_key(|point| point.origin);
        passes
    }

    /// Tampers with samples of a tick.
    fn pass_samples(&self, points: &mut Vec<Point>) -> bool {
        let time_ms = points.first().and_then(|point| point.time_ms);
        let (Some(time_ms), Some((epoch_ms, interval_ms))) = (time_ms, self.ticks_ms.get()) else {
            return true;
        };
        let since_ms = time_ms - epoch_ms;
        assert_eq!(since_ms % interval_ms, 0, "samples have times of ticks");
        let tick = (since_ms / interval_ms) as u64;
        self.tamperer.lock().unwrap().pass(tick, time_ms, points)
    }
}

impl Proxy {
    /// Passes on what an address (host and port) answers to scrapes, of whatever path.
    pub(crate) fn scraping(address: &str) -> Self {
        let address = address.to_owned();
        Self::start(move |request, reply, shared| {
            let url = format!("http://{address}{}", request.path());
            pass_scrape(&url, request, reply, shared)
        })
    }

    /// Passes a remote write of version 1 on to a URL.
    pub(crate) fn remote_write(url: &str) -> Self {
        let url = url.to_owned();
        Self::start(move |request, reply, shared| {
            let body = snap::raw::Decoder::new()
                .decompress_vec(request.body())
                .expect("snappy");
            let mut write = WriteRequest::decode(body.as_slice()).expect("a write of version 1");
            let mut points = wire::parse_write(&write);
            if !shared.pass_pushed(&mut points) {
                return reply.send(204, &[], b"");
            }
            wire::render_write(&mut write, &points);
            let body = snap::raw::Encoder::new()
                .compress_vec(&write.encode_to_vec())
                .unwrap();
            pass_push(&url, request, reply, &body)
        })
    }

    /// Passes OTLP without compression on to a URL.
    pub(crate) fn otlp(url: &str) -> Self {
        let url = url.to_owned();
        Self::start(move |request, reply, shared| {
            assert_eq!(request.header("Content-Encoding"), None);
            let mut export = ExportMetricsServiceRequest::decode(request.body()).expect("OTLP");
            let mut points = wire::parse_otlp(&mut export);
            if !shared.pass_pushed(&mut points) {
                return reply.send(200, &[("Content-Type", "application/x-protobuf")], b"");
            }
            wire::render_otlp(&mut export, &points);
            pass_push(&url, request, reply, &export.encode_to_vec())
        })
    }

    /// Passes OTLP without compression on to a URL as `change` makes it, which says whether it
    /// may pass at all.
    pub(crate) fn otlp_with(
        url: &str,
        change: impl FnMut(&mut ExportMetricsServiceRequest) -> bool + Send + 'static,
    ) -> Self {
        let (url, change) = (url.to_owned(), Mutex::new(change));
        Self::start(move |request, reply, _| {
            assert_eq!(request.header("Content-Encoding"), None);
            let mut export = ExportMetricsServiceRequest::decode(request.body()).expect("OTLP");
            if !(change.lock().unwrap())(&mut export) {
                return reply.send(200, &[("Content-Type", "application/x-protobuf")], b"");
            }
            pass_push(&url, request, reply, &export.encode_to_vec())
        })
    }

    fn start(
        pass: impl Fn(&Request<'_>, Reply<'_>, &Shared) -> io::Result<Sent> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let of_requests = Arc::clone(&shared);
        let handler =
            move |request: &Request<'_>, reply: Reply<'_>| pass(request, reply, &of_requests);
        let limits = Limits {
            body_bytes_max: 64 << 20,
            stack_bytes: 2 << 20,
            ..Limits::default()
        };
        let server = Server::bind("127.0.0.1:0", limits, handler).unwrap();
        Self { server, shared }
    }

    /// Where it listens: host and port.
    pub(crate) fn address(&self) -> String {
        self.server.local_addr().to_string()
    }

    /// The same as the URL of a push; what comes before [`Self::begin`] passes untouched.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/push", self.address())
    }

    /// Tells when ticks are, which only pushes have to be told.
    pub(crate) fn begin(&self, epoch_ms: i64, interval_ms: i64) {
        self.shared.ticks_ms.set((epoch_ms, interval_ms)).unwrap();
    }

    /// What it does and has done.
    pub(crate) fn tamperer(&self) -> MutexGuard<'_, Tamperer> {
        self.shared.tamperer.lock().unwrap()
    }

    /// The samples that it touched.
    pub(crate) fn made(&self) -> Vec<Made> {
        self.tamperer().made().to_vec()
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .new_agent()
}

fn pass_scrape(
    url: &str,
    request: &Request<'_>,
    reply: Reply<'_>,
    shared: &Shared,
) -> io::Result<Sent> {
    let accept = request.header("Accept").unwrap_or("*/*");
    let asked = agent().get(url).header("Accept", accept).call();
    let answer = asked.and_then(|mut response| {
        let kind = response.headers().get("Content-Type");
        let kind = kind.map_or(String::new(), |kind| kind.to_str().unwrap().to_owned());
        let status = response.status();
        let body = response.body_mut().with_config().limit(u64::MAX);
        Ok((status, kind, body.read_to_string()?))
    });
    let (status, kind, body) = match answer {
        Ok(answer) => answer,
        Err(error) => return reply.text(502, &error.to_string()),
    };
    let headers = [("Content-Type", kind.as_str())];
    if !status.is_success() {
        return reply.send(status.as_u16(), &headers, body.as_bytes());
    }
    let mut points = wire::parse_text(&body);
    let tick = points
        .iter()
        .find(|point| point.identity.name.ends_with("gen_ticks_total"))
        .map(|point| point.value as u64)
        .expect("a tick number");
    let passes = shared
        .tamperer
        .lock()
        .unwrap()
        .pass(tick, now_ms(), &mut points);
    if !passes {
        return reply.text(503, "lost on the way");
    }
    let is_openmetrics = kind.starts_with("application/openmetrics-text");
    let body = wire::render_text(&body, &points, is_openmetrics);
    reply.send(200, &headers, body.as_bytes())
}

/// Posts a body with the headers of a request.
fn pass_push(url: &str, request: &Request<'_>, reply: Reply<'_>, body: &[u8]) -> io::Result<Sent> {
    let mut post = agent().post(url);
    for name in [
        "Content-Type",
        "Content-Encoding",
        "X-Prometheus-Remote-Write-Version",
    ] {
        if let Some(value) = request.header(name) {
            post = post.header(name, value);
        }
    }
    let answer = post.send(body).and_then(|mut response| {
        let status = response.status().as_u16();
        Ok((status, response.body_mut().read_to_vec()?))
    });
    match answer {
        Ok((status @ 204, _)) => reply.send(status, &[], b""),
        Ok((status, body)) => {
            let headers = [("Content-Type", "application/x-protobuf")];
            reply.send(status, &headers, &body)
        }
        Err(error) => reply.text(502, &error.to_string()),
    }
}
