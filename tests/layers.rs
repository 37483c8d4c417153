//! The map in the crate docs is true: it has every module, a module uses those above it only, its
//! files do not use one another in circles, and what the invariants say about clocks and I/O holds.

#[path = "layers/uses.rs"]
mod uses;

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that compute and encode: what they give depends on their arguments alone.
const PURE: [&str; 15] = [
    "quantity",
    "readable",
    "random",
    "algorithm",
    "layout",
    "escaping",
    "churn",
    "exporters",
    "model",
    "timeline",
    "engine",
    "exposition",
    "proto",
    "otlp",
    "remote_write",
];

/// A file below `src/`.
struct Source {
    path: PathBuf,
    /// The top-level module that it belongs to.
    module: String,
    text: String,
}

impl Source {
    /// Numbered lines that are no comments.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let is_code = |(_, line): &(usize, &str)| !line.trim_start().starts_with("//");
        lines.map(|(index, line)| (index + 1, line)).filter(is_code)
    }

    /// The same without its tests.
    fn lines_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
        let is_all_tests = self.path.iter().any(is_test);
        let lines = self.lines().take_while(|(_, line)| *line != "mod tests {");
        lines.filter(move |_| !is_all_tests)
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// All files below `src/` but the crate's roots.
fn sources() -> Vec<Source> {
    fn add(sources: &mut Vec<Source>, root: &Path, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(sources, root, &path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_owned();
                let module = Path::new(path.iter().next().unwrap()).with_extension("");
                let module = module.to_str().unwrap().to_owned();
                sources.push(Source { path, module, text });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    add(&mut sources, &root, &root);
    sources.retain(|source| !["lib", "main"].contains(&&*source.module));
    assert!(sources.len() > 50, "only {} files", sources.len());
    sources
}

fn crate_root() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    fs::read_to_string(path).unwrap()
}

/// The modules of the map in the crate docs, in its order.
fn map(crate_root: &str) -> Vec<&str> {
    let rows = crate_root
        .lines()
        .skip_while(|line| !line.starts_with("//! | module |"))
        .take_while(|line| line.starts_with("//! |"));
    let cells = rows.skip(2).filter_map(|row| row.split('|').nth(1));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

/// The modules that a line names by their path from the crate's root.
fn used(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn every_module_is_on_the_map() {
    let crate_root = crate_root();
    let declared = crate_root.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    let mut declared: Vec<&str> = declared.collect();
    let mut mapped = map(&crate_root);
    declared.sort_unstable();
    mapped.sort_unstable();
    assert_eq!(mapped, declared);
}

#[test]
fn a_module_uses_those_above_it_only() {
    let crate_root = crate_root();
    let map = map(&crate_root);
    let place = |module: &str| map.iter().position(|known| *known == module);
    let mut uses = 0;
    let mut wrong = Vec::new();
    for source in sources() {
        let user = place(&source.module).expect("every module is on the map");
        for (number, line) in source.lines() {
            for module in used(line) {
                uses += 1;
                // `crate::{a, b}` is not read, and so is refused: one line for each module.
                if place(module).is_none_or(|used| used > user) {
                    wrong.push(format!("{}: {}", source.place(number), line.trim()));
                }
            }
        }
    }
    assert!(uses > 500, "only {uses} uses were found");
    assert!(
        wrong.is_empty(),
        "the map in src/lib.rs has what is used here further down, or not at all \
         (several modules in braces are not understood):\n{}",
        wrong.join("\n")
    );
}

/// All files as far as they are no tests, and this added to one of them.
fn files_with(path: &str, added: &str) -> uses::Files {
    let mut files = uses::Files::default();
    for source in sources() {
        // Comments stay as empty lines, so that places are right.
        let mut code = String::new();
        for (number, line) in source.lines_without_tests() {
            code.extend(std::iter::repeat_n('\n', number - 1 - code.lines().count()));
            code.push_str(line);
            code.push('\n');
        }
        if source.path == Path::new(path) {
            code.push_str(added);
        }
        let path = source.path.with_extension("");
        files.add(path.to_str().unwrap(), code);
    }
    files
}

#[test]
fn files_of_a_module_do_not_use_one_another_in_circles() {
    let circles = files_with("", "").circles();
    let circles: Vec<String> = circles
        .iter()
        .map(|circle| format!("{}\n{}", circle.title, circle.places))
        .collect();
    assert!(
        circles.is_empty(),
        "what these share belongs into a file below them:\n{}",
        circles.join("\n")
    );
}

#[test]
fn a_circle_that_is_put_into_the_code_is_found() {
    for (path, added, title, place) in [
        (
            "verify/sums.rs",
            "use super::totals::check;",
            "verify: ",
            "sums uses totals: verify/sums.rs:",
        ),
        (
            "cli/watch.rs",
            "fn again() { super::verify::verify(); }",
            "cli: ",
            "watch uses verify: cli/watch.rs:",
        ),
    ] {
        let circles = files_with(path, added).circles();
        let [circle] = &circles[..] else {
            panic!("{path}: {circles:?}");
        };
        assert!(circle.title.starts_with(title), "{circle:?}");
        assert!(circle.places.contains(place), "{circle:?}");
    }
}

#[test]
fn only_the_clock_reads_the_time_of_day() {
    check_absent(
        |source| source.module != "clock",
        &[
            "SystemTime",
            "clock_gettime",
            "Timestamp::now",
            "Zoned::now",
        ],
    );
}

#[test]
fn what_computes_and_encodes_does_no_io_and_reads_no_clock() {
    check_absent(
        |source| PURE.contains(&&*source.module),
        &["std::fs", "std::net", "std::env", "std::process", "Instant"],
    );
}

/// Panics where the code of some sources, their tests apart, has one of these words.
fn check_absent(is_meant: impl Fn(&Source) -> bool, words: &[&str]) {
    let sources = sources();
    let meant: Vec<&Source> = sources.iter().filter(|source| is_meant(source)).collect();
    assert!(!meant.is_empty());
    for source in meant {
        for (number, line) in source.lines_without_tests() {
            let found = words.iter().find(|word| line.contains(**word));
            assert_eq!(found, None, "{}: {line}", source.place(number));
        }
    }
}
