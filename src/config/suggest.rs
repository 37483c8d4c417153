//! "Did you mean …?" for misspelt names.

use super::problem::{excerpt, quoted};

/// The known name that a misspelt one was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 100 {
        return None;
    }
    let lower = name.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= 100)
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            let shorter = candidate.chars().count().min(lower.chars().count());
            *distance <= (shorter / 3).max(1) && *distance < shorter
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "x"?`, else the list of what there is.
pub(super) fn hint<'a>(
    name: &str,
    label: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    match nearest(name, known.clone()) {
        Some(candidate) => format!("did you mean {}?", quoted(candidate)),
        None => format!("{label}: {}", list(known)),
    }
}

/// The list of what there is, after `did you mean "x"? ` where something is near.
pub(super) fn nearest_and_all<'a>(
    name: &str,
    label: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let near = did_you_mean(name, known.clone());
    format!("{near}{label}: {}", list(known))
}

/// `did you mean "x"? ` where something is near, else nothing.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or(String::new(), |near| {
        format!("did you mean {}? ", quoted(near))
    })
}

/// Names separated by commas, at most fifty of them, long ones cut short.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const NAMES_MAX: usize = 50;
    let mut names = names.into_iter();
    let mut text = names
        .by_ref()
        .take(NAMES_MAX)
        .map(excerpt)
        .collect::<Vec<_>>()
        .join(", ");
    match names.count() {
        0 if text.is_empty() => text.push_str("none"),
        0 => {}
        more => {
            text.push_str(" and ");
            text.push_str(&more.to_string());
            text.push_str(" more");
        }
    }
    text
}

/// Edits from one text to the other; swapping two neighbours counts as one.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1; to.len() + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = last;
        last = row;
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let known = ["counter", "gauge", "histogram", "summary"];
        for (name, expected) in [
            ("guage", Some("gauge")),
            ("Counter", Some("counter")),
            ("histogramm", Some("histogram")),
            ("x", None),
            ("timer", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name:?}");
        }
    }

    #[test]
    fn lists_are_short() {
        let long = "x".repeat(1000);
        assert_eq!(list([]), "none");
        assert_eq!(list(["a", "b"]), "a, b");
        assert_eq!(list([&*long]), format!("{}…", &long[..100]));
        assert!(list(["a"; 60]).ends_with("a, a and 10 more"));
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
