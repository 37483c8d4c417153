//! What a scrape asks for, and what goes wrong with it on purpose.

use std::time::{Duration, Instant};

use crate::escaping::Escaping;
use crate::exposition::Format;
use crate::exposition::negotiate::{self, Encoding};
use crate::faults::ScrapeFaults;
use crate::http::{Refusal, Reply, Request};

/// A delayed scrape checks this often whether the server stops.
const DELAY_STEP: Duration = Duration::from_millis(50);

/// What a scrape asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The families of these names; `None` for all.
    names: Option<Vec<String>>,
    pub(super) format: Format,
    /// What becomes of names.
    pub(super) escaping: Escaping,
    content_type: &'static str,
    pub(super) gzip: bool,
}

impl Asked {
    /// # Errors
    /// When the query cannot be read.
    pub(super) fn of(request: &Request<'_>) -> Result<Self, Refusal> {
        let names = names(request)?;
        let negotiated = negotiate::format(joined(request, "Accept").as_deref());
        let encoding = negotiate::encoding(joined(request, "Accept-Encoding").as_deref());
        Ok(Self {
            names,
            format: negotiated.format,
            escaping: negotiated.escaping,
            content_type: negotiated.content_type,
            gzip: encoding == Encoding::Gzip,
        })
    }

    /// The names of the families, if not all are asked for.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        let names = self.names.as_ref()?;
        Some(names.iter().map(String::as_str).collect())
    }

    /// The headers of the answer.
    pub(super) fn headers(&self) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![
            ("Content-Type", self.content_type),
            ("Vary", "Accept, Accept-Encoding"),
        ];
        if self.gzip {
            headers.push(("Content-Encoding", "gzip"));
        }
        headers
    }
}

/// The families that a scrape asks for by `name[]`, as client libraries'
/// handlers take it; `None` for all. Other parameters mean nothing.
fn names(request: &Request<'_>) -> Result<Option<Vec<String>>, Refusal> {
    let pairs = request.query_pairs()?.into_iter();
    let names = pairs.filter(|(name, _)| name == "name[]");
    let names: Vec<String> = names.map(|(_, value)| value).collect();
    Ok((!names.is_empty()).then_some(names))
}

/// All values of a header, as if they had come on one line.
fn joined(request: &Request<'_>, name: &str) -> Option<String> {
    let values: Vec<&str> = request.header_all(name).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Waits as long as a fault delays a scrape; false when the server stops before that.
pub(super) fn delay(struck: &ScrapeFaults, reply: &Reply<'_>) -> bool {
    let Some(time) = struck.delay else {
        return true;
    };
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        if reply.is_stopping() {
            return false;
        }
        std::thread::sleep(left.min(DELAY_STEP));
    }
}
