//! The Kustomize base, which is what the chart renders without values, without Helm's marks.
//!
//! `UPDATE_KUBERNETES=1 cargo test --test real kustomize -- --ignored` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_yaml::Value;

use super::{chart, documents};
use crate::servers::kubernetes::{helm, kustomize};

/// What is at the beginning of each file that is written.
const HEAD: &str = "# Written from the chart beside this folder: UPDATE_KUBERNETES=1 cargo test --test real kustomize -- --ignored\n";

/// What Kustomize makes the configuration's `ConfigMap` of; a change of it is another name, which
/// replaces the pods.
const KUSTOMIZATION: &str = "
# Mockingbird as `helm install` has it without values: one pod that is scraped, with the example
# in config.yaml. In an overlay, put a file of your own in its place:
#
#   resources: [.../compose/kubernetes/base]
#   configMapGenerator:
#     - {name: mockingbird, behavior: replace, files: [config.yaml]}
#
# and, for several shards (global.epoch has to be set in the file then), patch both numbers:
#
#   patches:
#     - target: {kind: StatefulSet}
#       patch: |
#         - {op: replace, path: /spec/replicas, value: 4}
#         - {op: replace, path: /spec/template/spec/containers/0/env/1/value, value: \"4\"}
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
";

fn folder() -> PathBuf {
    chart().join("../base")
}

/// The objects of the chart, without what only Helm has a use for.
fn rendered() -> Vec<Value> {
    let chart = chart();
    let text = helm(&["template", "mockingbird", chart.to_str().unwrap()], "");
    let mut objects = documents(&text);
    for object in &mut objects {
        let labels = object["metadata"]["labels"].as_mapping_mut().unwrap();
        for label in ["helm.sh/chart", "app.kubernetes.io/managed-by"] {
            labels.shift_remove(label).expect("a mark of Helm");
        }
        // In its place, the name of the ConfigMap changes.
        if let Some(template) = object
            .get_mut("spec")
            .and_then(|spec| spec.get_mut("template"))
        {
            let annotations = template["metadata"]["annotations"]
                .as_mapping_mut()
                .unwrap();
            annotations.shift_remove("checksum/config").expect("a sum");
        }
    }
    objects
}

fn field<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    let value = path.iter().fold(object, |at, name| &at[*name]);
    value.as_str().unwrap()
}

/// File name → text, as the folder should have them.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut kustomization = format!("{HEAD}{KUSTOMIZATION}");
    let mut generated = String::new();
    for object in rendered() {
        let kind = field(&object, &["kind"]).to_lowercase();
        if kind == "configmap" {
            let name = field(&object, &["metadata", "name"]);
            let labels = serde_yaml::to_string(&object["metadata"]["labels"]).unwrap();
            let labels = labels.replace('\n', "\n        ");
            generated = format!(
                "configMapGenerator:\n  - name: {name}\n    files: [config.yaml]\n    options:\n      \
                 labels:\n        {}\n",
                labels.trim_end()
            );
            let text = field(&object, &["data", "config.yaml"]);
            files.insert("config.yaml".to_owned(), text.to_owned());
            continue;
        }
        let _ = writeln!(kustomization, "  - {kind}.yaml");
        let text = format!("{HEAD}{}", serde_yaml::to_string(&object).unwrap());
        files.insert(format!("{kind}.yaml"), text);
    }
    assert!(!generated.is_empty(), "no ConfigMap");
    files.insert("kustomization.yaml".to_owned(), kustomization + &generated);
    files
}

/// Objects by kind and name, with an order of their own.
fn sorted(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let named = objects.into_iter().map(|object| {
        let name = field(&object, &["metadata", "name"]);
        (format!("{} {name}", field(&object, &["kind"])), object)
    });
    named.collect()
}

#[test]
#[ignore = "needs servers"]
fn kustomize_makes_of_the_base_what_helm_makes_of_the_chart() {
    let files = files();
    if std::env::var_os("UPDATE_KUBERNETES").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for (name, text) in &files {
            std::fs::write(folder().join(name), text).unwrap();
        }
    }
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.insert(name, std::fs::read_to_string(&path).unwrap());
    }
    for (name, text) in &files {
        assert_eq!(
            found.get(name),
            Some(text),
            "{name}; to write it anew: UPDATE_KUBERNETES=1"
        );
    }
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&files));

    // The generated ConfigMap's name ends with a sum of what it says.
    let mut made = documents(&kustomize(&folder()));
    let suffixed = made.iter().find(|object| object["kind"] == "ConfigMap");
    let suffixed = field(suffixed.unwrap(), &["metadata", "name"]).to_owned();
    assert!(suffixed.starts_with("mockingbird-"), "{suffixed}");
    for object in &mut made {
        let text = serde_yaml::to_string(object).unwrap();
        *object = serde_yaml::from_str(&text.replace(&suffixed, "mockingbird")).unwrap();
    }
    assert_eq!(sorted(made), sorted(rendered()));
}

/// A patch of the environment goes by its place.
#[test]
#[ignore = "needs servers"]
fn an_overlay_of_the_base_has_as_many_shards_as_it_says() {
    let parent = tempfile::tempdir().unwrap();
    let [base, overlay] = ["base", "overlay"].map(|name| parent.path().join(name));
    std::fs::create_dir(&overlay).unwrap();
    std::fs::create_dir(&base).unwrap();
    for (name, text) in files() {
        std::fs::write(base.join(name), text).unwrap();
    }
    let text = "metrics: [{name: a, type: counter, algorithm: poisson, base_rate: 1}]\n";
    std::fs::write(overlay.join("config.yaml"), text).unwrap();
    let lines = KUSTOMIZATION.lines();
    let example = lines.filter_map(|line| line.strip_prefix("#   "));
    let example: Vec<&str> = example.collect();
    let example = example
        .join("\n")
        .replace(".../compose/kubernetes/base", "../base");
    std::fs::write(overlay.join("kustomization.yaml"), example).unwrap();
    let objects = documents(&kustomize(&overlay));
    let of = |kind: &str| {
        objects
            .iter()
            .find(|object| object["kind"] == kind)
            .unwrap()
    };
    assert_eq!(field(of("ConfigMap"), &["data", "config.yaml"]), text);
    let set = &of("StatefulSet")["spec"];
    assert_eq!(set["replicas"], 4);
    let container = &set["template"]["spec"]["containers"][0];
    let shards: Value = serde_yaml::from_str("{name: MOCKINGBIRD_SHARDS, value: '4'}").unwrap();
    assert_eq!(container["env"][1], shards);
    let volume = &set["template"]["spec"]["volumes"][0]["configMap"]["name"];
    assert_eq!(volume, &of("ConfigMap")["metadata"]["name"]);
}
