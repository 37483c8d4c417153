//! A client of the Prometheus HTTP query API: a query in, series with their
//! samples out. Every answer is untrusted: its size is bounded, and what cannot be
//! understood is an error (`answer`). Never retries, never follows a redirect.

mod answer;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{Response, header};
use ureq::{Agent, Body, RequestBuilder};

use crate::causes::unanswered;
use crate::credentials::FromFiles;
pub(super) use answer::seconds;
use answer::{HistogramPoint, Item, Point, clipped};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of one answer that are read.
const ANSWER_BYTES_MAX: u64 = 512 << 20;
/// Warnings of the backend that are kept.
const WARNINGS_MAX: usize = 10;
const USER_AGENT: &str = concat!("mockingbird/", env!("CARGO_PKG_VERSION"));

/// Labels of a stored series, its name among them as `__name__`.
pub type Labels = BTreeMap<String, String>;

/// One sample of an instant query.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its labels.
    pub labels: Labels,
    /// Its value; of a native histogram, how many observations it has.
    pub value: f64,
}

/// Raw samples of one series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// Its labels.
    pub labels: Labels,
    /// Unix milliseconds and value, as the backend lists them.
    pub samples: Vec<(i64, f64)>,
    /// The same of its samples that are native histograms.
    pub histograms: Vec<(i64, StoredHistogram)>,
}

/// A native histogram as the query API shows it: neither its schema nor its buckets' indices.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredHistogram {
    /// Observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Its buckets in order of their bounds, those without observations left out.
    pub buckets: Vec<StoredBucket>,
}

impl StoredHistogram {
    /// For people.
    pub(super) fn text(&self) -> String {
        let (count, sum) = (self.count, self.sum);
        format!("a native histogram of {count} observations, sum {sum:?}")
    }
}

/// A bucket as the query API shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredBucket {
    /// Whether its lower bound is one of its values.
    pub holds_low: bool,
    /// Whether its upper bound is.
    pub holds_high: bool,
    /// Its lower bound.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
    /// Observations in it.
    pub count: f64,
}

/// One exemplar of a stored series.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredExemplar {
    /// The labels of the series.
    pub series: Labels,
    /// Its own.
    pub labels: Labels,
    /// Unix milliseconds.
    pub time_ms: i64,
    /// Its value.
    pub value: f64,
}

/// What a backend says of a metric: an entry of `/api/v1/metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MetricMetadata {
    /// `counter`, `gauge`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Help.
    #[serde(default)]
    pub help: String,
    /// Unit; empty where it is not known.
    #[serde(default)]
    pub unit: String,
}

/// What is known of the program that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Keeps every bit of a value.
    Exact,
    /// `VictoriaMetrics`: decimal numbers of about twelve digits, no NaN.
    VictoriaMetrics,
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskError {
    url: String,
    query: Option<String>,
    message: String,
}

