//! One request to one instance, and its reply.

use std::fmt::Display;
use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use super::call::Call;
use super::text;
use crate::app::RunError;
use crate::causes::unanswered;
use crate::cli::variable;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a reply that are read: a whole journal.
const REPLY_BYTES_MAX: u64 = 128 << 20;
/// Holds the token, where the instance asks for one.
const TOKEN_VARIABLE: &str = "MOCKINGBIRD_CONTROL_TOKEN";

/// Why there is no reply to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing can be asked of such a URL.
    Unusable(String),
    /// It did not answer, or not as an instance does.
    Unreached(String),
    /// It refuses, or is not able to.
    Refused(u16, String),
}

impl Failure {
    /// What is wrong, the URL left out.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Unusable(message) | Self::Unreached(message) | Self::Refused(_, message) => {
                message
            }
        }
    }

    /// Whether another request would be answered otherwise.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Unusable(_) | Self::Refused(400..500, _))
    }

    /// As the end of the command, where only this instance was asked.
    pub(super) fn of_one(self, url: &str) -> RunError {
        let is_refusal = self.is_refusal();
        match self {
            Self::Unusable(message) => RunError::Config(format!("--url {url}: {message}")),
            Self::Unreached(message) => RunError::Run(format!("{url}: {message}")),
            Self::Refused(_, message) if is_refusal => RunError::Config(message),
            Self::Refused(_, message) => RunError::Run(message),
        }
    }
}

/// The reply to a call that was successful.
///
/// # Errors
/// Why there is none.
pub(super) fn send(url: &str, call: &Call, timeout: Duration) -> Result<String, Failure> {
    let mut request = Request::builder()
        .method(call.method)
        .uri(format!("{url}{}", call.path));
    if let Some(token) = variable(TOKEN_VARIABLE) {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let agent = agent(timeout);
    let sent = match &call.body {
        Some(body) => {
            let request = request.header("Content-Type", "application/json");
            let request = request.body(body.to_string());
            agent.run(request.map_err(unusable)?)
        }
        None => agent.run(request.body(()).map_err(unusable)?),
    };
    let (status, reply) = answered(sent, "; its port is global.control_api_port")?;
    match status {
        200..300 => Ok(reply),
        _ => Err(Failure::Refused(status, text::refusal(status, &reply))),
    }
}

/// The reply as JSON.
///
/// # Errors
/// Why there is none.
pub(super) fn ask(url: &str, call: &Call, timeout: Duration) -> Result<Value, Failure> {
    json(&send(url, call, timeout)?)
}

/// A reply as JSON.
///
/// # Errors
/// When it is not.
pub(super) fn json(reply: &str) -> Result<Value, Failure> {
    let no_json = |_| Failure::Unreached("the reply is no JSON; is this Mockingbird?".into());
    serde_json::from_str(reply).map_err(no_json)
}

/// Any document, without the token.
///
/// # Errors
/// Why there is none.
pub(super) fn fetch(url: &str, timeout: Duration) -> Result<String, Failure> {
    let request = Request::get(url).body(()).map_err(unusable)?;
    let (status, reply) = answered(agent(timeout).run(request), "")?;
    if (200..300).contains(&status) {
        return Ok(reply);
    }
    let reply: String = reply.chars().take(200).collect();
    let message = format!("answered {status}: {}", reply.trim());
    Err(Failure::Refused(status, message))
}

/// Status and body of what was answered; `hint` follows why nothing was.
fn answered(
    sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    hint: &str,
) -> Result<(u16, String), Failure> {
    match sent {
        Ok(response) => read(response),
        Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_))) => Err(unusable(error)),
        Err(error) => Err(Failure::Unreached(format!("{}{hint}", unanswered(&error)))),
    }
}

fn agent(timeout: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(timeout))
        .timeout_connect(Some(CONNECT_TIMEOUT.min(timeout)))
        .build()
        .into()
}

fn unusable(error: impl Display) -> Failure {
    Failure::Unusable(error.to_string())
}

/// Status and body of a reply.
fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<(u16, String), Failure> {
    let status = response.status().as_u16();
    let mut reply = String::new();
    let reader = response.body_mut().as_reader();
    reader
        .take(REPLY_BYTES_MAX + 1)
        .read_to_string(&mut reply)
        .map_err(|error| Failure::Unreached(error.to_string()))?;
    if reply.len() as u64 > REPLY_BYTES_MAX {
        let mib = REPLY_BYTES_MAX >> 20;
        let message = format!("the reply is larger than {mib} MiB");
        return Err(Failure::Unreached(message));
    }
    Ok((status, reply))
}
