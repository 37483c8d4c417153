//! Which files of a module use one another, read from the paths in their text.
//!
//! Files below a module use one another in one direction: what two of them need is in a third
//! one below both. What a module's own file defines itself, all files below it may use, and it
//! may use all of them; what it only passes on (`pub use`) counts as the file's that defines it.
//! A folder counts as the file that it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The names on the way to a module from the crate's root; each has a file.
pub(crate) type Module = Vec<String>;

/// The files below `src/`, by module: their code without comments and tests, line by line.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<Module, String>);

/// From one file below a module to another: the places in the text.
type Uses = BTreeMap<(String, String), Vec<String>>;

/// Files below one module that use one another in a circle.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    /// `module: file file …`, in order of names.
    pub(crate) title: String,
    /// The places at which they do, for people.
    pub(crate) places: String,
}

impl Files {
    /// Adds a file by its path below `src/`, without `.rs`.
    pub(crate) fn add(&mut self, path: &str, code: String) {
        let module = path.split('/').map(str::to_owned).collect();
        self.0.insert(module, code);
    }

    /// All circles, in order of their modules.
    pub(crate) fn circles(&self) -> Vec<Circle> {
        let uses = self.uses();
        uses.iter().flat_map(|(m, uses)| circles(m, uses)).collect()
    }

    /// Who uses whom, by the module whose files they are. The crate's own are on the map.
    fn uses(&self) -> BTreeMap<&[String], Uses> {
        let passed_on = self.passed_on();
        let mut all: BTreeMap<&[String], Uses> = BTreeMap::new();
        for (user, code) in &self.0 {
            for (at, path) in paths(code) {
                let used = self.file_of(&absolute(user, &path), &passed_on);
                let alike = user.iter().zip(&used).take_while(|(a, b)| a == b).count();
                if alike == 0 || alike == user.len() || alike == used.len() {
                    continue;
                }
                let line = code[..at].lines().count();
                let place = format!("{}.rs:{line}: {}", user.join("/"), path.join("::"));
                let uses = all.entry(&user[..alike]).or_default();
                let pair = (user[alike].clone(), used[alike].clone());
                uses.entry(pair).or_default().push(place);
            }
        }
        all
    }

    /// What files import from those below them, by their module and the name that it has there.
    fn passed_on(&self) -> BTreeMap<(Module, String), Module> {
        let mut passed_on = BTreeMap::new();
        for (module, code) in &self.0 {
            for line in code.match_indices("use ").map(|(at, _)| at) {
                let is_statement = code[..line].ends_with('\n')
                    || line == 0
                    || code[..line].ends_with("pub ")
                    || code[..line].ends_with(") ");
                if !is_statement {
                    continue;
                }
                for path in tree(&code[line + "use ".len()..]).0 {
                    let mut target = absolute(module, &path);
                    if !["crate", "super", "self"].contains(&path[0]) {
                        target = [&module[..], &target].concat();
                    }
                    let name = target.last().cloned().unwrap_or_default();
                    if target.starts_with(module) && self.0.contains_key(&target[..=module.len()]) {
                        passed_on.insert((module.clone(), name), target);
                    }
                }
            }
        }
        passed_on
    }

    /// The module that has a file and defines what a path names.
    fn file_of(&self, path: &[String], passed_on: &BTreeMap<(Module, String), Module>) -> Module {
        let is_file = |len: &usize| self.0.contains_key(&path[..*len]);
        let len = (0..=path.len()).rev().find(is_file).unwrap_or(0);
        let module = path[..len].to_vec();
        let Some(name) = path.get(len) else {
            return module;
        };
        match passed_on.get(&(module.clone(), name.clone())) {
            Some(target) => self.file_of(target, passed_on),
            None => module,
        }
    }
}

/// A path as it is from the crate's root; one that begins with no keyword is left alone.
fn absolute(module: &[String], path: &[&str]) -> Module {
    let mut base: &[String] = match path[0] {
        "super" | "self" => module,
        _ => &[],
    };
    let mut rest = path;
    while let Some(&first @ ("crate" | "self" | "super")) = rest.first() {
        if first == "super" {
            base = &base[..base.len().saturating_sub(1)];
        }
        rest = &rest[1..];
    }
    let rest = rest.iter().map(|name| (*name).to_owned());
    base.iter().cloned().chain(rest).collect()
}

/// The paths in some code that begin with `crate`, `super` or `self`, and where.
fn paths(code: &str) -> Vec<(usize, Vec<&str>)> {
    let mut all = Vec::new();
    let mut from = 0;
    while let Some(at) = next_path(code, from) {
        let (paths, rest) = tree(&code[at..]);
        all.extend(paths.into_iter().map(|path| (at, path)));
        from = code.len() - rest.len();
    }
    all
}

