//! What a start would refuse: the files that exporters name are read and judged,
//! as they are at the start, and forgotten.

use super::target::Target;
use super::tls;
use crate::config::{Config, Finding, TlsFiles};
use crate::exporters;

/// Every mistake in a file of an exporter that is enabled.
pub fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (exporter, push) in exporters::pushing(config) {
        if let Err(error) = Target::of(push).authorize() {
            findings.push(finding(&exporter.path, &error));
        }
        judge_tls(&exporter.path, push.tls(), &mut findings);
    }
    findings
}

/// The authorities and the client's pair, each by itself.
fn judge_tls(section: &str, files: &TlsFiles, findings: &mut Vec<Finding>) {
    let authorities = TlsFiles {
        client: None,
        ..files.clone()
    };
    let pair = TlsFiles {
        ca: None,
        ..files.clone()
    };
    for part in [authorities, pair] {
        if let Err(error) = tls::load(section, &part) {
            findings.push(finding(section, &error));
        }
    }
}

/// An error of the form `exporters.otel.ca_file: …`.
fn finding(section: &str, error: &str) -> Finding {
    let (place, message) = error.split_once(": ").unwrap_or(("", error));
    let field = match place.rsplit('.').next().unwrap_or_default() {
        "password_file" => "basic_auth.password_file",
        field => field,
    };
    Finding {
        path: format!("{section}.{field}"),
        message: message.to_owned(),
    }
}
