//! Paths and methods: what each takes, does and answers.
//!
//! It holds no state of the run: changes go through the hub, and what is read is the
//! hub's snapshot or the latest frame.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::error::ErrorReply;
use super::hub::{Change, Done, Held, Hub, InEffect, NotDone, Tell};
use super::reload::Reloader;
use super::series::{self, Query, Readers};
use super::status::{self, Sources};
use super::{OPENAPI, actions, changes, guard};
use crate::clock::Clock;
use crate::config::{self, Global};
use crate::http::{Handler, Refusal, Reply, Request, Sent, percent_decode};
use crate::journal::{Entry, Event};
use crate::selfmetrics::SelfMetrics;
use crate::server::{self, Board};

/// Lines of the journal that are taken at once, at most.
const JOURNAL_LINES_MAX: usize = 1000;

/// Answers requests on the control API's port.
#[derive(Debug)]
pub struct ControlHandler {
    /// Token, host names and tick interval; a reload leaves them as they are.
    global: Global,
    hub: Arc<Hub>,
    reloader: Arc<Reloader>,
    board: Arc<Board>,
    own: Arc<SelfMetrics>,
    clock: Clock,
    /// Where `/metrics` listens, if it does.
    metrics_addr: Option<SocketAddr>,
    readers: Readers,
    /// The description of the API as it is served here.
    openapi: String,
}

/// What a request that is not refused is answered with.
enum Answer {
    Json(Value),
    /// It will be done later.
    Accepted(Value),
    OpenApi,
    Journal(Arc<InEffect>),
    Series(Query),
    Health,
}

impl ControlHandler {
    /// A handler; until the hub tells what is in effect, most is answered with 503.
    pub fn new(
        global: Global,
        hub: Arc<Hub>,
        reloader: Arc<Reloader>,
        (board, own): (Arc<Board>, Arc<SelfMetrics>),
        clock: Clock,
        metrics_addr: Option<SocketAddr>,
    ) -> Self {
        Self {
            openapi: openapi(&global),
            global,
            hub,
            reloader,
            board,
            own,
            clock,
            metrics_addr,
            readers: Readers::default(),
        }
    }

    fn answer(&self, request: &Request<'_>) -> Result<Answer, ErrorReply> {
        let path = request.path();
        if path == "/healthz" {
            allow(request, "GET, HEAD")?;
            return Ok(Answer::Health);
        }
        guard::check_host(request, &self.global)?;
        guard::check_token(request, &self.global)?;
        let rest = path.strip_prefix("/control/");
        let (name, item) = match rest.map(|rest| rest.split_once('/')) {
            None => return self.read(request),
            Some(None) => (rest.unwrap_or_default(), None),
            Some(Some((name, item))) => (name, Some(percent_decode(item)?)),
        };
        match (name, item) {
            ("journal", None) => {
                allow(request, "GET, HEAD")?;
                Ok(Answer::Journal(self.in_effect()?))
            }
            (name, None) if changes::POSTED.contains(&name) => {
                allow(request, "POST")?;
                self.post(request, name)
            }
            (name, Some(item)) if changes::DELETED.contains(&name) => {
                allow(request, "DELETE")?;
                self.delete(request, name, &item)
            }
            ("scheduled", Some(id)) => {
                allow(request, "GET, HEAD, POST, DELETE")?;
                self.scheduled(request, &id).map(Answer::Json)
            }
            _ => Err(not_found()),
        }
    }

    fn read(&self, request: &Request<'_>) -> Result<Answer, ErrorReply> {
        let path = request.path();
        if !matches!(path, "/status" | "/series" | "/config" | "/openapi.json") {
            return Err(not_found());
        }
        allow(request, "GET, HEAD")?;
        match path {
            "/openapi.json" => Ok(Answer::OpenApi),
            "/series" => Query::of(request, &self.in_effect()?.config).map(Answer::Series),
            "/config" => Ok(Answer::Json(config::effective(&self.in_effect()?.config))),
            _ => self.status().map(Answer::Json),
        }
    }