impl AskError {
    /// The reason alone, on one line: neither the backend nor the query.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.message)?;
        match &self.query {
            Some(query) => write!(f, "\n  asked: {}", clipped(query)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AskError {}

/// One backend. Proxies from the environment are not used.
#[derive(Debug)]
pub struct Backend {
    agent: Agent,
    url: String,
    /// Follows the path; empty, or from the question mark on.
    query: String,
    headers: Vec<(String, String)>,
    authorization: Option<Arc<FromFiles<Option<String>>>>,
    timeout: Duration,
    warnings: RefCell<BTreeSet<String>>,
    requests: Cell<u64>,
    waited: Cell<Duration>,
}

impl Backend {
    /// A client that has not connected yet. `url` is what `/api/v1/query`
    /// follows, a query in it goes with every request; `headers` go with every request; a query
    /// that is not answered within `timeout` fails.
    ///
    /// # Errors
    /// What is wrong with the URL or a header; no value of a header is shown.
    pub fn new(
        url: &str,
        headers: Vec<(String, String)>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let (url, query) = url.split_at(url.find('?').unwrap_or(url.len()));
        let (url, query) = (url.trim_end_matches('/').to_owned(), query.to_owned());
        let parsed: Result<ureq::http::Uri, _> = url.parse();
        let parsed = parsed.map_err(|error| format!("backend {url}: {error}"))?;
        let is_http = matches!(parsed.scheme_str(), Some("http" | "https"));
        let is_query = format!("/{query}").parse::<ureq::http::Uri>().is_ok();
        if !is_http || !is_query || parsed.host().is_none_or(str::is_empty) {
            return Err(format!(
                "backend {url}: expected a base URL like http://localhost:9090"
            ));
        }
        for (name, value) in &headers {
            let is_header = header::HeaderName::from_bytes(name.as_bytes()).is_ok();
            if !is_header || header::HeaderValue::from_str(value).is_err() {
                return Err(format!("header {name:?} cannot be sent"));
            }
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(USER_AGENT)
            .timeout_global(Some(timeout))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            url,
            query,
            headers,
            authorization: None,
            timeout,
            warnings: RefCell::default(),
            requests: Cell::default(),
            waited: Cell::default(),
        })
    }

    /// Sends this value of the header `Authorization`, read again when its file
    /// changes.
    #[must_use]
    pub(crate) fn authorized(mut self, authorization: FromFiles<Option<String>>) -> Self {
        self.authorization = Some(Arc::new(authorization));
        self
    }

    /// A client of the same backend that counts for itself.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            agent: self.agent.clone(),
            url: self.url.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            authorization: self.authorization.clone(),
            timeout: self.timeout,
            warnings: RefCell::default(),
            requests: Cell::default(),
            waited: Cell::default(),
        }
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the backend warned of, for example of parts that did not answer.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().iter().cloned().collect()
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Time spent on waiting for answers and reading them.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }

    /// Finds out which program answers.
    ///
    /// # Errors
    /// When none does.
    pub fn kind(&self) -> Result<Kind, AskError> {
        let response = self.get("status/buildinfo")?;
        // It calls itself a Prometheus there, but names its host in a header.
        let is_victoria = response.headers().contains_key("x-server-hostname");
        Ok(if is_victoria {
            Kind::VictoriaMetrics
        } else {
            Kind::Exact
        })
    }

    /// An instant query at a time in Unix milliseconds.
    ///
    /// # Errors
    /// When it cannot be asked, is refused, or the answer cannot be understood.
    pub fn vector(&self, query: &str, at_ms: i64) -> Result<Vec<Row>, AskError> {
        let items = self.ask_at(query, at_ms, "vector")?;
        let rows = items.into_iter().map(|item| {
            let value = match (item.value, item.histogram) {
                (Some(Point(_, value)), _) => value,
                (None, Some(point)) => point.read()?.1.count,
                (None, None) => return Err("a series has no value".to_owned()),
            };
            Ok(Row {
                labels: item.metric,
                value,
            })
        });
        rows.collect::<Result<_, String>>()
            .map_err(|message| self.error(Some(query), message))
    }

    /// The native histograms of an instant query.
    ///
    /// # Errors
    /// As for [`Self::vector`].
    pub fn histograms(
        &self,
        query: &str,
        at_ms: i64,
    ) -> Result<Vec<(Labels, StoredHistogram)>, AskError> {
        let items = self.ask_at(query, at_ms, "vector")?.into_iter();
        let histograms = items.filter_map(|item| Some((item.metric, item.histogram?)));
        let read = histograms.map(|(labels, point)| Ok((labels, point.read()?.1)));
        read.collect::<Result<_, String>>()
            .map_err(|message| self.error(Some(query), message))
    }

    /// The raw samples that a range selector gives at a time.
    ///
    /// # Errors
    /// As for [`Self::vector`].
    pub fn matrix(&self, query: &str, at_ms: i64) -> Result<Vec<Stored>, AskError> {
        let items = self.ask_at(query, at_ms, "matrix")?;
        self.stored(query, items)
    }

    fn stored(&self, query: &str, items: Vec<Item>) -> Result<Vec<Stored>, AskError> {
        let series = items.into_iter().map(|item| {
            if item.values.is_none() && item.histograms.is_none() {
                return Err("a series has no values".to_owned());
            }
            let values = item.values.unwrap_or_default();
            let samples = values
                .into_iter()
                .map(|Point(time_ms, value)| (time_ms, value));
            Ok(Stored {
                labels: item.metric,
                // In place: nothing is copied.
                samples: samples.collect(),
                histograms: item
                    .histograms
                    .into_iter()
                    .flatten()
                    .map(HistogramPoint::read)
                    .collect::<Result<_, _>>()?,
            })
        });
        series
            .collect::<Result<_, String>>()
            .map_err(|message| self.error(Some(query), message))
    }

