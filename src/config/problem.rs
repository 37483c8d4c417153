//! Mistakes and where they are.
//!
//! A mistake is noted with the path of the value that it is about
//! (`metrics[2].name`). Line and column are looked up afterwards by `locate`, so
//! that a correct file pays nothing for positions.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

/// At most this many mistakes are printed.
const PROBLEMS_PRINTED_MAX: usize = 100;
/// At most this many are kept; further ones are only counted.
pub(super) const PROBLEMS_KEPT_MAX: usize = 1000;

/// A line and a column, both from 1.
pub(super) type Position = (usize, usize);

/// Whether something has to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing starts with it.
    Error,
    /// It works, and hardly as it was meant.
    Warning,
}

/// One mistake in a configuration file or in the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it has to be changed.
    pub severity: Severity,
    /// The file as the user named it, or `environment`.
    pub file: String,
    /// Line, from 1; `None` where a mistake has no place in the text.
    pub line: Option<usize>,
    /// Column in characters, from 1; set exactly when `line` is.
    pub column: Option<usize>,
    /// What it is about: `metrics[2].profile`, or a variable's name; may be empty.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Problem {
    /// For a log that tells how severe it is itself.
    pub fn without_severity(&self) -> String {
        format!("{}: {}", self.place(), self.message)
    }

    /// File, line, column and path, as far as they are known.
    fn place(&self) -> String {
        let mut place = self.file.clone();
        if let (Some(line), Some(column)) = (self.line, self.column) {
            place.extend([format!(":{line}:{column}")]);
        }
        if !self.path.is_empty() {
            place.extend([": ", &self.path]);
        }
        place
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        if self.severity == Severity::Warning {
            f.write_str(": warning")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong with one file, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    problems: Vec<Problem>,
    total: usize,
}

impl LoadError {
    /// The mistakes, sorted by place; at least one, at most 1000.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many there are in all, which may be more than are listed.
    pub fn total(&self) -> usize {
        self.total
    }

    /// An error of a single mistake that concerns the whole file.
    pub(crate) fn whole_file(file: &str, message: impl Into<String>) -> Self {
        Self::at_position(file, None, message)
    }

    /// An error of a single mistake whose position is already known.
    pub(super) fn at_position(
        file: &str,
        position: Option<Position>,
        message: impl Into<String>,
    ) -> Self {
        let problem = Problem {
            severity: Severity::Error,
            file: file.to_owned(),
            line: position.map(|at| at.0),
            column: position.map(|at| at.1),
            path: String::new(),
            message: message.into(),
        };
        Self {
            problems: vec![problem],
            total: 1,
        }
    }

    pub(super) fn new(mut problems: Vec<Problem>, total: usize) -> Self {
        assert!(!problems.is_empty(), "an error without a mistake");
        // Stable: mistakes at one place stay in the order they were found.
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Self { problems, total }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printed = self.problems.len().min(PROBLEMS_PRINTED_MAX);
        for (index, problem) in self.problems[..printed].iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        if self.total > printed {
            write!(f, "\n… and {} more", self.total - printed)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// What was found out about a checked configuration elsewhere, such as a file
/// that it names and that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The field, such as `exporters.remote_write[2].ca_file`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// One step into the tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The way from the top of the file to a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Path(Vec<Step>);

impl Path {
    pub(super) fn root() -> Self {
        Self::default()
    }

    pub(super) fn from_steps(steps: Vec<Step>) -> Self {
        Self(steps)
    }

    /// The path that a [`Finding`] has as text; its keys are plain words.
    fn of_finding(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let mut parts = part.split('[');
            steps.push(Step::Key(parts.next().unwrap_or_default().to_owned()));
            let indices = parts.filter_map(|index| index.trim_end_matches(']').parse().ok());
            steps.extend(indices.map(Step::Index));
        }
        Self(steps)
    }

    pub(super) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    pub(super) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if depth > 0 {
                        write!(f, ".")?;
                    }
                    let plain =
                        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '<');
                    if !key.is_empty() && key.chars().all(plain) {
                        write!(f, "{}", excerpt(key))?;
                    } else {
                        write!(f, "{}", quoted(key))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a mistake is about a value or about the key before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    Value,
    /// The key at its n-th appearance in its map, from 0.
    Key(usize),
}

/// A mistake whose line and column have not been looked up.
#[derive(Debug, Clone)]
pub(super) struct Unlocated {
    pub(super) path: Path,
    pub(super) spot: Spot,
    pub(super) message: String,
}

impl Unlocated {
    fn placed(self, severity: Severity, file: &str, position: Option<Position>) -> Problem {
        Problem {
            severity,
            file: file.to_owned(),
            line: position.map(|at| at.0),
            column: position.map(|at| at.1),
            path: self.path.to_string(),
            message: self.message,
        }
    }
}

/// Collects mistakes so that one mistake gives one message.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Unlocated>,
    warnings: Vec<Unlocated>,
    /// Mistakes of the environment: variable and message.
    environment: Vec<(String, String)>,
    /// Values that were reported and then left out of what is checked.
    pruned: HashSet<Path>,
    /// Fields that a misspelt field was probably meant to be.
    explained: HashSet<Path>,
    not_kept: usize,
}

impl Problems {
    /// Reports a mistake about a value.
    pub(super) fn add(&mut self, path: &Path, message: impl Into<String>) {
        if !self.pruned.contains(path) {
            self.push(path.clone(), Spot::Value, message.into());
        }
    }

    /// Reports a mistake about a key.
    pub(super) fn add_key(&mut self, path: &Path, message: impl Into<String>) {
        self.push(path.clone(), Spot::Key(0), message.into());
    }

    /// Reports a mistake about a key that is there more than once: about its
    /// n-th appearance, from 0.
    pub(super) fn add_repeated_key(&mut self, path: &Path, nth: usize, message: impl Into<String>) {
        self.push(path.clone(), Spot::Key(nth), message.into());
    }

    /// Reports that a field is missing, unless an earlier message explains it.
    pub(super) fn missing(&mut self, path: &Path, message: impl Into<String>) {
        if !self.explained.contains(path) {
            self.add(path, message);
        }
    }

    /// Warns of a value; at most as many warnings are kept as mistakes.
    pub(super) fn warn(&mut self, path: &Path, message: impl Into<String>) {
        if self.warnings.len() < PROBLEMS_KEPT_MAX {
            self.warnings.push(Unlocated {
                path: path.clone(),
                spot: Spot::Value,
                message: message.into(),
            });
        }
    }

    /// Reports what was found out elsewhere.
    pub(super) fn add_finding(&mut self, finding: Finding) {
        self.add(&Path::of_finding(&finding.path), finding.message);
    }

    /// Reports a value that could not be read and is left out from now on.
    pub(super) fn add_pruned(&mut self, path: Path, message: String) {
        self.push(path.clone(), Spot::Value, message);
        self.pruned.insert(path);
    }

    /// Notes that a field is missing because its name was misspelt.
    pub(super) fn explain(&mut self, path: Path) {
        self.explained.insert(path);
    }

    /// Reports a mistake in an environment variable.
    pub(super) fn add_environment(&mut self, variable: &str, message: impl Into<String>) {
        self.environment.push((variable.to_owned(), message.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.environment.is_empty()
    }

    /// Whether further mistakes are only counted, so that their text is wasted.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() == PROBLEMS_KEPT_MAX
    }

    /// Counts mistakes that were noticed but not described.
    pub(super) fn count_more(&mut self, count: usize) {
        self.not_kept += count;
    }

    /// Whether this value could not be read, which was reported.
    pub(super) fn is_pruned(&self, path: &Path) -> bool {
        self.pruned.contains(path)
    }

    /// Whether there is a mistake below one of these top-level fields.
    pub(super) fn any_below(&self, fields: &[&str]) -> bool {
        let is_one = |step: &Step| matches!(step, Step::Key(key) if fields.contains(&&**key));
        let mut found = self.found.iter();
        self.not_kept > 0 || found.any(|found| found.path.steps().first().is_some_and(is_one))
    }

    /// All mistakes but the environment's.
    pub(super) fn into_unlocated(self) -> Vec<Unlocated> {
        self.found
    }

    /// Turns them into an error; `locate` gives a position to each.
    pub(super) fn into_error(
        self,
        file: &str,
        locate: impl FnOnce(&[Unlocated]) -> Vec<Option<Position>>,
    ) -> LoadError {
        let positions = locate(&self.found);
        let total = self.found.len() + self.environment.len() + self.not_kept;
        let environment = self
            .environment
            .into_iter()
            .map(|(variable, message)| Problem {
                severity: Severity::Error,
                file: "environment".to_owned(),
                line: None,
                column: None,
                path: variable,
                message,
            });
        let found = self.found.into_iter().zip(positions);
        let found = found.map(|(found, position)| found.placed(Severity::Error, file, position));
        LoadError::new(environment.chain(found).collect(), total)
    }

    /// The warnings, as [`Self::into_error`] gives mistakes.
    pub(super) fn into_warnings(
        self,
        file: &str,
        locate: impl FnOnce(&[Unlocated]) -> Vec<Option<Position>>,
    ) -> Vec<Problem> {
        if self.warnings.is_empty() {
            return Vec::new();
        }
        let positions = locate(&self.warnings);
        let found = self.warnings.into_iter().zip(positions);
        let placed = found.map(|(found, at)| found.placed(Severity::Warning, file, at));
        let mut warnings: Vec<Problem> = placed.collect();
        warnings.sort_by_key(|warning| (warning.line, warning.column));
        warnings
    }

    fn push(&mut self, path: Path, spot: Spot, message: String) {
        if self.found.len() == PROBLEMS_KEPT_MAX {
            self.not_kept += 1;
        } else {
            self.found.push(Unlocated {
                path,
                spot,
                message,
            });
        }
    }
}

/// A text in quotes for a message: control characters escaped, length bounded.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", excerpt(text))
}

/// The beginning of a text, for messages.
pub(super) fn excerpt(text: &str) -> String {
    // Longer than the names that anyone would have suggested.
    const CHARACTERS_MAX: usize = 100;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