    fn status(&self) -> Result<Value, ErrorReply> {
        let in_effect = self.in_effect()?;
        let frame = self.board.latest();
        Ok(status::status(&Sources {
            in_effect: &in_effect,
            frame: frame.as_deref(),
            own: &self.own,
            clock: self.clock,
            metrics_addr: self.metrics_addr,
            instance: self.reloader.instance(),
        }))
    }

    fn post(&self, request: &Request<'_>, name: &str) -> Result<Answer, ErrorReply> {
        let when = changes::When::of(request)?;
        let fields = guard::json_object(request)?;
        let body = when.map_or(Value::Null, |_| fields.clone().into());
        if name == "reload" {
            actions::only(&fields, "")?;
            return self.reloader.with(|change, switch| {
                let tell = changes::tell_reload(switch);
                self.make(request, (when, body), (change, tell))
            });
        }
        let asked = changes::of_post(&self.in_effect()?.config, name, fields)?;
        self.make(request, (when, body), asked)
    }

    fn delete(&self, request: &Request<'_>, name: &str, item: &str) -> Result<Answer, ErrorReply> {
        let when = changes::When::of(request)?;
        no_body(request)?;
        let asked = changes::of_delete(&self.in_effect()?.config, name, item)?;
        self.make(request, (when, Value::Null), asked)
    }

    /// Has a change made now, or scheduled.
    fn make(
        &self,
        request: &Request<'_>,
        (when, body): (Option<changes::When>, Value),
        (change, tell): (Change, Tell),
    ) -> Result<Answer, ErrorReply> {
        let asked = format!("{} {}", request.method(), request.path());
        let Some(when) = when else {
            log::info!("{asked} by {}", request.peer());
            return Ok(Answer::Json(tell.tell(self.hub.request(change)?)));
        };
        let at_tick = when.at_tick;
        log::info!("{asked} for tick {at_tick} by {}", request.peer());
        let held = Held {
            at_tick,
            is_confirmed: !when.is_held,
            request: asked,
            body: Arc::new(body),
            change,
            tell,
        };
        self.schedule(Change::Schedule(Box::new(held)))
            .map(Answer::Accepted)
    }

    /// What becomes of a scheduled change: it is read, confirmed or cancelled.
    fn scheduled(&self, request: &Request<'_>, id: &str) -> Result<Value, ErrorReply> {
        let unknown = |_| {
            let id = actions::clipped(id);
            ErrorReply::new(
                404,
                format!("no scheduled change {id:?}; an id is a number"),
            )
        };
        let id = id.parse().map_err(unknown)?;
        match request.method() {
            "POST" => {
                actions::only(&guard::json_object(request)?, "")?;
                self.schedule(Change::Confirm(id))
            }
            "DELETE" => {
                no_body(request)?;
                self.schedule(Change::Cancel(id))
            }
            _ => {
                let in_effect = self.in_effect()?;
                let found = in_effect.scheduled.iter().find(|one| one.id == id);
                let found = found.ok_or(NotDone::NotScheduled(id))?;
                Ok(status::scheduled(found))
            }
        }
    }

    fn schedule(&self, change: Change) -> Result<Value, ErrorReply> {
        self.in_effect()?;
        match self.hub.request(change)? {
            Done::Scheduled(scheduled) => Ok(status::scheduled(&scheduled)),
            done => unreachable!("it is about what is scheduled: {done:?}"),
        }
    }

    fn in_effect(&self) -> Result<Arc<InEffect>, ErrorReply> {
        let starting = || ErrorReply::new(503, "starting").header("Retry-After", "1");
        self.hub.in_effect().ok_or_else(starting)
    }

    fn series(&self, query: &Query, reply: Reply<'_>) -> io::Result<Sent> {
        let Some(_reading) = self.readers.begin() else {
            let busy = ErrorReply::new(503, "too many readers of series at the same time");
            return refuse(&busy.header("Retry-After", "1"), reply);
        };
        let Some(frame) = self.board.latest() else {
            return refuse(&ErrorReply::new(503, "starting: no tick yet"), reply);
        };
        let mut body = reply.stream(200, &HEADERS);
        if body.wants_body() {
            series::write(&mut body, &frame, query)?;
        }
        body.finish()
    }

