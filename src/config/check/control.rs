//! `global`'s fields about the control API and the journal.
//!
//! It only judges texts; it opens no file and resolves no name.

use std::net::IpAddr;
use std::path::PathBuf;

use super::super::problem::{Path, quoted};
use super::super::raw::Item;
use super::{Checker, Environment};

/// The variable that overrides `global.control_api_token`.
const TOKEN_VARIABLE: &str = "MOCKINGBIRD_CONTROL_TOKEN";
const TOKEN_BYTES_MAX: usize = 1024;
const HOSTS_MAX: usize = 100;

impl Checker<'_> {
    /// The environment's token if it has one, else the file's; both are
    /// checked, neither is repeated in a message.
    pub(super) fn token(
        &mut self,
        at: &Path,
        raw: Option<String>,
        environment: Environment,
    ) -> Option<String> {
        if let Some(message) = raw.as_deref().and_then(token_problem) {
            self.problems.add(at, message);
        }
        match environment(TOKEN_VARIABLE).filter(|token| !token.is_empty()) {
            Some(token) => {
                if let Some(message) = token_problem(&token) {
                    self.problems.add_environment(TOKEN_VARIABLE, message);
                }
                Some(token)
            }
            None => raw,
        }
    }

    /// Host names in lower case, as they are compared.
    pub(super) fn hosts(&mut self, at: &Path, raw: Option<Vec<Item<String>>>) -> Vec<String> {
        let raw = raw.unwrap_or_default();
        if raw.len() > HOSTS_MAX {
            let message = format!("at most {HOSTS_MAX} host names, found {}", raw.len());
            self.problems.add(at, message);
            return Vec::new();
        }
        let hosts = self.items(at, raw);
        hosts
            .into_iter()
            .filter_map(|(path, host)| {
                let host = host?;
                if !is_host(&host) {
                    let hint = match host.rsplit_once(':') {
                        Some((name, port)) if is_host(name) && port.parse::<u16>().is_ok() => {
                            format!("remove the port: {}", quoted(name))
                        }
                        _ => format!("found {}", quoted(&host)),
                    };
                    let message = format!(
                        "expected a host name or IP address such as metrics.example.org, {hint}"
                    );
                    self.problems.add(&path, message);
                }
                Some(host.to_ascii_lowercase())
            })
            .collect()
    }

    pub(super) fn journal_file(&mut self, at: &Path, raw: Option<String>) -> Option<PathBuf> {
        let text = raw?;
        if text.is_empty() {
            self.problems.add(at, "must not be empty; remove it");
        } else if text.contains('\0') {
            self.problems.add(at, "must not contain NUL");
        }
        Some(text.into())
    }
}

fn token_problem(token: &str) -> Option<String> {
    if token.is_empty() {
        Some("must not be empty; remove it to ask for no token".to_owned())
    } else if token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some(format!(
            "must be at most {TOKEN_BYTES_MAX} visible ASCII characters without spaces"
        ))
    } else {
        None
    }
}

fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_name = !text.is_empty() && text.len() <= 253 && text.chars().all(fits);
    is_name || text.parse::<IpAddr>().is_ok()
}
