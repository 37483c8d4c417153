//! Bodies are those of the twins, and read as the formats describe them.

use proptest::prelude::*;

use super::*;
use crate::config::LabelValues;
use crate::engine::{Columns, ExponentialColumn, NativeColumn, random_frames};
use crate::model::labels::Dimension;
use crate::model::{Family, Shape};

fn body(renderer: &Renderer, frame: &Frame, format: Format) -> String {
    let mut out = Vec::new();
    renderer.render(frame, format, &mut out);
    String::from_utf8(out).unwrap()
}

fn value_lines(body: &str) -> usize {
    body.lines().filter(|line| !line.starts_with("# ")).count()
}

proptest! {
    /// For every frame, the fast renderer and the obvious one write the
    /// same bytes, as many samples as announced, and every chunk stays
    /// within the room that was reckoned for it.
    #[test]
    fn bytes_equal_the_twins(frame in random_frames::frames(), timestamps: bool, created: bool) {
        let renderer = Renderer::new(Arc::clone(frame.catalog()), "p_", timestamps)
            .with_created(created);
        for format in [Format::Text, Format::OpenMetrics] {
            let expected = twin::body(&frame, "p_", (timestamps, created), format);
            let body = body(&renderer, &frame, format);
            prop_assert_eq!(&body, &expected);
            prop_assert_eq!(value_lines(&body), renderer.frame_samples(&frame, format));
        }
    }

    /// The same whatever metrics and labels are called, by every scheme of escaping.
    #[test]
    fn names_are_written_as_the_twin_does(
        frame in random_frames::utf8_frames(),
        timestamps: bool,
        created: bool,
        prefix in "|p_|p\\.|1",
    ) {
        let renderer = Renderer::new(Arc::clone(frame.catalog()), &prefix, timestamps);
        let renderer = Arc::new(renderer.with_created(created));
        for escaping in Escaping::ALL {
            let renderer = renderer.with_escaping(escaping);
            for format in [Format::Text, Format::OpenMetrics] {
                let times = (timestamps, created);
                let expected = twin::body_of(&frame, &prefix, times, format, (escaping, &[]));
                let body = body(&renderer, &frame, format);
                prop_assert_eq!(&body, &expected);
                prop_assert_eq!(value_lines(&body), renderer.frame_samples(&frame, format));
            }
        }
    }

    /// However entities come and go, the lines are those of the entities that exist.
    #[test]
    fn entities_that_are_gone_have_no_lines(
        frames in random_frames::living_frames(),
        created: bool,
    ) {
        let catalog = frames[0].catalog();
        let renderer = Renderer::new(Arc::clone(catalog), "p_", false).with_created(created);
        for frame in &frames {
            for format in [Format::Text, Format::OpenMetrics] {
                let expected = twin::body(frame, "p_", (false, created), format);
                let body = body(&renderer, frame, format);
                prop_assert_eq!(value_lines(&body), renderer.frame_samples(frame, format));
                prop_assert_eq!(body, expected);
            }
        }
    }

    /// For every frame, families written one by one make up the body.
    #[test]
    fn families_written_alone_make_up_the_body(frame in random_frames::frames()) {
        let catalog = frame.catalog();
        let whole = Renderer::new(Arc::clone(catalog), "", false);
        let mut parts = String::new();
        for family in 0..catalog.families().len() {
            let one = Renderer::of_families(Arc::clone(catalog), "", false, family..family + 1);
            let part = body(&one, &frame, Format::Text);
            prop_assert_eq!(value_lines(&part), one.frame_samples(&frame, Format::Text));
            parts += &part;
        }
        prop_assert_eq!(parts, body(&whole, &frame, Format::Text));
    }
}

fn list(name: &str, values: &[&str]) -> Dimension {
    let list = values.iter().map(ToString::to_string).collect();
    Dimension::new(name, &LabelValues::List(list), values.len())
}

