//! Whatever is read, there is an answer, in time and without a panic.

use std::path::Path;

use proptest::prelude::*;

use super::*;

#[test]
fn hostile_files_are_refused_in_time() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let below = format!("*a{}", level - 1);
        let nine = vec![below; 9].join(", ");
        bomb = format!("{bomb}a{level}: &a{level} [{nine}]\n");
    }
    let all = messages(&bomb);
    assert!(all.contains("aliases"), "{all}");
    for (opening, count) in [
        ("[", 1_000_000),
        ("{", 1_000_000),
        ("- ", 100_000),
        ("a: {", 100_000),
        ("{\"]\": ", 100_000),
        ("{a: #]\n", 100_000),
        ("? ", 100_000),
        ("[\n", 1_000_000),
    ] {
        let all = messages(&opening.repeat(count));
        assert!(
            all.contains("not valid YAML") || all.contains("brackets"),
            "{opening}: {all}"
        );
    }
    // A long text, many times.
    let text = "x".repeat(1 << 20);
    let aliases = "*t,".repeat(1000);
    let all = messages(&format!("t: &t {text}\nmetrics: [{aliases}]"));
    assert!(all.contains("more than 64 MiB of text"), "{all}");
    // A long label value that many metrics get.
    let metrics: Vec<_> = (0..1000)
        .map(|index| {
            format!("{{name: m{index}, type: gauge, algorithm: constant, start: 1, profile: p}},")
        })
        .collect();
    let all = messages(&format!(
        "profiles: {{p: {{labels: {{l: {text}}}}}}}\nmetrics: [{}]",
        metrics.concat()
    ));
    assert!(all.contains("more than 256 MiB of listed label values"));
    // A long key, which every path below it would repeat.
    let key = "k".repeat(1 << 20);
    let steps = "[],".repeat(10_000);
    let all = messages(&format!(
        "{{\"scenarios\": {{\"{key}\": {{\"steps\": [{steps}]}}}}}}"
    ));
    assert!(all.len() < 1000, "{} bytes", all.len());
    // A long name, which messages list.
    let metric = format!("{{name: {text}, type: gauge, algorithm: constant, start: 1}}");
    let actions = "{action: spike, metric: q, multiplier: 1, duration_s: 1},".repeat(1000);
    let all = messages(&format!(
        "metrics: [{metric}]\nruntime: {{on_start: [{actions}]}}"
    ));
    assert!(all.len() < 100_000, "{} bytes", all.len());
    let all = messages(&format!("metrics: [{}]", "1,".repeat(2000)));
    assert_eq!(all.lines().count(), 100);
    let all = messages(&format!(
        "{GAUGE}profiles: {{p: {{labels: {{x: [{}]}}}}}}",
        "1,".repeat(200_000)
    ));
    assert!(
        all.ends_with("… and 199899 more"),
        "{}",
        all.lines().last().unwrap()
    );
}

proptest! {
    /// For every small change of a good file, there is an answer, no panic, and
    /// each mistake lies within the text.
    #[test]
    fn changed_files_get_an_answer(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6)) {
        let mut bytes = include_bytes!("../../../configs/reference.yaml").to_vec();
        for (place, byte, action) in edits {
            let index = place.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            if bytes.is_empty() { bytes.push(byte); }
            match action {
                0 => bytes[index] = byte,
                1 => bytes.insert(index, b" []{}:,-&*!|>'\"%@`#\n\t0.9x"[usize::from(byte) % 25]),
                2 => { bytes.remove(index); }
                _ => { let end = (index + usize::from(byte)).min(bytes.len()); bytes.drain(index..end); }
            }
        }
        if let Err(error) = load_str(Path::new("f.yaml"), &bytes, &|_| None) {
            // YAML has more line breaks than most.
            let text = String::from_utf8_lossy(&bytes);
            let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
            let lines = text.split(breaks).count();
            for problem in error.problems() {
                prop_assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
                prop_assert!(problem.column.is_none_or(|column| column <= bytes.len() + 1), "{problem}");
            }
        }
    }

    /// For every tree whose keys are often real fields, there is an answer.
    #[test]
    fn random_trees_get_an_answer(tree in trees()) {
        let text = serde_json::to_string(&tree).unwrap();
        let _ = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
    }
}

/// JSON, which is YAML, with field names for keys and plausible words.
pub(super) fn trees() -> impl Strategy<Value = serde_json::Value> {
    let words = prop::sample::select(vec![
        "gauge",
        "counter",
        "histogram",
        "summary",
        "poisson",
        "constant",
        "sine",
        "mixture",
        "lognormal",
        "hash",
        "p",
        "%02d",
        "",
        "x_total",
        "\u{0}",
        "é",
        "spike",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|value| serde_json::json!(value)),
        (-3..3_i32).prop_map(Into::into),
        words.prop_map(Into::into),
    ];
    let keys = prop::sample::select(vec![
        "global",
        "exporters",
        "profiles",
        "metrics",
        "runtime",
        "name",
        "type",
        "algorithm",
        "labels",
        "values",
        "range",
        "fmt",
        "profile",
        "p",
        "clamp",
        "start",
        "step",
        "buckets",
        "objectives",
        "components",
        "weight",
        "mu",
        "sigma",
        "lam",
        "prometheus",
        "otel",
        "headers",
        "on_start",
        "failure_modes",
        "series_cap",
        "sampling_strategy",
        "<<",
        "le",
    ]);
    let tree = leaf.prop_recursive(6, 80, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((keys.clone(), inner), 0..8).prop_map(|entries| {
                entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    });
    (tree.clone(), tree.clone(), tree).prop_map(|(profiles, metric, other)| {
        serde_json::json!({"profiles": profiles, "metrics": [metric, other.clone()], "runtime": other})
    })
}
