//! The obvious renderer that the fast one is compared with. Tests only.

use std::fmt::Write;

use crate::engine::{Columns, Frame};
use crate::escaping::{Escaping, is_plain_label, is_plain_metric};
use crate::exposition::Format;
use crate::model::Shape;
use crate::model::population::Population;

/// A body as the specifications describe it, line by line; with times behind
/// samples and with `_created` lines or without.
pub(super) fn body(frame: &Frame, prefix: &str, times: (bool, bool), format: Format) -> String {
    body_of(frame, prefix, times, format, (Escaping::AllowUtf8, &[]))
}

/// The same with names escaped, and without some labels.
pub(super) fn body_of(
    frame: &Frame,
    prefix: &str,
    times: (bool, bool),
    format: Format,
    names: (Escaping, &[String]),
) -> String {
    let mut out = String::new();
    for (index, family) in frame.catalog().families().iter().enumerate() {
        if family.series_count() > 0 {
            out += &family_body(frame, index, prefix, times, format, names);
        }
    }
    if format == Format::OpenMetrics {
        out += "# EOF\n";
    }
    out
}

fn family_body(
    frame: &Frame,
    index: usize,
    prefix: &str,
    (timestamps, created_lines): (bool, bool),
    format: Format,
    (escaping, hidden): (Escaping, &[String]),
) -> String {
    let family = &frame.catalog().families()[index];
    let type_name = family.shape.type_name();
    let total = match family.shape {
        Shape::Counter => "_total",
        _ => "",
    };
    let name = format!("{prefix}{}{total}", family.name);
    let name = escaping.metric(&name);
    let name = name.strip_suffix(total).unwrap();
    let openmetrics = format == Format::OpenMetrics;
    let end = match (timestamps, openmetrics) {
        (false, _) => "\n".to_owned(),
        (true, false) => format!(" {}\n", frame.time_ns() / 1_000_000),
        (true, true) => format!(" {}\n", seconds(frame.time_ns())),
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    let mut out = String::new();
    if openmetrics {
        let called = called(name, is_plain_metric);
        writeln!(out, "# TYPE {called} {type_name}").unwrap();
        if !family.unit.is_empty() && name.ends_with(&format!("_{}", family.unit)) {
            writeln!(out, "# UNIT {called} {}", family.unit).unwrap();
        }
        if !help.is_empty() {
            writeln!(out, "# HELP {called} {}", help.replace('"', "\\\"")).unwrap();
        }
    } else {
        let called = called(&format!("{name}{total}"), is_plain_metric);
        if !help.is_empty() {
            writeln!(out, "# HELP {called} {help}").unwrap();
        }
        writeln!(out, "# TYPE {called} {type_name}").unwrap();
    }
    for place in frame.catalog().family_blocks(index) {
        let (_, block, columns) = frame.block(place);
        for row in 0..block.len {
            if frame.gaps(place).contains(row) {
                continue;
            }
            let created = format!("{}{end}", seconds(frame.created(place).at(row)));
            let mut labels = labels(frame.population(index), block.start + row);
            labels.retain(|(label, _)| !hidden.iter().any(|hidden| hidden == label));
            for (label, _) in &mut labels {
                *label = escaping.label(label).into_owned();
            }
            let with = |suffix: &str, label: &str, value: f64| {
                let mut labels = labels.clone();
                labels.push((label.to_owned(), label_number(value)));
                series(&format!("{name}{suffix}"), &labels)
            };
            let plain = |suffix: &str| series(&format!("{name}{suffix}"), &labels);
            match columns {
                Columns::Values(values) => {
                    write!(out, "{} {}{end}", plain(total), value(values[row])).unwrap();
                }
                Columns::Histogram {
                    cumulative, sums, ..
                } => {
                    let Shape::Histogram { bounds, .. } = &family.shape else {
                        unreachable!()
                    };
                    let mut bounds = bounds.to_vec();
                    bounds.push(f64::INFINITY);
                    let counts = &cumulative[row * bounds.len()..][..bounds.len()];
                    for (&bound, count) in bounds.iter().zip(counts) {
                        let series = with("_bucket", "le", bound);
                        write!(out, "{series} {count}{end}").unwrap();
                    }
                    if !openmetrics || bounds[0] >= 0.0 {
                        write!(out, "{} {}{end}", plain("_sum"), value(sums[row])).unwrap();
                        let count = counts[counts.len() - 1];
                        write!(out, "{} {count}{end}", plain("_count")).unwrap();
                    }
                }
                Columns::Summary {
                    quantiles,
                    counts,
                    sums,
                } => {
                    let Shape::Summary { quantiles: asked } = &family.shape else {
                        unreachable!()
                    };
                    for (place, &quantile) in asked.iter().enumerate() {
                        let value = value(quantiles[row * asked.len() + place]);
                        let series = with("", "quantile", quantile);
                        write!(out, "{series} {value}{end}").unwrap();
                    }
                    write!(out, "{} {}{end}", plain("_sum"), value(sums[row])).unwrap();
                    write!(out, "{} {}{end}", plain("_count"), counts[row]).unwrap();
                }
            }
            if created_lines && openmetrics && family.shape != Shape::Gauge {
                write!(out, "{} {created}", plain("_created")).unwrap();
            }
        }
    }
    out
}

pub(super) fn labels(population: &Population, series: usize) -> Vec<(String, String)> {
    let cursor = population.cursor(series);
    let labels = cursor.labels();
    labels
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A name and labels, as a line begins with them.
pub(super) fn series(name: &str, labels: &[(String, String)]) -> String {
    let labels = labels.iter().map(|(label, value)| {
        let label = called(label, is_plain_label);
        format!("{label}={}", quoted(value))
    });
    let (outside, inside) = if is_plain_metric(name) {
        (name, None)
    } else {
        ("", Some(quoted(name)))
    };
    let all: Vec<String> = inside.into_iter().chain(labels).collect();
    match all.len() {
        0 => outside.to_owned(),
        _ => format!("{outside}{{{}}}", all.join(",")),
    }
}

/// A name, in quotes unless it is plain.
pub(super) fn called(name: &str, is_plain: impl Fn(&str) -> bool) -> String {
    if is_plain(name) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}

/// A value, its digits from the standard library.
pub(super) fn value(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.into()
    } else if value.fract() == 0.0 && value.abs() < 2f64.powi(53) {
        format!("{value}")
    } else {
        zmij::Buffer::new().format_finite(value).to_owned()
    }
}

pub(super) fn label_number(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".into();
    }
    let scientific = shortest(value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    if !(-4..6).contains(&exponent) && value != 0.0 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value:?}")
}

/// The fewest digits that read back as `value`; where two texts of that length
/// are as near, the even one.
fn shortest(value: f64) -> String {
    let text = format!("{value:e}");
    let (mantissa, _) = text.split_once('e').unwrap();
    let decimals = mantissa
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let even = format!("{value:.decimals$e}");
    if even.parse() == Ok(value) {
        even
    } else {
        text
    }
}

fn seconds(time_ns: i64) -> String {
    let text = format!(
        "{}.{:03}",
        time_ns / 1_000_000_000,
        time_ns / 1_000_000 % 1000
    );
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