fn numbered(name: &str, count: usize) -> Dimension {
    let list: Vec<String> = (0..count).map(|n| format!("{name}_{n}")).collect();
    Dimension::new(name, &LabelValues::List(list), count)
}

fn catalog(families: Vec<Family>) -> Arc<Catalog> {
    let count = families.len();
    Arc::new(Catalog::from_families(families, count))
}

/// One family of each type, as a person would read it.
fn example() -> Frame {
    let space = Arc::new(Space::from_dimensions(vec![list("code", &["200", "a\"b"])]));
    let none = Arc::new(Space::from_dimensions(Vec::new()));
    let bounds: Arc<[f64]> = [0.1, 1.0].as_slice().into();
    let below: Arc<[f64]> = [-1.0].as_slice().into();
    let quantiles: Arc<[f64]> = [0.5, 0.99].as_slice().into();
    let family = |name, help, unit, shape, space: &Arc<Space>| {
        Family::new(name, help, unit, shape, Arc::clone(space))
    };
    let catalog = catalog(vec![
        family("requests", "All \"requests\".", "", Shape::Counter, &space),
        family("load_ratio", "", "ratio", Shape::Gauge, &none),
        family(
            "latency_seconds",
            "",
            "seconds",
            Shape::histogram(bounds),
            &none,
        ),
        family("delta", "", "bytes", Shape::histogram(below), &none),
        family("size_bytes", "", "", Shape::Summary { quantiles }, &none),
    ]);
    let histogram = |cumulative: &[u64], sum| Columns::Histogram {
        cumulative: cumulative.to_vec(),
        sums: vec![sum],
        exponential: ExponentialColumn::default(),
        native: NativeColumn::default(),
    };
    let columns = vec![
        Columns::Values(vec![3.0, 4.5]),
        Columns::Values(vec![f64::NAN]),
        histogram(&[1, 2, 4], 7.5),
        histogram(&[1, 2], -3.0),
        Columns::Summary {
            quantiles: vec![10.0, 20.25],
            counts: vec![3],
            sums: vec![40.5],
        },
    ];
    Frame::from_columns(
        &catalog,
        1,
        1_700_000_001_500_000_000,
        1_700_000_000_000_000_000,
        columns,
    )
}

#[test]
fn text_reads_as_the_format_describes_it() {
    let frame = example();
    let renderer = Renderer::new(Arc::clone(frame.catalog()), "app_", false);
    let expected = r#"# HELP app_requests_total All "requests".
# TYPE app_requests_total counter
app_requests_total{code="200"} 3
app_requests_total{code="a\"b"} 4.5
# TYPE app_load_ratio gauge
app_load_ratio NaN
# TYPE app_latency_seconds histogram
app_latency_seconds_bucket{le="0.1"} 1
app_latency_seconds_bucket{le="1.0"} 2
app_latency_seconds_bucket{le="+Inf"} 4
app_latency_seconds_sum 7.5
app_latency_seconds_count 4
# TYPE app_delta histogram
app_delta_bucket{le="-1.0"} 1
app_delta_bucket{le="+Inf"} 2
app_delta_sum -3
app_delta_count 2
# TYPE app_size_bytes summary
app_size_bytes{quantile="0.5"} 10
app_size_bytes{quantile="0.99"} 20.25
app_size_bytes_sum 40.5
app_size_bytes_count 3
"#;
    assert_eq!(body(&renderer, &frame, Format::Text), expected);
}

