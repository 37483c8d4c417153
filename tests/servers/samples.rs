//! What a scrape carries: identities and values. A slow, strict reader of text bodies that
//! shares nothing with the code that writes them.

use std::collections::BTreeMap;
use std::fmt;

/// A metric name and its labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.labels)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The samples of one body.
pub(crate) type Samples = BTreeMap<Identity, f64>;

/// Reads a Prometheus text 0.0.4 or `OpenMetrics` 1.0 body; the latter must end in `# EOF`,
/// the former must not have it. Times of samples are dropped.
///
/// # Errors
/// The first line that can't be read or repeats an earlier sample.
pub(crate) fn parse(body: &str, openmetrics: bool) -> Result<Samples, String> {
    let body = if openmetrics {
        body.strip_suffix("# EOF\n")
            .ok_or("the body doesn't end in # EOF")?
    } else {
        body
    };
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line doesn't end".into());
    }
    let mut samples = Samples::new();
    for line in body.lines() {
        if line.starts_with("# HELP ") || line.starts_with("# TYPE ") || line.starts_with("# UNIT ")
        {
            continue;
        }
        let (identity, value) =
            parse_sample(line).ok_or_else(|| format!("not a sample: {line}"))?;
        if samples.insert(identity, value).is_some() {
            return Err(format!("repeats an earlier sample: {line}"));
        }
    }
    Ok(samples)
}

/// One line that is a sample.
pub(crate) fn parse_sample(line: &str) -> Option<(Identity, f64)> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => parse_labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let (value, time) = match rest.strip_prefix(' ')?.split_once(' ') {
        Some((value, time)) => (value, Some(time)),
        None => (rest.strip_prefix(' ')?, None),
    };
    if let Some(time) = time {
        time.parse::<f64>().ok()?;
    }
    if name.is_empty() {
        return None;
    }
    let name = name.to_owned();
    Some((Identity { name, labels }, parse_value(value)?))
}

/// `a="b",c="d"} rest` → the labels and ` rest`.
fn parse_labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    _ => return None,
                }),
                (_, c) => value.push(c),
            }
        };
        if labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        text = &rest[end..];
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        text = text.strip_prefix(',')?;
    }
}

/// A value as both formats spell it: Rust reads more (`inf`, `infinity`, `nan`), they don't.
pub(crate) fn parse_value(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            text.parse().ok().filter(|value: &f64| value.is_finite())
        }
        _ => None,
    }
}

/// For tests: an identity from `name{a="b"}`.
#[cfg(test)]
pub(crate) fn identity(text: &str) -> Identity {
    parse_sample(&format!("{text} 0")).expect("an identity").0
}

#[test]
fn bodies_are_read() {
    let body = "# HELP a Help.\n# TYPE a counter\na_total 1\n\
                a_total{x=\"1\\\\2\\\"3\\n\",y=\"}, \"} 2.5 1700\n";
    let samples = parse(body, false).unwrap();
    let values: Vec<_> = samples.iter().map(|(i, v)| (i.to_string(), *v)).collect();
    assert_eq!(
        values,
        [
            ("a_total{}".to_owned(), 1.0),
            (r#"a_total{"x": "1\\2\"3\n", "y": "}, "}"#.to_owned(), 2.5),
        ]
    );
    assert_eq!(parse(&format!("{body}# EOF\n"), true).unwrap(), samples);
}

#[test]
fn bad_bodies_are_refused() {
    for (body, openmetrics) in [
        ("a 1", false),
        ("a 1\n", true),
        ("a 1\n# EOF\n", false),
        ("a 1\n# EOF\nb 1\n", true),
        ("a 1\na 2\n", false),
        ("a{x=\"1\"} 1\na{x=\"1\"} 1\n", false),
        ("a{x=\"1\",x=\"2\"} 1\n", false),
        ("a{x=\"1\"}1\n", false),
        ("a{x=\"1} 1\n", false),
        ("a{x=\"\\t\"} 1\n", false),
        ("a  1\n", false),
        ("a inf\n", false),
        ("a 1e999\n", false),
        ("a\n", false),
        (" 1\n", false),
        ("\n", false),
    ] {
        assert!(parse(body, openmetrics).is_err(), "{body:?} was read");
    }
}
