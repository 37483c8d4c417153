//! Label spaces of sizes that could not be listed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use mockingbird::config::load_str;
use mockingbird::model::space::Space;
use mockingbird::model::{Catalog, Family};

fn gauge(name: &str, more: &str) -> String {
    format!("{{name: {name}, profile: p, type: gauge, algorithm: constant, start: 1{more}}}")
}

fn catalog(profile: &str, metrics: &str) -> Catalog {
    let text = format!("profiles: {{p: {{{profile}}}}}\nmetrics: [{metrics}]");
    let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    Catalog::build(&config, Vec::new()).unwrap()
}

/// The text of some labels of each series.
fn texts(family: &Family, labels: &[&str]) -> Vec<Vec<String>> {
    let space = &family.space;
    let columns: Vec<usize> = labels
        .iter()
        .map(|label| {
            let mut dimensions = space.dimensions().iter();
            dimensions.position(|d| d.name == *label).unwrap()
        })
        .collect();
    let text = |digits: &[u32], column: usize| {
        let values = &space.dimensions()[column].values;
        String::from_utf8(values.get(digits[column] as usize).to_vec()).unwrap()
    };
    (0..space.series_count())
        .map(|series| {
            let cursor = space.cursor(series);
            let columns = columns.iter();
            columns
                .map(|&column| text(cursor.digits(), column))
                .collect()
        })
        .collect()
}

#[test]
fn the_first_of_ten_to_the_fifteen_cost_nothing() {
    let profile = "series_cap: 1000, labels: {a: {range: [1, 100000]}, z: {range: [1, 100000]}, \
                   m: {range: [1, 100000]}}";
    let catalog = catalog(profile, &gauge("g", ""));
    let family = &catalog.families()[0];
    assert_eq!(family.series_count(), 1000);
    // In file order the last label, `m`, is the fastest.
    let found: BTreeSet<Vec<String>> = texts(family, &["a", "z", "m"]).into_iter().collect();
    let expected = (1..=1000)
        .map(|m| vec!["1".into(), "1".into(), m.to_string()])
        .collect();
    assert_eq!(found, expected);
    assert!(family.space.memory_bytes() < 200_000);
}

#[test]
fn one_label_of_ten_to_the_fifteen_can_be_capped() {
    let profile = "series_cap: 10, labels: {a: {range: [1, 1000000000000000]}}";
    let catalog = catalog(profile, &gauge("g", ""));
    assert_eq!(texts(&catalog.families()[0], &["a"]).len(), 10);
}

/// Values that are not kept are hashed and forgotten.
#[test]
fn a_long_range_can_be_sampled() {
    let profile = "series_cap: 10, sampling_strategy: hash, \
                   labels: {user: {range: [1, 3000000]}, zone: [a, b]}";
    let catalog = catalog(profile, &gauge("g", ""));
    assert_eq!(texts(&catalog.families()[0], &["user", "zone"]).len(), 10);
    assert!(catalog.families()[0].space.memory_bytes() < 10_000);
}

#[test]
fn a_sample_by_hash_has_the_smallest_keys() {
    let profile = |cap: u64| {
        format!(
            "series_cap: {cap}, sampling_strategy: hash, \
             labels: {{user: {{range: [1, 20000]}}, zone: [a, b, c]}}"
        )
    };
    let labels = ["user", "zone"];
    let thousand = catalog(&profile(1000), &gauge("g", ""));
    let hundred = catalog(&profile(100), &gauge("g", ""));
    let thousand: BTreeSet<_> = texts(&thousand.families()[0], &labels)
        .into_iter()
        .collect();
    let hundred: BTreeSet<_> = texts(&hundred.families()[0], &labels).into_iter().collect();
    assert_eq!((thousand.len(), hundred.len()), (1000, 100));
    assert!(
        hundred.is_subset(&thousand),
        "a smaller cap keeps fewer of the same series"
    );
}

#[test]
fn metrics_of_one_profile_keep_the_same_users() {
    let profile = "series_cap: 600, sampling_strategy: hash, \
                   labels: {user: {range: [1, 5000]}, zone: [a, b]}";
    let metrics = [
        gauge("plain", ""),
        gauge("same", ""),
        gauge("routed", ", labels: {route: [x, y, z]}"),
    ]
    .join(", ");
    let catalog = catalog(profile, &metrics);
    let [plain, same, routed] = catalog.families() else {
        panic!("three metrics")
    };
    assert!(
        Arc::ptr_eq(&plain.space, &same.space),
        "equal labels share one space"
    );
    let users = |family| -> BTreeSet<Vec<String>> {
        texts(family, &["user", "zone"]).into_iter().collect()
    };
    assert_eq!(routed.series_count(), 600);
    assert_eq!(users(routed).len(), 200);
    assert!(
        users(routed).is_subset(&users(plain)),
        "so that they can be joined"
    );
}

#[test]
fn too_many_combinations_are_refused_with_advice() {
    let text = "profiles: {p: {series_cap: 10, sampling_strategy: hash, labels: {\
                a: {range: [1, 100000]}, b: {range: [1, 100000]}}}}\n\
                metrics: [{name: g, profile: p, type: gauge, algorithm: constant, start: 1}]";
    let error = load_str(Path::new("test"), text.as_bytes(), &|_| None).unwrap_err();
    assert!(error.to_string().contains("first_n"), "{error}");
}

/// Storing a selection costs 12 bytes a series, whatever the labels are.
#[test]
fn selections_are_small() {
    let profile = "series_cap: 100000, sampling_strategy: hash, \
                   labels: {user: {range: [1, 1000], fmt: 'user-%08d'}, item: {range: [1, 1000]}}";
    let catalog = catalog(profile, &gauge("g", ""));
    let space: &Space = &catalog.families()[0].space;
    assert!(space.memory_bytes() < 100_000 * 12 + 100_000);
}