#[test]
fn openmetrics_reads_as_the_format_describes_it() {
    let frame = example();
    let new = || Renderer::new(Arc::clone(frame.catalog()), "app_", true);
    let renderer = new().with_created(true);
    let expected = r#"# TYPE app_requests counter
# HELP app_requests All \"requests\".
app_requests_total{code="200"} 3 1700000001.5
app_requests_created{code="200"} 1700000000 1700000001.5
app_requests_total{code="a\"b"} 4.5 1700000001.5
app_requests_created{code="a\"b"} 1700000000 1700000001.5
# TYPE app_load_ratio gauge
# UNIT app_load_ratio ratio
app_load_ratio NaN 1700000001.5
# TYPE app_latency_seconds histogram
# UNIT app_latency_seconds seconds
app_latency_seconds_bucket{le="0.1"} 1 1700000001.5
app_latency_seconds_bucket{le="1.0"} 2 1700000001.5
app_latency_seconds_bucket{le="+Inf"} 4 1700000001.5
app_latency_seconds_sum 7.5 1700000001.5
app_latency_seconds_count 4 1700000001.5
app_latency_seconds_created 1700000000 1700000001.5
# TYPE app_delta histogram
app_delta_bucket{le="-1.0"} 1 1700000001.5
app_delta_bucket{le="+Inf"} 2 1700000001.5
app_delta_created 1700000000 1700000001.5
# TYPE app_size_bytes summary
app_size_bytes{quantile="0.5"} 10 1700000001.5
app_size_bytes{quantile="0.99"} 20.25 1700000001.5
app_size_bytes_sum 40.5 1700000001.5
app_size_bytes_count 3 1700000001.5
app_size_bytes_created 1700000000 1700000001.5
# EOF
"#;
    assert_eq!(body(&renderer, &frame, Format::OpenMetrics), expected);
    assert_eq!(renderer.samples(Format::OpenMetrics), 19);

    // When series began is told only where that is asked for.
    let lines = expected.lines();
    let plain: Vec<&str> = lines.filter(|line| !line.contains("_created")).collect();
    let found = body(&new(), &frame, Format::OpenMetrics);
    assert_eq!(found.lines().collect::<Vec<_>>(), plain);
    assert_eq!(new().samples(Format::OpenMetrics), 14);
}

#[test]
fn texts_are_made_once_for_schemes_that_change_something() {
    let frame = example();
    let plain = Renderer::new(Arc::clone(frame.catalog()), "app_", false).with_created(true);
    let plain = Arc::new(plain);
    for escaping in [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Values] {
        assert!(Arc::ptr_eq(&plain, &plain.with_escaping(escaping)));
    }
    let dots = plain.with_escaping(Escaping::Dots);
    assert!(
        !Arc::ptr_eq(&plain, &dots) && Arc::ptr_eq(&dots, &plain.with_escaping(Escaping::Dots))
    );
    let text = body(&dots, &frame, Format::OpenMetrics);
    assert!(
        text.starts_with(
            "# TYPE app__requests_ counter\n\
             # HELP app__requests_ All \\\"requests\\\".\n\
             app__requests__total{code=\"200\"} 3\n\
             app__requests__created{code=\"200\"} "
        ),
        "{text}"
    );
    // Families are asked for by what they are called, and by what they are.
    for names in [
        ["app__requests__total"],
        ["app_requests_total"],
        ["app_requests"],
    ] {
        let one = body(&dots.of_names(&names), &frame, Format::Text);
        assert!(one.starts_with("# HELP app__requests__total All"), "{one}");
        assert_eq!(value_lines(&one), 2);
    }
}

#[test]
fn families_are_selected_by_the_names_that_scrapes_show() {
    let frame = example();
    let all = Renderer::new(Arc::clone(frame.catalog()), "app_", false).with_created(true);
    let check = |names: &[&str], families: &[usize]| {
        let some = all.of_names(names);
        for format in [Format::Text, Format::OpenMetrics] {
            let mut expected = String::new();
            for &family in families {
                let catalog = Arc::clone(frame.catalog());
                let alone = Renderer::of_families(catalog, "app_", false, family..family + 1);
                expected += &body(&alone.with_created(true), &frame, format);
                expected = expected.replace("# EOF\n", "");
            }
            if format == Format::OpenMetrics {
                expected += "# EOF\n";
            }
            let found = body(&some, &frame, format);
            assert_eq!(found, expected, "{names:?}");
            assert_eq!(value_lines(&found), some.frame_samples(&frame, format));
        }
    };
    check(&["app_requests_total"], &[0]);
    check(&["app_requests"], &[0]);
    check(
        &["app_size_bytes", "app_load_ratio", "app_load_ratio"],
        &[1, 4],
    );
    check(&["app_latency_seconds", "nothing"], &[2]);
    for none in [
        "",
        "requests",
        "app_latency_seconds_bucket",
        "app_requests_created",
        "APP_DELTA",
    ] {
        check(&[none], &[]);
    }
    check(&[], &[]);
}

