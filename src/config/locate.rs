//! The lines and columns of paths, by reading the text once more: this happens only
//! where there is something to say about it.

use super::placed;
use super::problem::{Position, Unlocated};

/// The position of each mistake in a text that parses.
pub(super) fn locate(text: &str, found: &[Unlocated]) -> Vec<Option<Position>> {
    // It was parsed before; what could fail here only costs positions.
    let placed = placed::parse(text).ok();
    let position = |one: &Unlocated| placed.as_ref()?.position(&one.path, one.spot);
    found.iter().map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::super::problem::{Path, Spot, Step};
    use super::*;

    fn check(text: &str, path: &[Step], spot: Spot, expected: Position) {
        let found = [Unlocated {
            path: Path::from_steps(path.to_vec()),
            spot,
            message: String::new(),
        }];
        assert_eq!(
            locate(text, &found),
            [Some(expected)],
            "{path:?} in\n{text}"
        );
    }

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    #[test]
    fn values_and_keys_are_found() {
        let text = "a: 1\nlist:\n  - name: x\n    other: [5, {deep: 6}]\n  - ü: 7\n    ü2: 8\n";
        check(text, &[key("a")], Spot::Value, (1, 4));
        check(text, &[key("a")], Spot::Key(0), (1, 1));
        check(text, &[key("list")], Spot::Key(0), (2, 1));
        check(text, &[key("list")], Spot::Value, (3, 3));
        let item = [key("list"), Step::Index(0)];
        check(text, &item, Spot::Value, (3, 5));
        let other = [key("list"), Step::Index(0), key("other")];
        check(text, &other, Spot::Value, (4, 12));
        let mut deep = other.to_vec();
        deep.extend([Step::Index(1), key("deep")]);
        check(text, &deep, Spot::Value, (4, 23));
        check(text, &deep, Spot::Key(0), (4, 17));
        let last = [key("list"), Step::Index(1), key("ü2")];
        check(text, &last, Spot::Value, (6, 9));
    }

    #[test]
    fn what_is_not_in_the_text_gets_what_encloses_it() {
        let text = "# first\nlist:\n  - name: x\n";
        let missing = [key("list"), Step::Index(0), key("step")];
        check(text, &missing, Spot::Value, (3, 5));
        let beyond = [key("list"), Step::Index(7)];
        check(text, &beyond, Spot::Value, (3, 3));
    }

    #[test]
    fn repeated_keys_and_aliases_are_found() {
        let text = "a: 1\nb: &b {c: 1}\na: 2\nd: *b\n";
        check(text, &[key("a")], Spot::Key(1), (3, 1));
        check(text, &[key("a")], Spot::Value, (1, 4));
        check(text, &[key("d")], Spot::Value, (4, 4));
        check(text, &[key("d"), key("c")], Spot::Value, (2, 11));
    }
}
