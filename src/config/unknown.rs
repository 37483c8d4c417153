//! What to say about a field that there is not: the field that was probably
//! meant, those that fit what else is said, or what there is in the place of
//! something that other generators have.

use super::check::action::{ACTIONS, fields_taken};
use super::check::parameters;
use super::elsewhere::elsewhere;
use super::suggest;
use super::yaml::Node;
use crate::layout::MetricType;

/// The message about `key` in a map that is read as the type `owner` with these
/// fields, and the field that it was probably meant to be.
pub(super) fn field(
    owner: &str,
    entries: &[(String, Node)],
    key: &str,
    fields: &'static [&'static str],
) -> (String, Option<&'static str>) {
    let known = fitting(owner, entries, fields);
    if let Some(sentence) = elsewhere(key) {
        return (format!("unknown field; {sentence}"), None);
    }
    if let Some(meant) = suggest::nearest(key, known.iter().copied()) {
        let message = format!("unknown field; did you mean {meant:?}?");
        return (message, Some(meant));
    }
    let list = suggest::list(known);
    (format!("unknown field; known fields: {list}"), None)
}

/// The fields that fit what the other fields say, the important ones first; all
/// of them where that is not known.
fn fitting(
    owner: &str,
    entries: &[(String, Node)],
    fields: &'static [&'static str],
) -> Vec<&'static str> {
    let word = |name: &str| {
        let entry = entries.iter().find(|(key, _)| key == name);
        match entry.map(|(_, value)| value) {
            Some(Node::Str(text) | Node::Variable(text)) => Some(&**text),
            _ => None,
        }
    };
    let taken = match owner {
        "RawMetric" => word("type")
            .and_then(MetricType::by_name)
            .map(|of| parameters::taken_by(of, word("algorithm"))),
        "RawAction" | "RawStep" => word("action")
            .filter(|action| ACTIONS.contains(action))
            .map(|action| fields_taken(action, word("kind")).to_vec()),
        "RawFailureMode" => Some(fields_taken("fault", word("kind")).to_vec()),
        _ => None,
    };
    let Some(taken) = taken else {
        return fields.to_vec();
    };
    let always = |field: &&str| match owner {
        "RawMetric" => !parameters::is_parameter(field),
        "RawFailureMode" => *field == "kind",
        _ => *field == "at_s" || (*field == "kind" && word("action") == Some("fault")),
    };
    let is_new = |field: &&str| !taken.contains(field);
    let more = fields.iter().copied().filter(always).filter(is_new);
    taken.iter().copied().chain(more).collect()
}
