//! The lines and columns of paths, by parsing the text once more.
//!
//! The parser tells positions only in its errors, so an error is provoked
//! wherever a position is wanted. Asking for a newtype inside a newtype inside …
//! runs into the parser's depth limit: an error that carries the position of the
//! value just ahead and consumes nothing, so the value can be read as usual
//! afterwards. This happens only for files with mistakes, and only along the
//! paths of those mistakes. A path that is not in the text (a missing field, a
//! merged one) gets the position of the nearest enclosing value.

use std::collections::HashMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::problem::{Position, Spot, Step, Unlocated};
use super::yaml::KeyText;

/// The position of each mistake in a text that parses.
pub(super) fn locate(text: &str, found: &[Unlocated]) -> Vec<Option<Position>> {
    let mut search = Search {
        found,
        positions: vec![None; found.len()],
    };
    let everything = (0..found.len()).collect();
    // The text was parsed before; what could fail here only costs positions.
    let _ = serde_yaml::Deserializer::from_str(text).deserialize_any(Walk {
        search: &mut search,
        wanted: everything,
        depth: 0,
    });
    search.positions
}

struct Search<'a> {
    found: &'a [Unlocated],
    positions: Vec<Option<Position>>,
}

impl Search<'_> {
    /// Those of `wanted` whose path has this step at this depth.
    fn below(&self, wanted: &[usize], depth: usize, is_step: impl Fn(&Step) -> bool) -> Vec<usize> {
        let follows = |index: &&usize| {
            let steps = self.found[**index].path.steps();
            steps.get(depth).is_some_and(&is_step)
        };
        wanted.iter().filter(follows).copied().collect()
    }

    fn set(&mut self, indices: &[usize], position: Option<Position>) {
        if position.is_some() {
            for &index in indices {
                self.positions[index] = position;
            }
        }
    }
}

/// Walks down to the paths of `wanted`, which all lead through this value.
struct Walk<'a, 'b> {
    search: &'a mut Search<'b>,
    wanted: Vec<usize>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let ends = |index: &usize| self.search.found[*index].path.steps().len() == self.depth;
        if self.wanted.iter().all(ends) {
            return deserializer.deserialize_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for index in 0.. {
            let wanted = self
                .search
                .below(&self.wanted, self.depth, |step| *step == Step::Index(index));
            if wanted.is_empty() {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    break;
                }
                continue;
            }
            if let Err(error) = seq.next_element_seed(Probe(0)) {
                self.search.set(&wanted, position_in(&error));
            }
            let walk = Walk {
                search: &mut *self.search,
                wanted,
                depth: self.depth + 1,
            };
            if seq.next_element_seed(walk)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut times = HashMap::<String, usize>::new();
        loop {
            let key_position = match map.next_key_seed(Probe(0)) {
                Ok(_) => return Ok(()),
                Err(error) => position_in(&error),
            };
            let Some(key) = map.next_key_seed(KeyText)? else {
                return Ok(());
            };
            let wanted = self.search.below(
                &self.wanted,
                self.depth,
                |step| matches!(step, Step::Key(k) if *k == key),
            );
            let seen = times.entry(key).or_insert(0);
            let nth = *seen;
            *seen += 1;
            let (keys, values): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|&index| {
                let found = &self.search.found[index];
                found.path.steps().len() == self.depth + 1 && found.spot != Spot::Value
            });
            for index in keys {
                if self.search.found[index].spot == Spot::Key(nth) {
                    self.search.set(&[index], key_position);
                }
            }
            if values.is_empty() || nth > 0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if let Err(error) = map.next_value_seed(Probe(0)) {
                self.search.set(&values, position_in(&error));
            }
            map.next_value_seed(Walk {
                search: &mut *self.search,
                wanted: values,
                depth: self.depth + 1,
            })?;
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        Ok(())
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// Fails at the parser's depth limit; see the module's documentation.
#[derive(Clone, Copy)]
struct Probe(usize);

/// Deeper than the parser ever lets anyone go; ends the descent in any case.
const PROBE_DEPTH_MAX: usize = 1000;

impl<'de> DeserializeSeed<'de> for Probe {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.0 > PROBE_DEPTH_MAX {
            return Err(de::Error::custom("the parser has no depth limit"));
        }
        deserializer.deserialize_newtype_struct("Probe", Probe(self.0 + 1))
    }
}

impl<'de> Visitor<'de> for Probe {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_newtype_struct<D: de::Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        self.deserialize(inner)
    }
}

/// The position in an error of the YAML parser.
///
/// Generic code sees only an error that can be displayed; its text ends in
/// `at line 3 column 5`, or `at position N` on the first line's first column.
fn position_in(error: &impl fmt::Display) -> Option<Position> {
    let text = error.to_string();
    let Some(start) = text.rfind(" at line ") else {
        return Some((1, 1));
    };
    let mut words = text[start + " at line ".len()..].split(' ');
    let line = words.next()?.parse().ok()?;
    let column = words.nth(1)?.parse().ok()?;
    Some((line, column))
}

#[cfg(test)]
mod tests {
    use super::super::problem::Path;
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
