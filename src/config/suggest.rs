//! "Did you mean …?" for misspelt names.

use super::problem::{excerpt, quoted};

/// The known name that a misspelt one was probably meant to be.
pub(crate) fn nearest<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    if name.len() > 100 {
        return None;
    }
    let lower = name.to_lowercase();
    let short = |candidate: &&str| candidate.len() <= 100;
    let among = known.clone().into_iter().filter(short);
    among
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            let shorter = candidate.chars().count().min(lower.chars().count());
            *distance <= (shorter / 3).max(1) && *distance < shorter
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .or_else(|| only_with_words(&lower, known.into_iter().filter(short)))
}

/// The only name that has all words of this one (`rate`, `base_rate`), or whose
/// words this one has.
fn only_with_words<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LETTERS_MIN: usize = 3;
    let has_all = |longer: &str, shorter: &str| {
        shorter.len() > LETTERS_MIN
            && shorter
                .split('_')
                .all(|word| longer.split('_').any(|other| other == word))
    };
    let mut found = known.filter(|candidate| {
        let candidate = candidate.to_lowercase();
        has_all(&candidate, name) || has_all(name, &candidate)
    });
    found.next().filter(|_| found.next().is_none())
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

/// How lists of names of the configuration's own are introduced.
pub(super) const DEFINED: (&str, &str) = ("defined:", "also defined:");

/// `did you mean "x"?` where something is near, and what there is besides. The labels
/// stand before the list of all and before that of the others.
pub(super) fn nearest_and_rest<'a>(
    name: &str,
    (label, label_of_rest): (&str, &str),
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let Some(near) = nearest(name, known.clone()) else {
        return format!("{label} {}", list(known));
    };
    let question = format!("did you mean {}?", quoted(near));
    let mut rest = known.into_iter().filter(|other| *other != near).peekable();
    match rest.peek() {
        None => question,
        Some(_) => format!("{question} {label_of_rest} {}", list(rest)),
    }
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
            ("total_gauge", Some("gauge")),
        ] {
            assert_eq!(nearest(name, known), expected, "{name:?}");
        }
    }

    #[test]
    fn words_are_found_in_longer_names_unless_several_have_them() {
        let known = ["base_rate", "increment", "diurnal_amp", "diurnal_phase"];
        assert_eq!(nearest("rate", known), Some("base_rate"));
        assert_eq!(nearest("diurnal", known), None);
        assert_eq!(nearest("amp", known), None);
        let names = ["http_requests", "grpc_calls"];
        assert_eq!(nearest("requests", names), Some("http_requests"));
        assert_eq!(nearest("http_requests_total", names), Some("http_requests"));
    }

    #[test]
    fn the_nearest_is_named_once() {
        let known = ["one", "two"];
        let labels = DEFINED;
        assert_eq!(
            nearest_and_rest("tow", labels, known),
            "did you mean \"two\"? also defined: one"
        );
        assert_eq!(nearest_and_rest("x", labels, known), "defined: one, two");
        assert_eq!(
            nearest_and_rest("tow", labels, ["two"]),
            "did you mean \"two\"?"
        );
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
