//! One attempt to post: a request in, the receiver's answer judged (`verdict`).
//!
//! It never retries by itself, but for writing a request in the older version
//! that the receiver knows, with a token that has just become known (`access`),
//! or at the URL that the receiver sends it on to (`redirect`). Proxies from the
//! environment are not used, so that it is the receiver that is tested.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ureq::http::{Response, header};
use ureq::typestate::WithBody;
use ureq::{Agent, RequestBuilder};

use super::access::{Access, Key};
use super::downgrade::to_version_1;
use super::redirect::{REDIRECTS_MAX, follow};
use super::request::Request;
use super::target::{Packing, Protocol, Target};
use super::verdict::{Answer, Verdict, Written, judge_error};
use super::{retry, tls};
use crate::clock::Clock;
use crate::config::shown_url;
use crate::remote_write::Version;

/// A response's body beyond this is not read (the specification's limit).
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Receivers close connections that were idle for a minute.
const IDLE_AGE_MAX: Duration = Duration::from_secs(55);
const USER_AGENT: &str = concat!("mockingbird/", env!("CARGO_PKG_VERSION"));

/// Posts requests to one receiver over connections that are kept.
#[derive(Debug, Clone)]
pub(super) struct Client {
    access: Access,
    url: String,
    headers: Vec<(String, String)>,
    packing: Packing,
    /// The log tells that requests are sent on.
    redirected: Arc<AtomicBool>,
    /// The receiver does not know version 2 of remote write.
    downgraded: Arc<AtomicBool>,
    clock: Clock,
}

/// Connections as `target` wants them, with the certificates that its files hold.
fn connect(target: &Target) -> Result<Agent, String> {
    let timeout = Some(Duration::from_nanos(target.timeout_ns));
    // A little longer than the interval, so that connections outlive it.
    let idle_age = Duration::from_nanos(target.interval_ns) + Duration::from_secs(5);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(USER_AGENT)
        .tls_config(tls::load(target.section, &target.tls)?)
        .max_idle_connections(target.concurrency)
        .max_idle_connections_per_host(target.concurrency)
        .max_idle_age(idle_age.min(IDLE_AGE_MAX))
        .timeout_global(timeout)
        .timeout_per_call(timeout)
        .timeout_resolve(timeout)
        .timeout_connect(timeout)
        .timeout_send_request(timeout)
        .timeout_send_body(timeout)
        .timeout_recv_response(timeout)
        .timeout_recv_body(timeout)
        .build();
    Ok(config.new_agent())
}

/// Headers of which answers to version 2 of remote write have at least one.
const WRITTEN: [&str; 3] = [
    "X-Prometheus-Remote-Write-Samples-Written",
    "X-Prometheus-Remote-Write-Histograms-Written",
    "X-Prometheus-Remote-Write-Exemplars-Written",
];

impl Client {
    /// A client that has not connected yet; the error is a mistake in the
    /// configuration.
    pub(super) fn new(target: &Target, clock: Clock) -> Result<Self, String> {
        Ok(Self {
            access: Access::new(target, connect)?,
            redirected: Arc::default(),
            url: target.url.clone(),
            headers: target.headers.clone(),
            packing: target.packing,
            downgraded: Arc::default(),
            clock,
        })
    }

