//! A body is the messages of the twin, in as few bytes, and has the samples of text.

use std::sync::Arc;

use proptest::prelude::*;

use super::twin;
use crate::config::{HistogramForm, LabelValues};
use crate::engine::{Columns, Created, ExponentialColumn, Frame, Gaps, random_frames};
use crate::escaping::Escaping;
use crate::exposition::{Format, Renderer};
use crate::model::labels::Dimension;
use crate::model::space::Space;
use crate::model::{Catalog, Family, Shape};
use crate::proto::prometheus_client::MetricFamily;

fn body(renderer: &Renderer, frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    renderer.render(frame, Format::Protobuf, &mut out);
    out
}

/// The body is what the twin makes of the frame, and what text has of it.
fn check(renderer: &Renderer, frame: &Frame, prefix: &str, timestamps: bool) {
    let body = body(renderer, frame);
    let expected = twin::families(frame, prefix, timestamps);
    let found = twin::decode(&body);
    assert_eq!(twin::comparable(&found), twin::comparable(&expected));
    assert_eq!(body.len(), twin::encoded_bytes(&expected));
    check_beside_text(renderer, frame, &found);
    assert_eq!(
        renderer.frame_samples(frame, Format::Protobuf),
        twin::samples(&found)
    );
}

/// What was read of a body is what text has of the same frame.
fn check_beside_text(renderer: &Renderer, frame: &Frame, found: &[MetricFamily]) {
    let is_native = |family: &Family| family.histograms == Some(HistogramForm::Native);
    if frame.catalog().families().iter().any(is_native) {
        // Text has none.
        return;
    }
    let mut text = Vec::new();
    renderer.render(frame, Format::Text, &mut text);
    let text = String::from_utf8(text).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    let natives = found
        .iter()
        .flat_map(|family| &family.metric)
        .filter(|metric| {
            let histogram = metric.histogram.as_ref();
            histogram.is_some_and(|histogram| histogram.schema.is_some())
        });
    let samples = samples + natives.count();
    assert_eq!(samples, renderer.frame_samples(frame, Format::Protobuf));
    // Text announces families of which no series has a point.
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with("# HELP")).collect();
    let is_alone = |at: usize| {
        let next: Option<&&str> = lines.get(at + 1);
        lines[at].starts_with('#') && next.is_none_or(|next| next.starts_with('#'))
    };
    let lines: Vec<&str> = (0..lines.len())
        .filter(|&at| !is_alone(at))
        .map(|at| lines[at])
        .collect();
    let found = twin::text(found);
    assert_eq!(found.lines().collect::<Vec<_>>(), lines);
}

proptest! {
    /// For every frame, the body is the messages of the twin.
    #[test]
    fn messages_equal_the_twins(frame in random_frames::frames(), timestamps: bool, created: bool) {
        let renderer = Renderer::new(Arc::clone(frame.catalog()), "p_", timestamps)
            .with_created(created);
        check(&renderer, &frame, "p_", timestamps);
        // What was counted at the first body holds for further ones.
        check(&renderer, &frame, "p_", timestamps);
    }

    /// Whatever metrics and labels are called, their names are those of text, by every scheme
    /// of escaping.
    #[test]
    fn names_are_escaped_as_in_text(frame in random_frames::utf8_frames()) {
        let renderer = Arc::new(Renderer::new(Arc::clone(frame.catalog()), "p\\.", false));
        for escaping in Escaping::ALL {
            let renderer = renderer.with_escaping(escaping);
            let found = twin::decode(&body(&renderer, &frame));
            check_beside_text(&renderer, &frame, &found);
        }
    }

    /// However entities come and go, the messages are those of the entities that exist.
    #[test]
    fn entities_that_are_gone_have_no_messages(frames in random_frames::living_frames()) {
        let renderer = Renderer::new(Arc::clone(frames[0].catalog()), "", false);
        for frame in &frames {
            check(&renderer, frame, "", false);
        }
    }

    /// For every frame, families written one by one make up the body.
    #[test]
    fn families_written_alone_make_up_the_body(frame in random_frames::frames()) {
        let catalog = frame.catalog();
        let whole = Renderer::new(Arc::clone(catalog), "", false);
        let mut parts = Vec::new();
        for family in 0..catalog.families().len() {
            let one = Renderer::of_families(Arc::clone(catalog), "", false, family..family + 1);
            parts.extend(body(&one, &frame));
        }
        prop_assert!(parts == body(&whole, &frame));
    }
}

fn list(name: &str, values: &[String]) -> Dimension {
    Dimension::new(name, &LabelValues::List(values.to_vec()), values.len())
}

fn numbered(name: &str, count: usize) -> Dimension {
    let values: Vec<String> = (0..count).map(|n| format!("{name}_{n}")).collect();
    list(name, &values)
}

/// A family of each type.
fn families(space: &Arc<Space>) -> Arc<Catalog> {
    let bounds: Arc<[f64]> = [0.1, 1.0, 30.0].as_slice().into();
    let quantiles: Arc<[f64]> = [0.5, 0.99].as_slice().into();
    let shapes = [
        ("a", Shape::Counter),
        ("b_bytes", Shape::Gauge),
        ("c_seconds", Shape::histogram(bounds)),
        ("d", Shape::Summary { quantiles }),
    ];
    let family = |(name, shape)| {
        let unit = if name == "c_seconds" { "seconds" } else { "" };
        Family::new(name, "What it is.", unit, shape, Arc::clone(space))
    };
    let families: Vec<Family> = shapes.map(family).into();
    let count = families.len();
    Arc::new(Catalog::from_families(families, count))
}

