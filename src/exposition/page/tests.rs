use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::{Label, LabelValues, Sampling, TargetLaw};
use crate::engine::{Columns, ExponentialColumn, Gaps, random_frames};
use crate::escaping::Escaping;
use crate::exposition::protobuf::twin as messages;
use crate::exposition::twin;
use crate::model::space::Space;
use crate::model::targets::TargetMap;
use crate::model::{Catalog, Family, Shape};

const LABELS: [&str; 8] = [
    "a",
    "b",
    "c",
    "long_label_name",
    "pod",
    "namespace",
    "zone",
    "missing",
];

/// By any labels, or some number of targets.
fn laws() -> impl Strategy<Value = TargetLaw> {
    let by = prop::sample::subsequence(LABELS.to_vec(), 1..4).prop_shuffle();
    prop_oneof![
        3 => by.prop_map(|labels| TargetLaw::By(labels.into_iter().map(str::to_owned).collect())),
        1 => (1..9u32).prop_map(TargetLaw::Count),
    ]
}

fn hidden() -> impl Strategy<Value = Vec<String>> {
    let some = prop::sample::subsequence(LABELS.to_vec(), 0..LABELS.len());
    some.prop_map(|labels| labels.into_iter().map(str::to_owned).collect())
}

/// Times behind samples, and `_created` lines.
type Times = (bool, bool);

fn renderer(frame: &Frame, (timestamps, created): Times) -> Renderer {
    Renderer::new(Arc::clone(frame.catalog()), "p_", timestamps).with_created(created)
}

/// The page with all that memory is used for left from other pages.
fn written(
    renderer: &Renderer,
    frame: &Frame,
    page: &Page<'_>,
    scratch: &mut PageScratch,
) -> (String, usize) {
    let mut out = b"before".to_vec();
    let samples = renderer.page(frame, page, scratch, &mut out, None);
    let mut marked = b"before".to_vec();
    let mut lines = Lines::default();
    let same = renderer.page(frame, page, scratch, &mut marked, Some(&mut lines));
    assert!(samples == same && out == marked);
    assert_eq!(lines.count(), samples);
    // Marks are where lines and values are.
    for line in lines.as_slice() {
        let (start, value) = (line.start as usize, line.value as usize);
        assert!(start == 6 || out[start - 1] == b'\n');
        assert_eq!(out[value - 1], b' ');
    }
    (String::from_utf8(out.split_off(6)).unwrap(), samples)
}

/// A frame in which all but the rows of a target is a gap.
fn alone(frame: &Arc<Frame>, target: Target<'_>) -> Frame {
    let catalog = frame.catalog();
    let gaps = catalog.blocks().iter().enumerate().map(|(index, block)| {
        let mut others = vec![true; block.len];
        for rows in target.rows(block.family) {
            for row in rows.filter(|row| (block.start..block.start + block.len).contains(row)) {
                others[row - block.start] = false;
            }
        }
        let others = (0..block.len).filter(|&row| others[row]);
        frame.gaps(index).union(&Gaps::at(block.len, others))
    });
    frame.with_gaps(gaps.collect())
}

/// The obvious page: of a body in which everything else is a gap those families that have
/// rows of the target.
fn expected(frame: &Arc<Frame>, page: &Page<'_>, times: Times) -> String {
    let catalog = frame.catalog();
    let body = twin::body(&alone(frame, page.target), "p_", times, page.format);
    let mut families = Vec::new();
    for line in body.lines() {
        // A family's header begins with its name and type, in one order or the other.
        let begins = line.starts_with("# ")
            && families.last().is_none_or(|last: &Vec<&str>| {
                last.iter().any(|line| !line.starts_with('#')) || name_of(last[0]) != name_of(line)
            });
        if begins {
            families.push(Vec::new());
        }
        families.last_mut().expect("a header is first").push(line);
    }
    let has_rows = |header: &str| {
        let name = name_of(header);
        let index = catalog.families().iter().position(|family| {
            let base = format!("p_{}", family.name);
            name == base || name == format!("{base}_total")
        });
        index.is_some_and(|index| page.target.rows(index).next().is_some())
    };
    let mut text = String::new();
    for family in families {
        if family[0] == "# EOF" || has_rows(family[0]) {
            for line in family {
                text += line;
                text.push('\n');
            }
        }
    }
    text
}

