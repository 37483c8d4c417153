//! A client of the Prometheus HTTP query API. Every answer is untrusted: its
//! size is bounded, and what cannot be understood is an error, never a guess.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::time::{Duration, Instant};

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use ureq::Agent;
use ureq::http::{Response, header};

use crate::causes::told;

/// Counting ten million series takes a backend a while.
const TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of one answer that are read.
const ANSWER_BYTES_MAX: u64 = 512 << 20;
/// So much of an answer that is none is shown.
const SHOWN_BYTES: usize = 300;
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
    /// Its value.
    pub value: f64,
}

/// Raw samples of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its labels.
    pub labels: Labels,
    /// Unix milliseconds and value, as the backend lists them.
    pub samples: Vec<(i64, f64)>,
}

/// What a backend says of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Described {
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

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskError {
    url: String,
    query: Option<String>,
    message: String,
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
    headers: Vec<(String, String)>,
    warnings: RefCell<BTreeSet<String>>,
    requests: RefCell<u64>,
    waited: RefCell<Duration>,
}

impl Backend {
    /// A client that has not connected yet. `url` is what `/api/v1/query`
    /// follows; `headers` go with every request.
    ///
    /// # Errors
    /// What is wrong with the URL or a header; no value of a header is shown.
    pub fn new(url: &str, headers: Vec<(String, String)>) -> Result<Self, String> {
        let url = url.trim_end_matches('/').to_owned();
        let parsed: Result<ureq::http::Uri, _> = url.parse();
        let parsed = parsed.map_err(|error| format!("{url}: {error}"))?;
        let is_http = matches!(parsed.scheme_str(), Some("http" | "https"));
        if !is_http || parsed.host().is_none_or(str::is_empty) || parsed.query().is_some() {
            return Err(format!(
                "{url}: expected a base URL like http://localhost:9090"
            ));
        }
        for (name, value) in &headers {
            let is_header = header::HeaderName::from_bytes(name.as_bytes()).is_ok();
            if !is_header || header::HeaderValue::from_str(value).is_err() {
                return Err(format!("{name:?} is no header that can be sent"));
            }
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(USER_AGENT)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            url,
            headers,
            warnings: RefCell::default(),
            requests: RefCell::default(),
            waited: RefCell::default(),
        })
    }

    /// A client of the same backend that counts for itself.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            agent: self.agent.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            warnings: RefCell::default(),
            requests: RefCell::default(),
            waited: RefCell::default(),
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
        *self.requests.borrow()
    }

    /// Time spent on waiting for answers and reading them.
    pub fn waited(&self) -> Duration {
        *self.waited.borrow()
    }

    /// Finds out what answers.
    ///
    /// # Errors
    /// When nothing does.
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
            let Point(_, value) = item.value.ok_or("a series has no value")?;
            Ok(Row {
                labels: item.metric,
                value,
            })
        });
        rows.collect::<Result<_, String>>()
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
            let values = item.values.ok_or("a series has no values")?;
            let samples = values
                .into_iter()
                .map(|Point(time_ms, value)| (time_ms, value));
            Ok(Stored {
                labels: item.metric,
                // In place: nothing is copied.
                samples: samples.collect(),
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

    /// What the backend knows of metrics' types, help and units, by name; nothing
    /// where it does not answer that question.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn metadata(&self) -> Result<BTreeMap<String, Vec<Described>>, AskError> {
        let began = Instant::now();
        let told = self.metadata_now();
        *self.waited.borrow_mut() += began.elapsed();
        told
    }

    fn metadata_now(&self) -> Result<BTreeMap<String, Vec<Described>>, AskError> {
        let mut response = self.get("metadata")?;
        let mut bytes = Vec::new();
        let reader = response.body_mut().as_reader();
        let read = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        let answer: Option<DescribedAnswer> = match read {
            Ok(_) if response.status().is_success() => serde_json::from_slice(&bytes).ok(),
            _ => None,
        };
        Ok(answer.map(|answer| answer.data).unwrap_or_default())
    }

    fn get(&self, endpoint: &str) -> Result<Response<ureq::Body>, AskError> {
        let mut request = self.agent.get(format!("{}/api/v1/{endpoint}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        *self.requests.borrow_mut() += 1;
        request
            .call()
            .map_err(|error| self.error(None, told(&error)))
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
        let began = Instant::now();
        let asked = self.ask_now(endpoint, query, form, expected);
        *self.waited.borrow_mut() += began.elapsed();
        asked
    }

    fn ask_now(
        &self,
        endpoint: &str,
        query: &str,
        form: &[(&str, &str)],
        expected: &str,
    ) -> Result<Vec<Item>, AskError> {
        let failed = |message: String| self.error(Some(query), message);
        let url = format!("{}/api/v1/{endpoint}", self.url);
        let mut request = self.agent.post(&url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        *self.requests.borrow_mut() += 1;
        let mut response = request
            .send_form(form.iter().copied())
            .map_err(|error| failed(told(&error)))?;
        let status = response.status();
        let mut bytes = Vec::new();
        let reader = response.body_mut().as_reader();
        reader
            .take(ANSWER_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(format!("the answer breaks off: {error}")))?;
        if bytes.len() as u64 > ANSWER_BYTES_MAX {
            return Err(failed(format!(
                "the answer is larger than {} MiB",
                ANSWER_BYTES_MAX >> 20
            )));
        }
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| {
            let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
            let shown = clipped(&String::from_utf8_lossy(shown));
            failed(format!(
                "answers {status}, but not as the Prometheus query API does: {error}: {shown}"
            ))
        })?;
        if let Some(error) = answer.error {
            return Err(failed(format!("refuses: {}", clipped(&error))));
        }
        let mut warnings = self.warnings.borrow_mut();
        for warning in answer.warnings.into_iter().flatten() {
            if warnings.len() < WARNINGS_MAX {
                warnings.insert(clipped(&warning));
            }
        }
        match answer.data {
            Some(data) if status.is_success() && answer.status == "success" => {
                if data.result_type == expected {
                    return Ok(data.result);
                }
                Err(failed(format!(
                    "answers with a {}, expected a {expected}",
                    clipped(&data.result_type)
                )))
            }
            _ => Err(failed(format!("answers {status} without data"))),
        }
    }

    fn error(&self, query: Option<&str>, message: String) -> AskError {
        AskError {
            url: self.url.clone(),
            query: query.map(str::to_owned),
            message,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct DescribedAnswer {
    data: BTreeMap<String, Vec<Described>>,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    metric: Labels,
    value: Option<Point>,
    values: Option<Vec<Point>>,
}

/// Unix milliseconds and a value, read without a string in between: answers have
/// millions of them.
#[derive(Debug, Clone, Copy)]
struct Point(i64, f64);

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time and a value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Point, A::Error> {
                let missing = || A::Error::custom("a sample is a time and a value");
                let seconds: f64 = pair.next_element()?.ok_or_else(missing)?;
                let Value(value) = pair.next_element()?.ok_or_else(missing)?;
                let time_ms = milliseconds(seconds).map_err(A::Error::custom)?;
                Ok(Point(time_ms, value))
            }
        }
        deserializer.deserialize_tuple(2, Pair)
    }
}

/// A value as the API writes it, in quotes.
struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value in quotes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
                number(text).map(Value).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A value as the API writes it.
fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| format!("{:?} is no value", clipped(text)))
}

