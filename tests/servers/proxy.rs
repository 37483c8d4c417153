//! Stands between the program under test and a backend, and tampers with what passes: a scrape's
//! body on its way back, text or `OpenMetrics` as was negotiated.

use super::samples::{Identity, parse_sample};
use super::tamper::{Made, Point, Tamperer};
use mockingbird::http::{Limits, Reply, Request, Sent, Server};
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A running proxy.
pub(crate) struct Proxy {
    server: Server,
    tamperer: Arc<Mutex<Tamperer>>,
}

impl Proxy {
    /// Passes on what an address (host and port) answers to scrapes.
    pub(crate) fn scraping(address: &str) -> Self {
        let url = format!("http://{address}/metrics");
        Self::start(move |request, reply, tamperer| pass_scrape(&url, request, reply, tamperer))
    }

    fn start(
        pass: impl Fn(&Request<'_>, Reply<'_>, &Mutex<Tamperer>) -> io::Result<Sent>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let tamperer = Arc::new(Mutex::new(Tamperer::default()));
        let shared = Arc::clone(&tamperer);
        let handler = move |request: &Request<'_>, reply: Reply<'_>| pass(request, reply, &shared);
        let limits = Limits {
            body_bytes_max: 64 << 20,
            stack_bytes: 2 << 20,
            ..Limits::default()
        };
        let server = Server::bind("127.0.0.1:0", limits, handler).unwrap();
        Self { server, tamperer }
    }

    /// Where it listens: host and port.
    pub(crate) fn address(&self) -> String {
        self.server.local_addr().to_string()
    }

    /// What it does and has done.
    pub(crate) fn tamperer(&self) -> MutexGuard<'_, Tamperer> {
        self.tamperer.lock().unwrap()
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
    tamperer: &Mutex<Tamperer>,
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
    let mut points = parse(&body);
    let tick = points
        .iter()
        .find(|point| point.identity.name.ends_with("gen_ticks_total"))
        .map(|point| point.value as u64)
        .expect("a tick number");
    let passes = tamperer.lock().unwrap().pass(tick, now_ms(), &mut points);
    if !passes {
        return reply.text(503, "lost on the way");
    }
    let is_openmetrics = kind.starts_with("application/openmetrics-text");
    let body = render(&body, &points, is_openmetrics);
    reply.send(200, &headers, body.as_bytes())
}

/// The samples of a body; their origins are its lines.
pub(crate) fn parse(body: &str) -> Vec<Point> {
    let lines = body.lines().enumerate();
    let samples = lines.filter(|(_, line)| !line.starts_with('#'));
    let points = samples.map(|(origin, line)| {
        let (identity, value) = parse_sample(line).unwrap_or_else(|| panic!("a sample: {line}"));
        Point {
            identity,
            value,
            time_ms: None,
            origin,
        }
    });
    points.collect()
}

/// The body again with other samples; lines that are the same stay the same bytes.
pub(crate) fn render(body: &str, points: &[Point], is_openmetrics: bool) -> String {
    let mut out = String::with_capacity(body.len() + 1000);
    let mut points = points.iter().peekable();
    for (at, line) in body.lines().enumerate() {
        if line.starts_with('#') {
            let _ = writeln!(out, "{line}");
            continue;
        }
        let (identity, value) = parse_sample(line).expect("a sample");
        while let Some(point) = points.next_if(|point| point.origin == at) {
            let is_same = point.identity == identity
                && point.value.to_bits() == value.to_bits()
                && point.time_ms.is_none();
            if is_same {
                let _ = writeln!(out, "{line}");
                continue;
            }
            if point.identity == identity {
                // Everything before the value; no label's value is the last thing in a line.
                let (head, _) = line.rsplit_once(' ').expect("a value");
                out.push_str(head);
            } else {
                write_head(&mut out, &point.identity);
            }
            write_value(&mut out, point, is_openmetrics);
        }
    }
    assert_eq!(points.next(), None, "points stay in the order of the lines");
    out
}

fn write_head(out: &mut String, Identity { name, labels }: &Identity) {
    out.push_str(name);
    if !labels.is_empty() {
        let escaped = |text: &str| {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            text.replace('\n', "\\n")
        };
        let labels = labels.iter();
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let _ = write!(out, "{{{}}}", labels.join(","));
    }
}

fn write_value(out: &mut String, point: &Point, is_openmetrics: bool) {
    let value = match point.value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => format!("{v:?}"),
    };
    let _ = write!(out, " {value}");
    match point.time_ms {
        Some(ms) if is_openmetrics => {
            let _ = writeln!(out, " {}.{:03}", ms / 1000, ms % 1000);
        }
        Some(ms) => {
            let _ = writeln!(out, " {ms}");
        }
        None => out.push('\n'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::samples::identity;

    const BODY: &str = "# HELP a Help.\n# TYPE a gauge\na{x=\"1\\\\2\\\"3\\n\"} 1\na 2.50\n\
                        # TYPE b counter\nb_total 3\n";

    #[test]
    fn what_is_not_touched_stays_the_same_bytes() {
        assert_eq!(render(BODY, &parse(BODY), false), BODY);
        let body = format!("{BODY}# EOF\n");
        assert_eq!(render(&body, &parse(&body), true), body);
    }

    #[test]
    fn other_samples_are_written_as_the_format_wants() {
        let mut points = parse(BODY);
        points.remove(1);
        points[0].value = f64::INFINITY;
        points[1].time_ms = Some(1_700_000_000_007);
        let mut more = points[1].clone();
        more.identity = identity(r#"b_total{x="\\\"\n"}"#);
        more.value = f64::NAN;
        points.push(more);
        let body = |seconds: &str| {
            format!(
                "# HELP a Help.\n# TYPE a gauge\na{{x=\"1\\\\2\\\"3\\n\"}} +Inf\n\
                 # TYPE b counter\nb_total 3.0 {seconds}\n\
                 b_total{{x=\"\\\\\\\"\\n\"}} NaN {seconds}\n"
            )
        };
        assert_eq!(render(BODY, &points, false), body("1700000000007"));
        assert_eq!(render(BODY, &points, true), body("1700000000.007"));
    }
}
