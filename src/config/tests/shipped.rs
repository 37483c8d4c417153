//! The files in `configs`, and their schema.

use std::path::{Path, PathBuf};

use super::*;
use crate::algorithm::counter::CounterAlgorithm;
use crate::algorithm::distribution::Distribution;
use crate::algorithm::gauge::GaugeAlgorithm;

/// The shipped configurations, with their names.
pub(super) fn shipped() -> Vec<(PathBuf, Config)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut shipped: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            let config = load_str(&path, &bytes, &|_| None);
            let config = config.unwrap_or_else(|error| panic!("{error}"));
            (path, config)
        })
        .collect();
    shipped.sort_by(|a, b| a.0.cmp(&b.0));
    shipped
}

/// Attributes that OpenTelemetry's semantic conventions have renamed since.
#[test]
fn shipped_files_teach_current_attributes() {
    const RENAMED: [&str; 4] = [
        "deployment.environment",
        "http.method",
        "http.status_code",
        "net.host.name",
    ];
    for (path, config) in shipped() {
        for name in config.otel.resource.keys() {
            assert!(
                !RENAMED.contains(&name.as_str()),
                "{}: {name}",
                path.display()
            );
        }
    }
}

/// Series of a metric and samples per scrape.
fn size(metric: &Metric) -> (u64, u64) {
    let product: u64 = metric
        .labels
        .iter()
        .map(|label| match &label.values {
            LabelValues::List(list) => list.len() as u64,
            LabelValues::Range { first, last, .. } => (last - first + 1) as u64,
        })
        .product();
    let series = metric.series_cap.map_or(product, |cap| cap.min(product));
    let each = match &metric.kind {
        Kind::Counter { .. } | Kind::Gauge { .. } => 1,
        Kind::Histogram { bounds, .. } => bounds.len() as u64 + 3,
        Kind::Summary { objectives, .. } => objectives.len() as u64 + 2,
    };
    (series, series * each)
}

#[test]
fn shipped_configurations_are_good() {
    let shipped = shipped();
    let total = |name: &str| {
        let (_, config) = shipped
            .iter()
            .find(|(path, _)| path.ends_with(name))
            .unwrap();
        config
            .metrics
            .iter()
            .map(size)
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    assert_eq!(shipped.len(), 6);
    assert_eq!(total("high_cardinality.yaml"), (450_000, 1_950_000));
    assert_eq!(total("million.yaml"), (1_000_000, 1_000_000));
    assert_eq!(total("baseline.yaml").0, 104);
    for (path, config) in &shipped {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.starts_with("# yaml-language-server: $schema=schema.json\n"),
            "{path:?} does not name its schema"
        );
        assert!(!config.metrics.is_empty());
    }
}

/// `UPDATE_SCHEMA=1 cargo test --lib config` writes the file anew.
#[test]
fn the_shipped_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/schema.json");
    let expected = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let shipped = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shipped == expected,
        "configs/schema.json is out of date; run the tests with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_reference_has_every_field() {
    let text = include_str!("../../../configs/reference.yaml");
    let tree = serde_yaml::from_str(text).unwrap();
    let schema = json_schema();
    let mut seen = std::collections::BTreeSet::new();
    collect_fields(&schema, &schema, &tree, &mut seen);
    let top = std::iter::once(("", &schema));
    let definitions = schema["$defs"].as_object().unwrap();
    let named = definitions.iter().map(|(name, part)| (name.as_str(), part));
    let mut fields = 0;
    for (name, part) in top.chain(named) {
        let Some(properties) = part["properties"].as_object() else {
            continue;
        };
        for (field, about) in properties {
            let place = format!("{name}.{field}");
            assert!(
                seen.contains(&place),
                "reference.yaml does not show {place}"
            );
            assert!(about["description"].is_string(), "{place} is not described");
            fields += 1;
        }
    }
    assert!(fields > 80, "only {fields} fields");
}

