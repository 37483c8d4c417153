//! The bytes of every shipped configuration, pinned.
//!
//! A change of output is a decision: `UPDATE_GOLDEN=1 cargo test --test golden`
//! writes the file anew, and the change shows in review. Same seed, same bytes,
//! on every platform and in every build. `OpenMetrics` is pinned as the files ask
//! for it, and with the `_created` lines of `exporters.prometheus.created`.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use mockingbird::config;
use mockingbird::engine::Engine;
use mockingbird::exposition::{Format, Renderer};
use mockingbird::model::Catalog;
use xxhash_rust::xxh3::Xxh3;

const FILE: &str = "tests/golden/fingerprints.txt";
/// The ticks that are pinned; at 0 totals are zero and walks at their start.
const TICKS: [u64; 4] = [0, 1, 10, 1000];

#[test]
fn shipped_configurations_give_the_pinned_bytes() {
    // Protobuf came later, and after all that was pinned before.
    let (mut found, mut protobuf) = (String::new(), String::new());
    for name in [
        "baseline",
        "high_cardinality",
        "kubernetes",
        "million",
        "production_sim",
        "reference",
    ] {
        let path = format!("configs/{name}.yaml");
        fingerprint((name, &path), &mut found, &mut protobuf);
    }
    found += &protobuf;
    // What no shipped file has came later still.
    let (mut texts, mut protobuf) = (String::new(), String::new());
    let file = ("exemplars", "tests/exemplars.yaml");
    fingerprint(file, &mut texts, &mut protobuf);
    found += &texts;
    found += &protobuf;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(FILE, &found).unwrap();
    }
    let pinned = std::fs::read_to_string(FILE).unwrap_or_default();
    assert_eq!(
        found, pinned,
        "the output changed; if that is meant, run: UPDATE_GOLDEN=1 cargo test --test golden"
    );
}

fn fingerprint((name, path): (&str, &str), texts: &mut String, protobuf: &mut String) {
    let config = config::load(Path::new(path)).unwrap();
    let catalog = Arc::new(Catalog::build(&config, Vec::new()).unwrap());
    let page = || Renderer::of_page(Arc::clone(&catalog), &config.prometheus);
    let (renderer, with_created) = (page(), page().with_created(true));
    let forms = [
        (&renderer, Format::Text, "text"),
        (&renderer, Format::OpenMetrics, "openmetrics"),
        (&with_created, Format::OpenMetrics, "and created"),
        (&renderer, Format::Protobuf, "protobuf"),
    ];
    let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 2).unwrap();
    for tick in TICKS {
        let frame = loop {
            let frame = engine.advance(|_, _| {});
            if frame.tick() == tick {
                break frame;
            }
        };
        for (renderer, format, label) in forms {
            let (mut hash, mut bytes, mut chunk) = (Xxh3::new(), 0, Vec::new());
            for index in 0..renderer.chunk_count() {
                chunk.clear();
                renderer.render_chunk(&frame, format, index, &mut chunk);
                hash.update(&chunk);
                bytes += chunk.len();
            }
            let hash = hash.digest();
            let out = match format {
                Format::Protobuf => &mut *protobuf,
                Format::Text | Format::OpenMetrics => &mut *texts,
            };
            let _ = writeln!(
                out,
                "{name:17} tick {tick:4} {label:11} {bytes:10} {hash:016x}"
            );
        }
    }
}
