//! `ctl`: talks to the control API of a running instance. Arguments in (`args`), one request
//! (`call`), the instance's reply as text out (`text`, `status`).

mod args;
mod call;
mod help;
mod status;
mod text;

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Request;

use super::{print, variable};
use crate::app::RunError;
use crate::causes::unanswered;
use args::Ctl;
pub(super) use args::CtlArgs;
use call::Call;

/// Longer than the instance takes for anything, a reload included.
const TIMEOUT: Duration = Duration::from_secs(90);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a reply that are read: a whole journal.
const REPLY_BYTES_MAX: u64 = 128 << 20;
/// Takes the place of --url.
const URL_VARIABLE: &str = "MOCKINGBIRD_URL";
const URL_DEFAULT: &str = "http://localhost:8081";
/// Holds the token, where the instance asks for one.
const TOKEN_VARIABLE: &str = "MOCKINGBIRD_CONTROL_TOKEN";

/// Asks the instance and prints its reply.
pub(super) fn ctl(args: CtlArgs) -> Result<(), RunError> {
    let is_journal = matches!(args.command, Ctl::Journal);
    args.command.check_labels()?;
    let call = Call::of(args.command);
    let url = args.url.or_else(|| variable(URL_VARIABLE));
    let url = url.as_deref().unwrap_or(URL_DEFAULT).trim_end_matches('/');
    // As everywhere else, a host and a port are enough.
    let url = if url.contains("://") || !url.contains(':') {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let reply = send(&url, &call)?;
    if args.json || is_journal {
        return print(reply.as_bytes());
    }
    let value = serde_json::from_str(&reply)
        .map_err(|_| RunError::Run(format!("{url}: the reply is no JSON; is this Mockingbird?")))?;
    print((call.text)(&value).as_bytes())
}

/// The reply to a call that was successful.
fn send(url: &str, call: &Call) -> Result<String, RunError> {
    let unusable =
        |error: &dyn std::fmt::Display| RunError::Config(format!("--url {url}: {error}"));
    let failed = |error: &dyn std::fmt::Display| RunError::Run(format!("{url}: {error}"));
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .build()
        .into();
    let mut request = Request::builder()
        .method(call.method)
        .uri(format!("{url}{}", call.path));
    if let Some(token) = variable(TOKEN_VARIABLE) {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let sent = match &call.body {
        Some(body) => {
            let request = request.header("Content-Type", "application/json");
            let request = request.body(body.to_string());
            agent.run(request.map_err(|error| unusable(&error))?)
        }
        None => agent.run(request.body(()).map_err(|error| unusable(&error))?),
    };
    let mut response = sent.map_err(|error| match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => unusable(&error),
        error => {
            let error = unanswered(&error);
            failed(&format_args!(
                "{error}; its port is global.control_api_port"
            ))
        }
    })?;
    let status = response.status();
    let mut reply = String::new();
    let reader = response.body_mut().as_reader();
    reader
        .take(REPLY_BYTES_MAX + 1)
        .read_to_string(&mut reply)
        .map_err(|error| failed(&error))?;
    if reply.len() as u64 > REPLY_BYTES_MAX {
        let mib = REPLY_BYTES_MAX >> 20;
        return Err(RunError::Run(format!(
            "{url}: the reply is larger than {mib} MiB"
        )));
    }
    if status.is_success() {
        return Ok(reply);
    }
    let message = text::refusal(status.as_u16(), &reply);
    match status.as_u16() {
        400..500 => Err(RunError::Config(message)),
        _ => Err(RunError::Run(message)),
    }
}