/// The name in a header line.
fn name_of(header: &str) -> &str {
    header.split(' ').nth(2).unwrap_or_default()
}

/// A line without some labels: read character by character.
fn without(line: &str, hidden: &[String]) -> String {
    let Some(open) = line
        .find(['{', ' '])
        .filter(|&at| line[at..].starts_with('{'))
    else {
        return line.to_owned();
    };
    let (mut kept, mut label, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    let mut end = 0;
    for (at, c) in line[open + 1..].char_indices() {
        let ends = !quoted && (c == ',' || c == '}');
        if ends {
            let name = label.split('=').next().unwrap().to_owned();
            if !hidden.contains(&name) {
                kept.push(std::mem::take(&mut label));
            }
            label.clear();
        } else {
            label.push(c);
        }
        if !quoted && c == '}' {
            end = open + 1 + at + 1;
            break;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    let labels = kept.join(",");
    let labels = if kept.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    };
    format!("{}{labels}{}", &line[..open], &line[end..])
}

fn samples(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// How often each line of samples is there.
fn counted<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut all = BTreeMap::new();
    for line in lines {
        *all.entry(line).or_default() += 1;
    }
    all
}

fn check(
    frame: &Arc<Frame>,
    map: &TargetMap,
    hidden: &[String],
    times: Times,
) -> Result<(), TestCaseError> {
    let renderer = renderer(frame, times);
    let mut scratch = PageScratch::default();
    for format in [Format::Text, Format::OpenMetrics] {
        let (mut whole, mut cut) = (String::new(), String::new());
        for target in map.iter() {
            let page = |hidden| Page {
                target,
                format,
                hidden,
                names: None,
            };
            let (text, count) = written(&renderer, frame, &page(&[]), &mut scratch);
            prop_assert_eq!(samples(&text).count(), count);
            prop_assert_eq!(&text, &expected(frame, &page(&[]), times));
            whole += &text;
            let (text, _) = written(&renderer, frame, &page(hidden), &mut scratch);
            cut += &text;
        }
        let body = twin::body(frame, "p_", times, format);
        prop_assert_eq!(counted(samples(&whole)), counted(samples(&body)));
        let expected: Vec<String> = samples(&body).map(|line| without(line, hidden)).collect();
        let expected = counted(expected.iter().map(String::as_str));
        prop_assert_eq!(counted(samples(&cut)), expected);
    }
    Ok(())
}

/// In protobuf, each page has the messages of the target's rows, hidden labels left out.
fn check_protobuf(
    frame: &Arc<Frame>,
    map: &TargetMap,
    hidden: &[String],
    times: Times,
) -> Result<(), TestCaseError> {
    let renderer = renderer(frame, times);
    let mut scratch = PageScratch::default();
    for target in map.iter() {
        let page = Page {
            target,
            format: Format::Protobuf,
            hidden,
            names: None,
        };
        let (mut out, mut marked, mut lines) = (Vec::new(), Vec::new(), Lines::default());
        let count = renderer.page(frame, &page, &mut scratch, &mut out, None);
        renderer.page(frame, &page, &mut scratch, &mut marked, Some(&mut lines));
        prop_assert!(out == marked);
        let places = lines.as_slice().iter();
        prop_assert!(places.clone().all(|line| line.start <= line.value));
        prop_assert!(places.clone().is_sorted_by_key(|line| line.value));
        let mut expected = messages::families(&alone(frame, target), "p_", times.0);
        for metric in expected.iter_mut().flat_map(|family| &mut family.metric) {
            metric
                .label
                .retain(|label| !hidden.contains(&label.name().to_owned()));
        }
        let found = messages::decode(&out);
        prop_assert_eq!(messages::samples(&found), count);
        prop_assert_eq!(
            messages::comparable(&found),
            messages::comparable(&expected)
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// For every frame and law, all pages together have the lines of the body, each page
    /// what the obvious one has, and hidden labels are left out and nothing else.
    #[test]
    fn pages_make_up_the_body(
        frame in random_frames::frames(),
        law in laws(),
        hidden in hidden(),
        times: (bool, bool),
    ) {
        let map = TargetMap::of(frame.catalog(), frame.populations(), &law, None);
        let frame = Arc::new(frame);
        check(&frame, &map, &hidden, times)?;
        check_protobuf(&frame, &map, &hidden, times)?;
    }

    /// The same however entities come and go.
    #[test]
    fn pages_follow_entities(
        frames in random_frames::living_frames(),
        law in laws(),
        hidden in hidden(),
        times: (bool, bool),
    ) {
        let mut before: Option<TargetMap> = None;
        for frame in frames {
            let map = TargetMap::of(frame.catalog(), frame.populations(), &law, before.as_ref());
            let frame = Arc::new(frame);
            check(&frame, &map, &hidden, times)?;
            check_protobuf(&frame, &map, &hidden, times)?;
            before = Some(map);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever metrics and labels are called, the page of a target that has all series is
    /// the body, by every scheme of escaping, with hidden labels or without.
    #[test]
    fn names_on_pages_are_those_of_the_body(
        frame in random_frames::utf8_frames(),
        hides in prop::sample::subsequence(random_frames::UTF8_LABELS.concat(), 0..9),
        times: (bool, bool),
    ) {
        let hidden: Vec<String> = hides.into_iter().map(str::to_owned).collect();
        let law = TargetLaw::Count(1);
        let map = TargetMap::of(frame.catalog(), frame.populations(), &law, None);
        let renderer = Arc::new(renderer(&frame, times));
        let mut scratch = PageScratch::default();
        for escaping in Escaping::ALL {
            let renderer = renderer.with_escaping(escaping);
            for (format, target) in [Format::Text, Format::OpenMetrics].into_iter()
                .flat_map(|format| map.iter().map(move |target| (format, target)))
            {
                let page = Page { target, format, hidden: &hidden, names: None };
                let (text, _) = written(&renderer, &frame, &page, &mut scratch);
                let names = (escaping, &hidden[..]);
                prop_assert_eq!(text, twin::body_of(&frame, "p_", times, format, names));
            }
        }
    }
}

fn list(name: &str, values: &[&str]) -> Label {
    let values = values.iter().map(ToString::to_string).collect();
    Label::new(name, LabelValues::List(values), false)
}

/// Two generated families, and those of the process.
fn example() -> Arc<Frame> {
    let space = |labels: &[Label]| Arc::new(Space::new(labels, None, Sampling::Hash).unwrap());
    let pods = space(&[list("pod", &["a/1", "b"]), list("code", &["200", "500"])]);
    let family = |name: &str, shape, space: &Arc<Space>| {
        Family::new(name, "What.", "", shape, Arc::clone(space))
    };
    let catalog = Catalog::from_families(
        vec![
            family("requests", Shape::Counter, &pods),
            family(
                "latency",
                Shape::histogram([0.5]),
                &space(&[list("pod", &["b", "c"])]),
            ),
            family("own_gen_ticks", Shape::Counter, &space(&[])),
            family("own_gen_scrapes", Shape::Counter, &space(&[])),
            family(
                "own_gen_epoch_seconds",
                Shape::Gauge,
                &space(&[list("fingerprint", &["f00"])]),
            ),
        ],
        2,
    );
    let columns = vec![
        Columns::Values(vec![1.0, 2.0, 3.0, 4.0]),
        Columns::Histogram {
            cumulative: vec![1, 2, 3, 4],
            sums: vec![0.5, 1.5],
            exponential: ExponentialColumn::default(),
            native: crate::engine::NativeColumn::default(),
        },
        Columns::Values(vec![77.0]),
        Columns::Values(vec![5.0]),
        Columns::Values(vec![1000.5]),
    ];
    Arc::new(Frame::from_columns(
        &Arc::new(catalog),
        77,
        1_077_500_000_000,
        1_000_500_000_000,
        columns,
    ))
}

/// The page of a target, which the messages have as well.
fn page_of(id: &str, format: Format, hidden: &[String], names: Option<&[&str]>) -> String {
    let frame = example();
    let law = TargetLaw::By(vec!["pod".into()]);
    let map = TargetMap::of(frame.catalog(), frame.populations(), &law, None);
    let target = map.find(id).unwrap();
    let page = Page {
        target,
        format,
        hidden,
        names,
    };
    let (renderer, scratch) = (renderer(&frame, (false, true)), &mut PageScratch::default());
    let text = written(&renderer, &frame, &page, scratch).0;
    if format == Format::Text {
        let mut out = Vec::new();
        let format = Format::Protobuf;
        renderer.page(&frame, &Page { format, ..page }, scratch, &mut out, None);
        let found = messages::text(&messages::decode(&out));
        let lines = text.lines().filter(|line| !line.starts_with("# HELP"));
        assert_eq!(found.lines().collect::<Vec<_>>(), lines.collect::<Vec<_>>());
    }
    text
}

#[test]
fn a_page_reads_as_a_body_and_tells_its_target() {
    let own = "# HELP p_own_gen_ticks_total What.
# TYPE p_own_gen_ticks_total counter
p_own_gen_ticks_total{target=\"b\"} 77
# HELP p_own_gen_epoch_seconds What.
# TYPE p_own_gen_epoch_seconds gauge
p_own_gen_epoch_seconds{fingerprint=\"f00\",target=\"b\"} 1000.5
";
    let expected = "# HELP p_requests_total What.
# TYPE p_requests_total counter
p_requests_total{code=\"200\",pod=\"b\"} 2
p_requests_total{code=\"500\",pod=\"b\"} 4
# HELP p_latency What.
# TYPE p_latency histogram
p_latency_bucket{pod=\"b\",le=\"0.5\"} 1
p_latency_bucket{pod=\"b\",le=\"+Inf\"} 2
p_latency_sum{pod=\"b\"} 0.5
p_latency_count{pod=\"b\"} 2
";
    assert_eq!(
        page_of("b", Format::Text, &[], None),
        format!("{expected}{own}")
    );
    let hidden = ["pod".to_owned()];
    let cut = expected
        .replace(",pod=\"b\"", "")
        .replace("{pod=\"b\",", "{");
    let cut = cut.replace("{pod=\"b\"}", "");
    assert_eq!(
        page_of("b", Format::Text, &hidden, None),
        format!("{cut}{own}")
    );
    // Names select among all of it.
    let names = ["p_latency", "p_own_gen_ticks", "p_own_gen_scrapes_total"];
    let latency = expected.find("# HELP p_latency").unwrap();
    let ticks = own.find("# HELP p_own_gen_epoch").unwrap();
    let some = format!("{}{}", &expected[latency..], &own[..ticks]);
    assert_eq!(page_of("b", Format::Text, &[], Some(&names)), some);

    let expected = "# TYPE p_requests counter
# HELP p_requests What.
p_requests_total{code=\"200\"} 1
p_requests_created{code=\"200\"} 1000.5
p_requests_total{code=\"500\"} 3
p_requests_created{code=\"500\"} 1000.5
# TYPE p_own_gen_ticks counter
# HELP p_own_gen_ticks What.
p_own_gen_ticks_total{target=\"a~2F1\"} 77
p_own_gen_ticks_created{target=\"a~2F1\"} 1000.5
# TYPE p_own_gen_epoch_seconds gauge
# HELP p_own_gen_epoch_seconds What.
p_own_gen_epoch_seconds{fingerprint=\"f00\",target=\"a~2F1\"} 1000.5
# EOF
";
    assert_eq!(
        page_of("a~2F1", Format::OpenMetrics, &hidden, None),
        expected
    );
}
