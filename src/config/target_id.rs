//! IDs of targets as texts: escaped values, and the values again.

use super::exporters::TargetLaw;

/// Appends a value as it stands in an ID.
pub(crate) fn write_escaped(value: &[u8], id: &mut Vec<u8>) {
    if value.is_empty() {
        id.push(b'~');
    }
    // Paths with such segments are shortened by clients.
    let is_place = matches!(value, b"." | b"..");
    for &byte in value {
        let is_plain = byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
        if is_plain && !is_place {
            id.push(byte);
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
            id.push(b'~');
            id.extend_from_slice(&digits);
        }
    }
}

/// The labels that an ID tells, without those that are empty: those of a target that has it,
/// whether or not there is one. `None` where no target has it.
pub fn labels_of_id<'l>(law: &'l TargetLaw, id: &str) -> Option<Vec<(&'l str, String)>> {
    let TargetLaw::By(names) = law else {
        return Some(Vec::new());
    };
    let values: Vec<&str> = id.split(',').collect();
    if values.len() != names.len() {
        return None;
    }
    let mut labels = Vec::new();
    for (name, value) in names.iter().zip(values) {
        let value = unescaped(value)?;
        if !value.is_empty() {
            labels.push((name.as_str(), value));
        }
    }
    Some(labels)
}

/// A value of an ID as it was.
fn unescaped(value: &str) -> Option<String> {
    if value == "~" {
        return Some(String::new());
    }
    let mut parts = value.split('~');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes).ok()?;
    let mut again = Vec::new();
    write_escaped(text.as_bytes(), &mut again);
    (again == value.as_bytes()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Texts that differ have IDs that differ, of characters that no client changes.
        #[test]
        fn ids_are_of_one_text(one in ".{0,4}", other in ".{0,4}") {
            let id = |text: &str| {
                let mut id = Vec::new();
                write_escaped(text.as_bytes(), &mut id);
                String::from_utf8(id).unwrap()
            };
            prop_assert_eq!(id(&one) == id(&other), one == other);
            let is_kept = |c: char| c.is_ascii_alphanumeric() || "._:@~-".contains(c);
            prop_assert!(id(&one).chars().all(is_kept));
        }
    }

    #[test]
    fn ids_read_as_their_values() {
        let check = |value: &str, id: &str| {
            let mut found = Vec::new();
            write_escaped(value.as_bytes(), &mut found);
            assert_eq!(String::from_utf8(found).unwrap(), id);
        };
        check("shop-app1-x7k2p", "shop-app1-x7k2p");
        check("10.0.0.1:9100", "10.0.0.1:9100");
        check("a/b,c", "a~2Fb~2Cc");
        check("", "~");
        check("~", "~7E");
        check("..", "~2E~2E");
        check("é", "~C3~A9");
    }

    #[test]
    fn ids_of_no_target_tell_no_labels() {
        let law = TargetLaw::By(vec!["a".into(), "b".into()]);
        let told = labels_of_id(&law, "x~2Fy,~").unwrap();
        assert_eq!(told, [("a", "x/y".to_owned())]);
        for id in [
            "", "x", "x,y,z", ",y", "x~2fy,z", "x~2,y", "x~,y", "~41,y", "x~FF,y", "x/y,z",
            "\u{e9},y",
        ] {
            assert_eq!(labels_of_id(&law, id), None, "{id}");
        }
    }
}