    /// Set as soon as the receiver turns out not to know version 2 of remote
    /// write.
    pub(super) fn downgraded(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.downgraded)
    }

    /// Posts one request and waits for the answer, within the time-out.
    pub(super) fn post(&self, request: &Request) -> Verdict {
        const V2: Protocol = Protocol::RemoteWrite(Version::V2);
        let Request { protocol, body, .. } = request;
        if *protocol != V2 {
            return self.attempt(request, *protocol, body).0;
        }
        if !self.downgraded.load(Relaxed) {
            let (verdict, is_unknown) = self.attempt(request, V2, body);
            if !is_unknown {
                return verdict;
            }
            if !self.downgraded.swap(true, Relaxed) {
                log::warn!(
                    "push to {}: the receiver does not know version 2 of remote write; \
                     sending version 1 from now on",
                    shown_url(&self.url)
                );
            }
        }
        match to_version_1(body) {
            Some(body) => {
                let v1 = Protocol::RemoteWrite(Version::V1);
                self.attempt(request, v1, &body).0
            }
            None => Verdict::Refused {
                what: "the request cannot be written in version 1".to_owned(),
            },
        }
    }

    /// Has the files that give access read again with the next request. Returns at
    /// once.
    pub(super) fn doubt_files(&self) {
        self.access.doubt();
    }

    /// Posts a body that says the same as the request. True if the receiver does
    /// not know its version.
    fn attempt(&self, request: &Request, protocol: Protocol, body: &[u8]) -> (Verdict, bool) {
        let key = self.access.key();
        let mut sent = self.send(&key, request, protocol, body);
        if let Ok(Answer { status: 401, .. }) = sent
            && let Some(newer) = self.access.newer_than(&key)
        {
            sent = self.send(&newer, request, protocol, body);
        }
        let answer = match sent {
            Ok(answer) => answer,
            Err(verdict) => return (verdict, false),
        };
        match protocol {
            Protocol::Otlp => (answer.judge_otlp(), false),
            Protocol::RemoteWrite(version) => {
                let is_unknown = version == Version::V2 && answer.is_of_version_1();
                (answer.judge_remote_write(request.contents), is_unknown)
            }
        }
    }

    /// The receiver's answer, wherever within it the request is sent on to; or what
    /// becomes of the request without one.
    fn send(
        &self,
        key: &Key,
        request: &Request,
        protocol: Protocol,
        body: &[u8],
    ) -> Result<Answer, Verdict> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self
                .posted(&url, key, (request, protocol))
                .send(body)
                .map_err(|error| judge_error(&error))?;
            let status = response.status().as_u16();
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            let next = follow(&url, status, location);
            let answer = self.read(response);
            match next {
                None => return Ok(answer),
                Some(Err(what)) => return Err(Verdict::Refused { what }),
                Some(Ok(next)) => {
                    if !self.redirected.swap(true, Relaxed) {
                        log::info!(
                            "push to {}: answered {status}; following to {}, which its URL \
                             could be",
                            shown_url(&self.url),
                            shown_url(&next)
                        );
                    }
                    url = next;
                }
            }
        }
        let what = format!(
            "redirects more than {REDIRECTS_MAX} times, at last to {}",
            shown_url(&url)
        );
        Err(Verdict::Refused { what })
    }

    /// A request without its body.
    fn posted(
        &self,
        url: &str,
        key: &Key,
        (request, protocol): (&Request, Protocol),
    ) -> RequestBuilder<WithBody> {
        let mut post = key.agent.post(url);
        for &(name, value) in protocol.headers().iter().chain(&self.packing.header()) {
            post = post.header(name, value);
        }
        for (name, value) in &self.headers {
            post = post.header(name, value);
        }
        if let Some(value) = &key.authorization {
            post = post.header(header::AUTHORIZATION, value);
        }
        if protocol != Protocol::Otlp && request.failures > 0 {
            post = post.header("Retry-Attempt", request.failures.to_string());
        }
        post
    }

    /// Breaks off what is being posted; further posts fail.
    pub(super) fn shut_down(self) {
        self.access.shut_down();
    }

    fn read(&self, mut response: Response<ureq::Body>) -> Answer {
        let headers = response.headers();
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let retry_after = header(header::RETRY_AFTER.as_str());
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: retry_after.and_then(|text| retry::retry_after(text, self.clock.now_ns())),
            written: Written::of(WRITTEN.map(header)),
            ..Answer::default()
        };
        let reader = response.body_mut().as_reader();
        let read = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut answer.body);
        answer.is_whole = read.is_ok();
        answer
    }
}