#[test]
fn no_families_make_an_empty_but_complete_body() {
    let frame = Frame::from_columns(&catalog(Vec::new()), 0, 0, 0, Vec::new());
    let renderer = Renderer::new(Arc::clone(frame.catalog()), "", false);
    assert_eq!(body(&renderer, &frame, Format::Text), "");
    assert_eq!(body(&renderer, &frame, Format::OpenMetrics), "# EOF\n");
    assert_eq!(renderer.samples(Format::OpenMetrics), 0);
}

fn longest_chunk(renderer: &Renderer, frame: &Frame) -> usize {
    let mut longest = 0;
    let mut out = Vec::new();
    for chunk in 0..renderer.chunk_count() {
        out.clear();
        renderer.render_chunk(frame, Format::OpenMetrics, chunk, &mut out);
        longest = longest.max(out.len());
    }
    longest
}

#[test]
fn chunks_are_bounded_whatever_the_labels() {
    let long = "x".repeat(10_000);
    let space = Space::from_dimensions(vec![list("a", &[&long]), numbered("b", 5000)]);
    let family = Family::new("long", "", "", Shape::Counter, Arc::new(space));
    let catalog = catalog(vec![family]);
    let frame = random_frames::frame(&catalog, 0, 0, 1);
    let renderer = Renderer::new(catalog, "", true).with_created(true);
    assert!(longest_chunk(&renderer, &frame) <= 2 << 20);
}

#[test]
fn small_families_share_chunks() {
    let space = Arc::new(Space::from_dimensions(vec![numbered("a", 10)]));
    let family = |n| Family::new(&format!("f{n}"), "", "", Shape::Gauge, Arc::clone(&space));
    let catalog = catalog((0..1000).map(family).collect());
    let frame = random_frames::frame(&catalog, 0, 0, 1);
    let renderer = Renderer::new(catalog, "", false);
    assert_eq!(renderer.chunk_count(), 3);
    let expected = twin::body(&frame, "", (false, false), Format::Text);
    assert_eq!(body(&renderer, &frame, Format::Text), expected);
}

#[test]
fn large_families_are_cut_and_come_out_whole() {
    let dimensions = || vec![numbered("a", 100), numbered("b", 10), numbered("c", 11)];
    let space = Arc::new(Space::from_dimensions(dimensions()));
    let bounds: Arc<[f64]> = [0.1, 1.0].as_slice().into();
    let catalog = catalog(vec![
        Family::new(
            "small",
            "",
            "",
            Shape::Gauge,
            Arc::new(Space::from_dimensions(vec![])),
        ),
        Family::new("one", "", "", Shape::Counter, Arc::clone(&space)),
        Family::new("two", "", "", Shape::histogram(bounds), space),
    ]);
    let frame = random_frames::frame(&catalog, 0, 0, 5);
    let renderer = Renderer::new(catalog, "", false);
    assert!(renderer.chunk_count() > 10);
    for format in [Format::Text, Format::OpenMetrics] {
        let expected = twin::body(&frame, "", (false, false), format);
        assert!(body(&renderer, &frame, format) == expected);
    }
    assert!(longest_chunk(&renderer, &frame) <= 2 << 20);
}