/// Unix milliseconds of the API's seconds.
fn milliseconds(seconds: f64) -> Result<i64, String> {
    const SECONDS_MAX: f64 = 1e12;
    if seconds.abs() < SECONDS_MAX {
        Ok((seconds * 1000.0).round() as i64)
    } else {
        Err(format!("{seconds} is no time"))
    }
}

/// A time as the API takes it.
pub(super) fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

/// The beginning of a text, on one line.
fn clipped(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let clipped: String = text.chars().take(SHOWN_BYTES).map(printable).collect();
    if clipped.len() < text.len() {
        clipped + "…"
    } else {
        clipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_milliseconds() {
        for ms in [0, 1, 999, 1_795_524_380_123, 9_999_999_999_999] {
            let text = seconds(ms);
            assert_eq!(milliseconds(text.parse().unwrap()), Ok(ms), "{text}");
        }
        assert!(milliseconds(f64::NAN).is_err());
        assert!(milliseconds(1e300).is_err());
    }

    #[test]
    fn values_are_read_as_the_api_writes_them() {
        assert_eq!(number("+Inf"), Ok(f64::INFINITY));
        assert_eq!(number("-Inf"), Ok(f64::NEG_INFINITY));
        assert_eq!(number("1e-07"), Ok(1e-7));
        assert!(number("NaN").unwrap().is_nan());
        assert_eq!(number("x\n"), Err("\"x \" is no value".into()));
    }

    #[test]
    fn urls_and_headers_are_judged() {
        let error = |url: &str| Backend::new(url, Vec::new()).unwrap_err();
        assert!(error("localhost:9090").contains("expected a base URL"));
        assert!(error("http://").contains("http://"));
        assert!(error("http://a/?b=c").contains("expected a base URL"));
        assert!(Backend::new("http://localhost:9090/", Vec::new()).is_ok());
        let headers = vec![("X".to_owned(), "se\ncret".to_owned())];
        let error = Backend::new("http://a", headers).unwrap_err();
        assert_eq!(error, "\"X\" is no header that can be sent");
    }
}
