//! Which instances are meant: their URLs from arguments, the environment and documents of
//! service discovery.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::args::CtlArgs;
use super::send::{Failure, fetch};
use crate::app::RunError;
use crate::cli::variable;
use crate::server::sd::CONTROL_LABEL;

/// Takes the place of --url.
const URL_VARIABLE: &str = "MOCKINGBIRD_URL";
const URL_DEFAULT: &str = "http://localhost:8081";
/// Instances at most; each has a thread of its own while it is asked.
const INSTANCES_MAX: usize = 256;
/// A document of many targets takes a moment.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Targets of a document of service discovery.
#[derive(Debug, Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The URLs of the instances, each once, in order; one at least.
pub(super) fn of(args: &CtlArgs) -> Result<Vec<String>, RunError> {
    let mut urls: Vec<String> = args.url.clone();
    for document in &args.urls_from {
        let text = fetch(&base_url(document), TIMEOUT).map_err(|failure| {
            let message = format!("--urls-from {document}: {}", failure.message());
            match failure {
                Failure::Unusable(_) => RunError::Config(message),
                Failure::Unreached(_) | Failure::Refused(..) => RunError::Run(message),
            }
        })?;
        let found = listed(&text);
        let found =
            found.map_err(|error| RunError::Run(format!("--urls-from {document}: {error}")))?;
        urls.extend(found);
    }
    if urls.is_empty() {
        let variable = variable(URL_VARIABLE);
        let given = variable.as_deref().unwrap_or(URL_DEFAULT);
        let given = given.split(',').map(str::trim);
        urls.extend(given.filter(|url| !url.is_empty()).map(str::to_owned));
    }
    let once = once(urls);
    match once.len() {
        0 => Err(RunError::Config(format!("{URL_VARIABLE}: has no URL"))),
        1..=INSTANCES_MAX => Ok(once),
        count => Err(RunError::Config(format!(
            "{count} instances are too many; at most {INSTANCES_MAX}"
        ))),
    }
}

/// What paths are appended to of each URL, once.
fn once(urls: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for url in urls {
        let url = base_url(&url);
        // Targets of one process are listed one after the other.
        if once.last() != Some(&url) && !once.contains(&url) {
            once.push(url);
        }
    }
    once
}

/// What paths are appended to. As everywhere else, a host and a port are enough.
fn base_url(url: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.contains("://") || !url.contains(':') {
        url.to_owned()
    } else {
        format!("http://{url}")
    }
}

/// The URLs of control APIs that a document lists, as often as it does.
fn listed(document: &str) -> Result<Vec<String>, String> {
    let groups: Vec<Group> = serde_json::from_str(document)
        .map_err(|error| format!("is no document of service discovery: {error}"))?;
    let mut urls: Vec<String> = Vec::new();
    let mut add = |labels: &BTreeMap<String, String>, address: &str| {
        let scheme = labels.get("__scheme__").map_or("http", String::as_str);
        urls.push(format!("{scheme}://{address}"));
    };
    for Group { targets, labels } in &groups {
        if let Some(control) = labels.get(CONTROL_LABEL) {
            // The scheme is that of the pages.
            add(&BTreeMap::new(), control);
        } else if labels
            .keys()
            .any(|name| name.starts_with("__meta_mockingbird_"))
        {
            let target = targets.first().map_or("", String::as_str);
            return Err(format!(
                "does not tell where the control API of {target} is: it is not reached from \
                 elsewhere unless global.control_api_bind says so; name it with --url"
            ));
        } else {
            for target in targets {
                add(labels, target);
            }
        }
    }
    if urls.is_empty() {
        return Err("lists no targets".into());
    }
    Ok(urls)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_list_instances_once() {
        let page = |control: Option<&str>| {
            let mut group = json!({"targets": ["a:8000"], "labels":
                {"__meta_mockingbird_target": "t", "__scheme__": "https"}});
            if let Some(control) = control {
                group["labels"][CONTROL_LABEL] = control.into();
            }
            group
        };
        let listed = |groups: serde_json::Value| listed(&groups.to_string()).map(once);
        let found = listed(json!([
            page(Some("a:8081")),
            page(Some("b:8081")),
            page(Some("a:8081"))
        ]));
        assert_eq!(found.unwrap(), ["http://a:8081", "http://b:8081"]);
        // A list that somebody wrote has the addresses themselves.
        let by_hand = json!([
            {"targets": ["a:1", "b:1", "a:1"]},
            {"targets": ["c:1"], "labels": {"__scheme__": "https"}},
        ]);
        let found = listed(by_hand).unwrap();
        assert_eq!(found, ["http://a:1", "http://b:1", "https://c:1"]);
        let refused = |groups, word| {
            let error = listed(groups).unwrap_err();
            assert!(error.contains(word), "{error}");
        };
        refused(json!([page(None)]), "control API of a:8000");
        refused(json!([]), "lists no targets");
        refused(json!({"targets": []}), "no document of service discovery");
    }

    #[test]
    fn hosts_with_a_port_are_urls() {
        for (given, expected) in [
            ("a:1", "http://a:1"),
            ("http://a:1/", "http://a:1"),
            ("https://a", "https://a"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(base_url(given), expected);
        }
    }
}
