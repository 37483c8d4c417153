//! The README's examples of the control API, asked of the running program: what stands there is
//! what it answers, but for numbers and times.
//!
//! `UPDATE_README=1 cargo test --test readme` writes the answers into the README.

mod servers;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use servers::mockingbird::Mockingbird;

/// A command of a `console` block and the answer below it.
struct Example {
    command: String,
    answer: String,
}

#[test]
fn the_readmes_examples_are_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mockingbird = Mockingbird::start("baseline.yaml", folder.path());
    let mut updated = String::new();
    let mut examples = 0;
    let mut rest = readme.as_str();
    while let Some((before, after)) = rest.split_once("```console\n") {
        let (block, after) = after.split_once("```").expect("a block ends");
        updated += before;
        updated += "```console\n";
        for example in examples_of(block) {
            examples += 1;
            let mut answer = ask(&mockingbird, &example.command);
            if shape(&answer) == shape(&example.answer) {
                // Numbers alone are no reason to change the file.
                answer = example.answer;
            }
            let _ = write!(updated, "$ {}\n{answer}\n", example.command);
        }
        updated += "```";
        rest = after;
    }
    updated += rest;
    assert!(examples >= 5, "only {examples} examples");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, updated).unwrap();
        return;
    }
    let differs = updated
        .lines()
        .zip(readme.lines())
        .find(|(updated, now)| updated != now);
    assert!(
        updated == readme,
        "an answer has changed; if that is meant, run: UPDATE_README=1 cargo test --test readme\n\
         {differs:?}"
    );
}

fn examples_of(block: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut continued = false;
    for line in block.lines() {
        let last = examples.last_mut();
        match (line.strip_prefix("$ "), last) {
            (Some(command), _) => examples.push(Example {
                command: command.to_owned(),
                answer: String::new(),
            }),
            (None, Some(example)) if continued => {
                example.command += "\n";
                example.command += line;
            }
            (None, Some(example)) => {
                if !example.answer.is_empty() {
                    example.answer += "\n";
                }
                example.answer += line;
            }
            (None, None) => panic!("a block begins with a command, not {line:?}"),
        }
        let command_line = line.starts_with("$ ") || continued;
        continued = command_line && line.ends_with('\\');
    }
    examples
}

/// What a `curl` command would print.
fn ask(mockingbird: &Mockingbird, command: &str) -> String {
    let mut words = words(command).into_iter();
    assert_eq!(words.next().as_deref(), Some("curl"), "{command}");
    let (mut method, mut body, mut url) = ("GET".to_owned(), String::new(), None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-s" => {}
            "-X" => method = words.next().expect("a method"),
            "--json" => {
                body = words.next().expect("a body");
                "POST".clone_into(&mut method);
            }
            _ => url = Some(word),
        }
    }
    let url = url.expect("a URL");
    let path = url.strip_prefix("localhost:8081").expect("the control API");
    mockingbird.ask(&method, path, &body).1.to_string()
}

/// The words of a shell's line, single quotes and continued lines understood.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let line = line.replace("\\\n", " ");
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// What an answer says without its numbers and times.
fn shape(answer: &str) -> Option<Value> {
    fn blank(value: &mut Value) {
        match value {
            Value::Number(_) => *value = 0.into(),
            Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => {
                "a time".clone_into(text);
            }
            Value::Array(items) => items.iter_mut().for_each(blank),
            Value::Object(fields) => fields.values_mut().for_each(blank),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(answer).ok()?;
    blank(&mut value);
    Some(value)
}

#[test]
fn examples_are_found() {
    let block = "$ curl \\\n  a\n{}\n$ curl b\n{\"x\":1}\n";
    let examples = examples_of(block);
    assert_eq!(examples[0].command, "curl \\\n  a");
    assert_eq!(examples[1].answer, "{\"x\":1}");
    assert_eq!(words("curl -X 'a b' \\\n c"), ["curl", "-X", "a b", "c"]);
}