    /// Sends what the journal has at this moment, and how far the run is.
    fn journal(&self, in_effect: &InEffect, reply: Reply<'_>) -> io::Result<Sent> {
        let headers = [
            ("Content-Type", "application/x-ndjson"),
            HEADERS[1],
            HEADERS[2],
        ];
        let mut body = reply.stream(200, &headers);
        let end = in_effect.journal.status().entries;
        // Looked up after that: it is no earlier than what any entry tells.
        let latest = self.board.latest();
        let mut from = 0;
        while from < end && body.wants_body() {
            let lines = in_effect
                .journal
                .get(from, JOURNAL_LINES_MAX.min(end - from));
            for line in &lines {
                body.write_all(line.as_bytes())?;
            }
            from += lines.len();
        }
        if let Some(frame) = latest {
            let interval_ns = self.global.tick_interval_ns as i64;
            let copied = Entry {
                tick: frame.tick() + 1,
                time_ns: frame.time_ns().saturating_add(interval_ns),
                event: Event::Copied(self.clock.now_ns()),
            };
            body.write_all(copied.line().as_bytes())?;
        }
        body.finish()
    }
}

impl Handler for ControlHandler {
    fn handle(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        match self.answer(request) {
            Err(refused) => refuse(&refused, reply),
            Ok(Answer::Json(value)) => {
                let body = format!("{value}\n");
                reply.send(200, &HEADERS, body.as_bytes())
            }
            Ok(Answer::Accepted(value)) => {
                let body = format!("{value}\n");
                reply.send(202, &HEADERS, body.as_bytes())
            }
            Ok(Answer::OpenApi) => reply.send(200, &HEADERS, self.openapi.as_bytes()),
            Ok(Answer::Journal(in_effect)) => self.journal(&in_effect, reply),
            Ok(Answer::Series(query)) => self.series(&query, reply),
            Ok(Answer::Health) => {
                let interval_ns = self.global.tick_interval_ns;
                server::health(&self.board, &self.clock, interval_ns, reply)
            }
        }
    }

    fn refuse(&self, refusal: &Refusal, reply: Reply<'_>) -> io::Result<Sent> {
        refuse(&ErrorReply::new(refusal.status, refusal.reason), reply)
    }
}

/// A web page that shows a reply must not take it for anything else than JSON.
const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "application/json"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
];

fn refuse(refused: &ErrorReply, reply: Reply<'_>) -> io::Result<Sent> {
    let mut headers = HEADERS.to_vec();
    if let Some((name, value)) = &refused.header {
        headers.push((name, value));
    }
    reply.send(refused.status, &headers, refused.body().as_bytes())
}

/// Checks a request's method.
fn allow(request: &Request<'_>, methods: &'static str) -> Result<(), ErrorReply> {
    if methods.split(", ").any(|method| method == request.method()) {
        return Ok(());
    }
    let error = format!("method not allowed; allowed: {methods}");
    Err(ErrorReply::new(405, error).header("Allow", methods))
}

fn no_body(request: &Request<'_>) -> Result<(), ErrorReply> {
    if request.body().is_empty() {
        return Ok(());
    }
    Err(ErrorReply::new(400, "DELETE takes no body"))
}

/// [`OPENAPI`] with what is in force: the token is asked for or not, and the
/// server is the one that tells it.
fn openapi(global: &Global) -> String {
    let mut document: Value = serde_json::from_str(OPENAPI).expect("the document is JSON");
    if global.control_api_token.is_none() {
        document["security"] = json!([]);
    }
    document["servers"] = json!([{"url": "/"}]);
    format!("{document:#}\n")
}

fn not_found() -> ErrorReply {
    ErrorReply::new(404, "no such path; GET /openapi.json tells all of them")
}