fn next_path(code: &str, from: usize) -> Option<usize> {
    let starts = ["crate::", "super::", "self::"].into_iter();
    let starts = starts.flat_map(|start| code[from..].match_indices(start));
    let starts = starts.map(|(at, _)| from + at);
    let is_within = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    starts.filter(|&at| !code[..at].ends_with(is_within)).min()
}

/// The paths of a tree at the beginning of a text, and what follows it: one path, or in braces
/// several that begin alike. Other names (`as`) are taken for paths of their own.
fn tree(text: &str) -> (Vec<Vec<&str>>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut all = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if let Some(after) = rest.strip_prefix('}') {
                return (all, after);
            }
            let (mut paths, after) = tree(rest);
            assert!(after.len() < rest.len(), "no list of paths: {text:.80}");
            all.append(&mut paths);
            rest = after;
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let Some(rest) = rest.strip_prefix("::") else {
        return (vec![vec![name]], rest);
    };
    let (paths, rest) = tree(rest);
    let with_name = |path: Vec<_>| [vec![name], path].concat();
    (paths.into_iter().map(with_name).collect(), rest)
}

/// The circles in who uses whom: files that reach one another.
fn circles(module: &[String], uses: &Uses) -> Vec<Circle> {
    let reached = |from: &str| {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![from];
        while let Some(user) = open.pop() {
            for (_, used) in uses.keys().filter(|(known, _)| known == user) {
                if reached.insert(used) {
                    open.push(used);
                }
            }
        }
        reached
    };
    let files: BTreeSet<&str> = uses.keys().map(|(user, _)| user.as_str()).collect();
    let mut found = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for file in files {
        let forth = reached(file);
        if seen.contains(file) || !forth.contains(file) {
            continue;
        }
        let back = forth.iter().copied();
        let circle: Vec<&str> = back.filter(|other| reached(other).contains(file)).collect();
        seen.extend(&circle);
        let mut places = String::new();
        let within = |name: &str| circle.contains(&name);
        for ((user, used), at) in uses {
            if within(user) && within(used) {
                let _ = writeln!(places, "  {user} uses {used}: {}", at.join(", "));
            }
        }
        found.push(Circle {
            title: format!("{}: {}", module.join("::"), circle.join(" ")),
            places,
        });
    }
    found
}

#[test]
fn circles_are_found_however_a_file_is_named() {
    let check = |files: &[(&str, &str)], expected: &[&str]| {
        let mut all = Files::default();
        for (path, code) in [("m", "struct Own;")].iter().chain(files) {
            all.add(path, (*code).to_owned());
        }
        let found = all.circles();
        let titles: Vec<&str> = found.iter().map(|found| found.title.as_str()).collect();
        assert_eq!(titles, expected, "{files:?}");
    };
    let back = ("m/b", "use super::a::f;");
    check(&[("m/a", ""), back], &[]);
    check(&[("m/a", "use super::b::X;"), back], &["m: a b"]);
    check(&[("m/a", "fn f() { super::b::g() }"), back], &["m: a b"]);
    let list = "use super::{\n    Own,\n    c::{self, Y as Z},\n    b,\n};";
    check(&[("m/a", list), ("m/c", ""), back], &["m: a b"]);
    check(&[("m/a", "use crate::m::b::X;"), back], &["m: a b"]);
    // By a third one, and of several modules.
    let (to_c, from_c) = (("m/a", "use super::c::X;"), ("m/c", "use super::b::Y;"));
    check(&[to_c, from_c, back], &["m: a b c"]);
    let other = [
        ("n", ""),
        ("n/a", "use super::b;"),
        ("n/b", "use super::a;"),
    ];
    check(
        &[to_c, from_c, back, other[0], other[1], other[2]],
        &["m: a b c", "n: a b"],
    );
    // A file in a folder counts for the folder, and has files beside it as well.
    check(
        &[("m/a", ""), ("m/a/x", "use super::super::b::X;"), back],
        &["m: a b"],
    );
    let deep = [
        ("m/a", ""),
        ("m/a/x", "use super::y::X;"),
        ("m/a/y", "use super::x::Y;"),
    ];
    check(&deep, &["m::a: x y"]);
    // What the module's own file passes on is another file's, what it defines is all files'.
    check(
        &[("m/a", "use super::X;"), back, ("m", "pub use b::X;")],
        &["m: a b"],
    );
    check(
        &[
            ("m/a", "use super::X;"),
            back,
            ("m", "use self::{\n    b::X};"),
        ],
        &["m: a b"],
    );
    check(
        &[
            ("m/a", "use super::Own;"),
            back,
            ("m", "use a::f;\nuse b::X;"),
        ],
        &[],
    );
    check(
        &[
            ("m/a", "pub(in crate::m) struct X; use crate::n::Y;"),
            back,
            ("n", ""),
        ],
        &[],
    );
}