#[test]
fn lengths_are_right_across_the_sizes_of_varints() {
    // Messages on both sides of 128 and 16384 bytes, values of all lengths around them.
    for bytes in [
        0, 1, 15, 16, 17, 60, 90, 100, 110, 127, 128, 129, 16_300, 16_400,
    ] {
        let values: Vec<String> = (0..40).map(|n| "x".repeat(bytes + n)).collect();
        for labels in [
            vec![list("a", &values)],
            vec![list("a", &values), numbered("z", 3)],
            vec![],
        ] {
            let space = Arc::new(Space::from_dimensions(labels));
            let catalog = families(&space);
            let epoch_ns = 1_700_000_000_123_456_789;
            let frame = random_frames::frame(&catalog, epoch_ns + 5, epoch_ns, bytes as u64);
            for timestamps in [false, true] {
                let renderer = Renderer::new(Arc::clone(&catalog), "p_", timestamps);
                check(&renderer, &frame, "p_", timestamps);
            }
        }
    }
}

#[test]
fn families_of_many_chunks_are_one_message() {
    let labels = vec![numbered("a", 100), numbered("b", 10), numbered("c", 11)];
    let catalog = families(&Arc::new(Space::from_dimensions(labels)));
    let frame = random_frames::frame(&catalog, 0, 0, 5);
    let renderer = Renderer::new(catalog, "", false);
    assert!(renderer.chunk_count() > 10);
    let found = twin::decode(&body(&renderer, &frame));
    let series: Vec<usize> = found.iter().map(|family| family.metric.len()).collect();
    assert_eq!(series, [11_000; 4]);
    check(&renderer, &frame, "", false);
}

#[test]
fn counts_and_starts_of_all_magnitudes_are_read_back() {
    let space = Arc::new(Space::from_dimensions(vec![numbered("a", 64)]));
    let catalog = families(&space);
    let rows = 0..64_u32;
    let starts = [
        0,
        1,
        999_999_999,
        1_000_000_000,
        127_000_000_000,
        128_000_000_001,
        1_700_000_000_500_000_000,
        i64::MAX,
    ];
    let created: Vec<i64> = rows.clone().map(|row| starts[row as usize % 8]).collect();
    let values = Columns::Values(rows.clone().map(|row| f64::from(row) - 7.5).collect());
    let counts: Vec<u64> = rows.clone().map(|row| u64::MAX >> (63 - row)).collect();
    let cumulative = counts
        .iter()
        .flat_map(|&count| [0, count / 300, count / 2, count]);
    let sums = [f64::NAN, -0.0, f64::INFINITY, 1e300].repeat(16);
    let blocks = [
        values.clone(),
        values,
        Columns::Histogram {
            cumulative: cumulative.collect(),
            sums: sums.clone(),
            exponential: ExponentialColumn::default(),
            native: crate::engine::NativeColumn::default(),
        },
        Columns::Summary {
            quantiles: sums.repeat(2),
            counts,
            sums,
        },
    ];
    let each = |gaps: Gaps| {
        let blocks = blocks.iter().map(move |columns| {
            let created = Created::of(&created);
            (columns.clone(), gaps.clone(), created)
        });
        Frame::from_blocks(&catalog, 1, 1_700_000_000_000_000_000, blocks.collect())
    };
    let renderer = Renderer::new(Arc::clone(&catalog), "", true);
    check(&renderer, &each.clone()(Gaps::default()), "", true);
    check(&renderer, &each.clone()(Gaps::at(64, [0, 5, 63])), "", true);
    // Of which no series has a point.
    let none = each(Gaps::at(64, 0..64));
    assert!(body(&renderer, &none).is_empty());
}

#[test]
fn messages_read_as_the_format_describes_them() {
    let space = Arc::new(Space::from_dimensions(vec![list("code", &["200".into()])]));
    let family = |name, help, unit, shape| Family::new(name, help, unit, shape, Arc::clone(&space));
    let catalog = Arc::new(Catalog::from_families(
        vec![
            family("sent_bytes", "Sent \"it\".\n", "bytes", Shape::Counter),
            family("load", "", "ratio", Shape::Gauge),
        ],
        2,
    ));
    let columns = vec![Columns::Values(vec![3.0]), Columns::Values(vec![0.5])];
    let frame = Frame::from_columns(&catalog, 1, 2_000_000_000, 1_500_000_000, columns);
    let renderer = Renderer::new(catalog, "x_", false);
    let expected = [
        b"\x4E\x0A\x12x_sent_bytes_total\x12\x0BSent \"it\".\n\x18\x00\x2A\x05bytes".as_slice(),
        b"\x22\x22\x0A\x0B\x0A\x04code\x12\x03200",
        b"\x1A\x13\x09\0\0\0\0\0\0\x08\x40\x1A\x08\x08\x01\x10\x80\xCA\xB5\xEE\x01",
        b"\x24\x0A\x06x_load\x18\x01",
        b"\x22\x18\x0A\x0B\x0A\x04code\x12\x03200\x12\x09\x09\0\0\0\0\0\0\xE0\x3F",
    ];
    let found = body(&renderer, &frame);
    assert_eq!(
        found.escape_ascii().to_string(),
        expected.concat().escape_ascii().to_string()
    );
}
