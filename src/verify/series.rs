//! How a series is written: for people, and in queries.

use super::backend::Labels;
use super::naming::{matcher, number_text, selector};
use crate::escaping::is_plain_metric;

/// A series as it is exposed.
pub(super) fn shown<'l>(
    name: &str,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    number: Option<(&str, f64)>,
) -> String {
    let mut texts: Vec<String> = labels.map(|(label, value)| matcher(label, value)).collect();
    texts.extend(number.map(|(label, n)| matcher(label, &number_text(n))));
    if texts.is_empty() && is_plain_metric(name) {
        return name.to_owned();
    }
    selector(&[name], &texts)
}

/// What selects a stored series by all its labels.
pub(super) fn exactly(stored: &Labels) -> String {
    let name = stored.get("__name__").map_or("", String::as_str);
    let labels = stored.iter().filter(|(label, _)| *label != "__name__");
    let matchers: Vec<String> = labels.map(|(label, value)| matcher(label, value)).collect();
    selector(&[name], &matchers)
}
