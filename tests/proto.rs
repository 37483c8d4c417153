//! The committed protobuf types are what `proto/` generates.

use std::path::{Path, PathBuf};

/// Set to write the generated types into the source tree.
const REGENERATE: &str = "MOCKINGBIRD_REGENERATE";

#[test]
fn committed_types_are_the_generated_ones() {
    for package in [
        "otlp",
        "prometheus_client",
        "remote_write_v1",
        "remote_write_v2",
    ] {
        check(package);
    }
}

fn check(package: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().expect("a temporary directory");
    let proto = format!("{package}.proto");
    let descriptors = protox::compile([&proto], [root.join("proto")]).expect("valid proto");
    prost_build::Config::new()
        .out_dir(out.path())
        .compile_fds(descriptors)
        .expect("prost generates types");
    let types = format!("{package}.rs");
    let generated = std::fs::read_to_string(out.path().join(&types)).expect("generated types");
    let committed: PathBuf = root.join("src/proto").join(&types);
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&committed, &generated).expect("a writable source tree");
    }
    let committed = std::fs::read_to_string(committed).unwrap_or_default();
    assert!(
        committed == generated,
        "src/proto/{types} is not what proto/{proto} generates; run the test with {REGENERATE}=1"
    );
}