/// Every algorithm's name and parameters are in the schema, with its own words, and in
/// the reference.
/// Calls `each` with all fields that a schema has, and their schemas.
fn for_each_field(schema: &serde_json::Value, each: &mut dyn FnMut(&str, &serde_json::Value)) {
    match schema {
        serde_json::Value::Object(parts) => {
            let fields = parts
                .get("properties")
                .and_then(|fields| fields.as_object());
            for (name, field) in fields.into_iter().flatten() {
                each(name, field);
            }
            parts.values().for_each(|part| for_each_field(part, each));
        }
        serde_json::Value::Array(parts) => {
            for part in parts {
                for_each_field(part, each);
            }
        }
        _ => {}
    }
}

#[test]
fn every_duration_may_have_units() {
    const OTHERS: [&str; 7] = [
        "lifetime", "every", "over", "overlap", "down", "period", "lag",
    ];
    let mut durations = 0;
    for_each_field(&json_schema(), &mut |name, field| {
        if name.ends_with("_s") || OTHERS.contains(&name) {
            let pattern = field["pattern"].as_str().unwrap_or_default();
            let is_duration = pattern.starts_with(crate::quantity::DURATION_PATTERN);
            assert!(is_duration, "{name}");
            durations += 1;
        }
    });
    assert!(durations > 25, "{durations}");
    for (text, seconds) in [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("6h", 21_600),
        ("1d", 86_400),
    ] {
        assert_eq!(
            crate::quantity::duration_ns(text),
            Ok(seconds * 1_000_000_000),
            "{text}"
        );
    }
}

#[test]
fn the_schema_and_the_reference_have_every_algorithm() {
    let text = include_str!("../../../configs/reference.yaml");
    let reference: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let metrics = reference["metrics"].as_sequence().unwrap();
    let schema = json_schema();
    let fields = &schema["$defs"]["Metric"]["properties"];
    let named = &fields["algorithm"]["anyOf"][0]["enum"];
    let mut parameters = 0;
    for (types, algorithms) in [
        (["counter"].as_slice(), CounterAlgorithm::ALL),
        (&["gauge"], GaugeAlgorithm::ALL),
        (&["histogram", "summary"], Distribution::ALL),
    ] {
        for algorithm in algorithms {
            let name = algorithm.name;
            let is_named = named.as_array().unwrap().iter().any(|one| one == name);
            assert!(is_named, "the schema does not name {name}");
            let shows = |metric: &serde_yaml::Value| {
                let kind = metric["type"].as_str().unwrap();
                types.contains(&kind) && metric["algorithm"] == name
            };
            let shown = metrics.iter().any(shows);
            assert!(shown, "reference.yaml does not show {types:?} {name}");
            for parameter in algorithm.parameters {
                let about = fields[parameter.name]["description"].as_str();
                let about = about.unwrap_or_default();
                let sentence = parameter.sentence();
                let place = format!("{name}.{}", parameter.name);
                assert!(about.contains(&sentence), "{place}: {about:?}");
                assert!(
                    about.contains(&*parameter.need.words()),
                    "{place}: {about:?}"
                );
                assert!(text.contains(&format!("{}:", parameter.name)), "{place}");
                parameters += 1;
            }
        }
    }
    assert!(parameters > 20, "only {parameters}");
}

/// Notes `Definition.field` for every field that `tree` sets.
fn collect_fields(
    root: &serde_json::Value,
    part: &serde_json::Value,
    tree: &serde_yaml::Value,
    seen: &mut std::collections::BTreeSet<String>,
) {
    let mut part = part;
    let mut name = "";
    if let Some(reference) = part["$ref"].as_str() {
        name = reference.trim_start_matches("#/$defs/");
        part = &root["$defs"][name];
    }
    for branch in part["anyOf"].as_array().into_iter().flatten() {
        collect_fields(root, branch, tree, seen);
    }
    match tree {
        serde_yaml::Value::Mapping(entries) => {
            for (key, value) in entries {
                let field = key.as_str().unwrap_or_default();
                if part["properties"][field].is_object() {
                    seen.insert(format!("{name}.{field}"));
                    collect_fields(root, &part["properties"][field], value, seen);
                } else if part["additionalProperties"].is_object() {
                    collect_fields(root, &part["additionalProperties"], value, seen);
                }
            }
        }
        serde_yaml::Value::Sequence(items) => {
            for item in items {
                collect_fields(root, &part["items"], item, seen);
            }
        }
        _ => {}
    }
}