    /// The samples of a range query from one time to another, so far apart.
    ///
    /// # Errors
    /// As for [`Self::vector`].
    pub fn range(
        &self,
        query: &str,
        (from_ms, to_ms): (i64, i64),
        step_ms: i64,
    ) -> Result<Vec<Stored>, AskError> {
        let (start, end, step) = (seconds(from_ms), seconds(to_ms), seconds(step_ms));
        let form = [
            ("query", query),
            ("start", &start),
            ("end", &end),
            ("step", &step),
            ("nocache", "1"),
        ];
        let items = self.ask("query_range", query, &form, "matrix")?;
        self.stored(query, items)
    }

    /// The exemplars of the series of a selector that are of a time, Unix milliseconds, both
    /// ends included; `None` where the backend does not answer that question.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn exemplars(
        &self,
        query: &str,
        (from_ms, to_ms): (i64, i64),
    ) -> Result<Option<Vec<StoredExemplar>>, AskError> {
        let (start, end) = (seconds(from_ms), seconds(to_ms));
        let form = [("query", query), ("start", &start), ("end", &end)];
        self.timed(|| {
            let request = || self.agent.post(self.endpoint_url("query_exemplars"));
            let mut response = self
                .sent(request, |request| request.send_form(form.iter().copied()))
                .map_err(|error| self.error(Some(query), self.reason(&error)))?;
            if !response.status().is_success() {
                return Ok(None);
            }
            let bytes = read_bounded(&mut response);
            let bytes = bytes.map_err(|message| self.error(Some(query), message))?;
            Ok(answer::exemplars(&bytes))
        })
    }

    /// What the backend knows of metrics' types, help and units, by name; nothing
    /// where it does not answer that question.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn metadata(&self) -> Result<BTreeMap<String, Vec<MetricMetadata>>, AskError> {
        self.timed(|| {
            let mut response = self.get("metadata")?;
            let is_answered = response.status().is_success();
            let bytes = read_bounded(&mut response).ok().filter(|_| is_answered);
            Ok(bytes
                .and_then(|bytes| answer::metadata(&bytes))
                .unwrap_or_default())
        })
    }

    fn get(&self, endpoint: &str) -> Result<Response<Body>, AskError> {
        self.sent(
            || self.agent.get(self.endpoint_url(endpoint)),
            RequestBuilder::call,
        )
        .map_err(|error| self.error(None, self.reason(&error)))
    }

    fn ask_at(&self, query: &str, at_ms: i64, expected: &str) -> Result<Vec<Item>, AskError> {
        let time = seconds(at_ms);
        // VictoriaMetrics answers for an earlier time than a recent one
        // otherwise; others ignore the field.
        let form = [("query", query), ("time", &time), ("nocache", "1")];
        self.ask("query", query, &form, expected)
    }

    fn ask(
        &self,
        endpoint: &str,
        query: &str,
        form: &[(&str, &str)],
        expected: &str,
    ) -> Result<Vec<Item>, AskError> {
        self.timed(|| self.post(endpoint, form, expected))
            .map_err(|message| self.error(Some(query), message))
    }

    /// The series of the answer to a form.
    fn post(
        &self,
        endpoint: &str,
        form: &[(&str, &str)],
        expected: &str,
    ) -> Result<Vec<Item>, String> {
        let request = || self.agent.post(self.endpoint_url(endpoint));
        let mut response = self
            .sent(request, |request| request.send_form(form.iter().copied()))
            .map_err(|error| self.reason(&error))?;
        let bytes = read_bounded(&mut response)?;
        let (series, warnings) = answer::series(&bytes, response.status(), expected)
            .map_err(|refusal| refusal.text(&self.url, &response))?;
        let mut known = self.warnings.borrow_mut();
        for warning in warnings {
            if known.len() < WARNINGS_MAX {
                known.insert(warning);
            }
        }
        Ok(series)
    }

    /// Why a request failed.
    fn reason(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect) => {
                format!(
                    "cannot be connected to within {} s (is it running, and is this its address?)",
                    CONNECT_TIMEOUT.as_secs()
                )
            }
            ureq::Error::Timeout(_) => {
                format!("has not answered within {} s", self.timeout.as_secs_f64())
            }
            error => unanswered(error),
        }
    }

    fn endpoint_url(&self, endpoint: &str) -> String {
        format!("{}/api/v1/{endpoint}{}", self.url, self.query)
    }

    /// The answer to a request; where the backend does not let it in, the file that
    /// lets it in is read again, and if it has changed, the request sent again.
    fn sent<B>(
        &self,
        request: impl Fn() -> RequestBuilder<B>,
        send: impl Fn(RequestBuilder<B>) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, ureq::Error> {
        let authorize = |authorization: &Option<String>| {
            let request = self.counted(request());
            match authorization {
                Some(value) => request.header(header::AUTHORIZATION, value),
                None => request,
            }
        };
        let Some(files) = &self.authorization else {
            return send(authorize(&None));
        };
        let (value, version) = files.get();
        let response = send(authorize(&value))?;
        if response.status() == 401
            && let (newer, newer_version) = files.get_anew()
            && newer_version != version
        {
            return send(authorize(&newer));
        }
        Ok(response)
    }

    /// A request with the headers that every one has, counted.
    fn counted<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        self.requests.set(self.requests.get() + 1);
        let headers = self.headers.iter();
        headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    /// Adds the time that `ask` takes to what was waited.
    fn timed<R>(&self, ask: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let answer = ask();
        self.waited.set(self.waited.get() + began.elapsed());
        answer
    }

    fn error(&self, query: Option<&str>, message: String) -> AskError {
        AskError {
            url: self.url.clone(),
            query: query.map(str::to_owned),
            message,
        }
    }
}

