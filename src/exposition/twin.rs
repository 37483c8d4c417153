//! The obvious renderer that the fast one is compared with. Tests only.

use std::fmt::Write;

use crate::engine::{Columns, Frame};
use crate::exposition::Format;
use crate::model::Shape;
use crate::model::population::Population;

/// A body as the specifications describe it, line by line; with times behind
/// samples and with `_created` lines or without.
pub(super) fn body(frame: &Frame, prefix: &str, times: (bool, bool), format: Format) -> String {
    let mut out = String::new();
    for (index, family) in frame.catalog().families().iter().enumerate() {
        if family.series_count() > 0 {
            out += &family_body(frame, index, prefix, times, format);
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
) -> String {
    let family = &frame.catalog().families()[index];
    let name = format!("{prefix}{}", family.name);
    let type_name = family.shape.type_name();
    let total = match family.shape {
        Shape::Counter => "_total",
        _ => "",
    };
    let openmetrics = format == Format::OpenMetrics;
    let end = match (timestamps, openmetrics) {
        (false, _) => "\n".to_owned(),
        (true, false) => format!(" {}\n", frame.time_ns() / 1_000_000),
        (true, true) => format!(" {}\n", seconds(frame.time_ns())),
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    let mut out = String::new();
    if openmetrics {
        writeln!(out, "# TYPE {name} {type_name}").unwrap();
        if !family.unit.is_empty() && name.ends_with(&format!("_{}", family.unit)) {
            writeln!(out, "# UNIT {name} {}", family.unit).unwrap();
        }
        if !help.is_empty() {
            writeln!(out, "# HELP {name} {}", help.replace('"', "\\\"")).unwrap();
        }
    } else {
        if !help.is_empty() {
            writeln!(out, "# HELP {name}{total} {help}").unwrap();
        }
        writeln!(out, "# TYPE {name}{total} {type_name}").unwrap();
    }
    for place in frame.catalog().family_blocks(index) {
        let (_, block, columns) = frame.block(place);
        for row in 0..block.len {
            if frame.gaps(place).contains(row) {
                continue;
            }
            let created = format!("{}{end}", seconds(frame.created(place).at(row)));
            let labels = labels(frame.population(index), block.start + row);
            let with = |name: &'static str, value: f64| {
                let mut labels = labels.clone();
                labels.push((name, label_number(value)));
                braced(&labels)
            };
            let plain = braced(&labels);
            match columns {
                Columns::Values(values) => {
                    write!(out, "{name}{total}{plain} {}{end}", value(values[row])).unwrap();
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
                        write!(out, "{name}_bucket{} {count}{end}", with("le", bound)).unwrap();
                    }
                    if !openmetrics || bounds[0] >= 0.0 {
                        write!(out, "{name}_sum{plain} {}{end}", value(sums[row])).unwrap();
                        let count = counts[counts.len() - 1];
                        write!(out, "{name}_count{plain} {count}{end}").unwrap();
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
                        write!(out, "{name}{} {value}{end}", with("quantile", quantile)).unwrap();
                    }
                    write!(out, "{name}_sum{plain} {}{end}", value(sums[row])).unwrap();
                    write!(out, "{name}_count{plain} {}{end}", counts[row]).unwrap();
                }
            }
            if created_lines && openmetrics && family.shape != Shape::Gauge {
                write!(out, "{name}_created{plain} {created}").unwrap();
            }
        }
    }
    out
}

pub(super) fn labels(population: &Population, series: usize) -> Vec<(&str, String)> {
    let cursor = population.cursor(series);
    let labels = cursor.labels();
    labels
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

pub(super) fn braced(labels: &[(&str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let texts: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    format!("{{{}}}", texts.join(","))
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