/// A whole answer, unless it is too large.
fn read_bounded(response: &mut Response<Body>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut reader = response.body_mut().as_reader().take(ANSWER_BYTES_MAX + 1);
    let read = reader.read_to_end(&mut bytes);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => "has not answered in full in time".to_owned(),
        _ => format!("the answer breaks off: {error}"),
    })?;
    if bytes.len() as u64 > ANSWER_BYTES_MAX {
        let mib = ANSWER_BYTES_MAX >> 20;
        return Err(format!("the answer is larger than {mib} MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::credentials::Authorization;
    use crate::http::{Limits, Reply, Request, Server};

    const TIMEOUT: Duration = Duration::from_secs(5);

    /// The backend takes another token from its second request on; the file has it only
    /// when that is under way.
    #[test]
    fn a_rotated_token_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "old").unwrap();
        let source = Authorization::Bearer(path.clone());
        let files = FromFiles::new(source.paths(), move || source.value()).unwrap();
        let requests = AtomicUsize::new(0);
        let handler = move |request: &Request<'_>, reply: Reply<'_>| {
            let expected = match requests.fetch_add(1, Relaxed) {
                0 => "Bearer old",
                _ => "Bearer new",
            };
            if request.header("authorization") != Some(expected) {
                std::fs::write(&path, "new")?;
                return reply.send(401, &[], b"");
            }
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
            reply.send(200, &[], body.as_bytes())
        };
        let server = Server::bind("127.0.0.1:0", Limits::default(), handler).unwrap();
        let url = format!("http://{}", server.local_addr());
        let backend = Backend::new(&url, Vec::new(), TIMEOUT).unwrap();
        let backend = backend.authorized(files);
        for requests in [1, 3, 4] {
            assert_eq!(backend.vector("x", 0).unwrap(), []);
            assert_eq!(backend.requests(), requests);
        }
    }

    #[test]
    fn urls_and_headers_are_judged() {
        let error = |url: &str| Backend::new(url, Vec::new(), TIMEOUT).unwrap_err();
        assert!(error("localhost:9090").contains("expected a base URL"));
        assert!(error("http://").contains("http://"));
        let with_query = Backend::new("http://a/p/?b=c", Vec::new(), TIMEOUT).unwrap();
        assert_eq!(
            with_query.endpoint_url("query"),
            "http://a/p/api/v1/query?b=c"
        );
        assert!(Backend::new("http://localhost:9090/", Vec::new(), TIMEOUT).is_ok());
        let headers = vec![("X".to_owned(), "se\ncret".to_owned())];
        let error = Backend::new("http://a", headers, TIMEOUT).unwrap_err();
        assert_eq!(error, "header \"X\" cannot be sent");
    }
}
