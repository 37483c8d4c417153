//! Texts are read as another parser of YAML reads them, and where we refuse, on purpose.

use proptest::prelude::*;
use serde_yaml::Value;

use super::*;

/// Whether this is what the reference reads. Keys are text here, and numbers of
/// more than 64 bits keep their digits.
fn is_same(node: &Node, value: &Value) -> bool {
    match (node, value) {
        (Node::Null, Value::Null) => true,
        (Node::Bool(a), Value::Bool(b)) => a == b,
        (Node::Int(a), Value::Number(b)) => b.as_i64() == Some(*a),
        (Node::UInt(a), Value::Number(b)) => b.as_u64() == Some(*a),
        (Node::Float(a), Value::Number(b)) => {
            b.is_f64() && b.as_f64().is_some_and(|b| a.to_bits() == b.to_bits())
        }
        (Node::Big(digits), value) => match value {
            Value::Number(b) => digits.parse().ok() == b.as_f64(),
            Value::String(text) => resolve(text) == *node,
            _ => false,
        },
        (Node::Str(a), Value::String(b)) => a == b,
        (Node::Seq(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Node::Map(a), Value::Mapping(b)) => {
            let is_key = |a: &String, b: &Value| match b {
                Value::String(b) => a == b,
                b => is_same(&resolve(a), b),
            };
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((key, a), (known, b))| is_key(key, known) && is_same(a, b))
        }
        _ => false,
    }
}

/// Whether there is something in it that only the reference takes.
fn is_unused(value: &Value) -> bool {
    match value {
        Value::Tagged(_) => true,
        Value::Sequence(items) => items.iter().any(is_unused),
        Value::Mapping(entries) => entries.iter().any(|(key, value)| {
            !matches!(
                key,
                Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null
            ) || is_unused(value)
        }),
        _ => false,
    }
}

#[track_caller]
fn compare(text: &str) {
    let read = parse(text).and_then(Placed::into_node);
    let known: Result<Value, _> = serde_yaml::from_str(text);
    match (&read, &known) {
        (Ok(node), Ok(value)) => assert!(is_same(node, value), "{node:?}, {value:?}: {text:?}"),
        (Err(error), Ok(value)) => {
            assert!(
                is_unused(value) || text.contains('!'),
                "{error:?}: {text:?}"
            );
        }
        // Of repeated keys the next stage tells, and long numbers are left alone.
        (Ok(_), Err(error)) => {
            let error = error.to_string();
            let is_known = error.contains("duplicate") || error.contains("28, expected");
            assert!(is_known, "{error}: {text:?}");
        }
        (Err(_), Err(_)) => {}
    }
}

#[test]
fn plain_texts_are_what_the_reference_takes_them_for() {
    for text in [
        "",
        "~",
        "null",
        "Null",
        "nULL",
        "true",
        "TRUE",
        "tRue",
        "yes",
        "no",
        "on",
        "y",
        "0",
        "-0",
        "+0",
        "00",
        "01",
        "-01",
        "+5",
        "+-5",
        "-+5",
        "1_0",
        "0x1F",
        "0X1F",
        "-0x1f",
        "0x",
        "0x-1",
        "0o17",
        "0o8",
        "0b101",
        "017",
        "1.",
        ".5",
        "-.5",
        "+.5",
        ".",
        "-",
        "+",
        "1e3",
        "1E3",
        "1e",
        "e3",
        "1e400",
        "-1e400",
        ".inf",
        "+.inf",
        "-.inf",
        ".Inf",
        ".iNF",
        ".nan",
        ".NaN",
        "-.nan",
        "inf",
        "nan",
        "infinity",
        "NaN",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        "00.5",
        "12:30",
        "2026-01-01",
        "0xffffffffffffffff",
        "1 0",
        "=",
        "<<",
        "5m",
        "10k",
    ] {
        compare(text);
        compare(&format!("a: {text}"));
        compare(&format!("a: '{text}'\nb: \"{text}\""));
        compare(&format!("{{a: [{text}]}}"));
    }
}

#[test]
fn json_is_read_as_it_means() {
    let text =
        r#"{"a":"\ud83d\ude00 \\ud83d \/ \u00e9","b":"\\","c":1.50,"d":[true,null,-7],"\u0061":""#
            .to_owned()
            + "\u{7f}\u{85}\u{2028}\u{feff}\"}";
    let node = parse(&text).and_then(Placed::into_node).unwrap();
    let Node::Map(entries) = &node else {
        panic!("{node:?}")
    };
    assert_eq!(entries[0].1, Node::Str("\u{1f600} \\ud83d / é".into()));
    assert_eq!(entries[1].1, Node::Str("\\".into()));
    assert_eq!(entries[2].1, Node::Float(1.5));
    assert_eq!(
        entries[3].1,
        Node::Seq(vec![Node::Bool(true), Node::Null, Node::Int(-7)])
    );
    let strange = Node::Str("\u{7f}\u{85}\u{2028}\u{feff}".into());
    assert_eq!(entries[4], ("a".to_owned(), strange));
}

#[test]
fn depth_is_bounded_through_aliases_too() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(&nested(DEPTH_MAX)).is_ok());
    assert!(
        parse(&nested(DEPTH_MAX + 1))
            .unwrap_err()
            .message
            .contains(TOO_DEEP)
    );
    let chain = |levels: usize| {
        let more = (1..levels).map(|level| format!("- &a{level} [*a{}]\n", level - 1));
        "- &a0 [1]\n".to_owned() + &more.collect::<String>()
    };
    assert!(parse(&chain(DEPTH_MAX - 1)).is_ok());
    let error = parse(&chain(100_000)).unwrap_err();
    assert_eq!(error.position, Some((DEPTH_MAX, 10)));
    assert!(error.message.contains(TOO_DEEP));
}

#[test]
fn core_tags_say_what_a_value_is() {
    let read = |text: &str| parse(text).and_then(Placed::into_node);
    let Node::Seq(items) =
        read("[!!str 5, !!int '5', !!float 5, !!null '', !!seq [], !!map {}]").unwrap()
    else {
        panic!("a list")
    };
    let expected = [
        Node::Str("5".into()),
        Node::Int(5),
        Node::Int(5),
        Node::Null,
        Node::Seq(Vec::new()),
        Node::Map(Vec::new()),
    ];
    assert_eq!(items, expected);
    for (text, expected) in [
        ("!!int x", "what follows is not of the type !!int"),
        ("!!set {}", TAGS_UNUSED),
        ("!x [1]", TAGS_UNUSED),
        ("! 5", TAGS_UNUSED),
    ] {
        let error = read(text).unwrap_err();
        assert!(
            error.message.ends_with(expected),
            "{text}: {}",
            error.message
        );
    }
}

const OTHERS: &[u8] = b" []{}:,-&*|>'\"%#\n\t0.9x?~\\";

const DOCUMENT: &str = "\
%YAML 1.2
---
# A comment
a: &x {b: 1.50, 'c d': [~, 'it''s', \"\\u00e9\\t\", -0x1F]}
? long
: [*x, {<<: *x, e: 2026-01-01}]
text: |
  one
   two # no comment

  three
folded: >-
  one
  two
list:
- - 1
  - two words: yes
- !!str 5
...
";

proptest! {
    /// For every small change of a text, it is read as the reference reads it.
    #[test]
    fn changed_texts_are_read_alike(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..5)) {
        let mut text: Vec<char> = DOCUMENT.chars().collect();
        for (place, byte, action) in edits {
            let index = place.index(text.len());
            let other = OTHERS[usize::from(byte) % OTHERS.len()].into();
            match action {
                0 => text[index] = other,
                1 => text.insert(index, other),
                2 if text.len() > 1 => { text.remove(index); }
                _ => { let end = (index + usize::from(byte) / 8).min(text.len() - 1); if end > index { text.drain(index..end); } }
            }
        }
        compare(&text.into_iter().collect::<String>());
    }
}

/// The parser panics on a tag before a comma, and on texts that end within some lines.
#[test]
fn no_text_makes_it_panic() {
    let text = "a: 1\nb: [!t, c]\n";
    let error = parse(text).map(|_| ()).unwrap_err();
    assert_eq!(error.position, Some((2, 4)), "{}", error.message);
    assert!(
        error.message.contains("cannot be read"),
        "{}",
        error.message
    );
    for text in [
        "|\n   l s1",
        "a: >-\n  b",
        "a: |+\n  b\n\n  c",
        "\"\\",
        "a: |",
    ] {
        let ours = parse(text);
        let known: Result<Value, _> = serde_yaml::from_str(text);
        assert_eq!(ours.is_ok(), known.is_ok(), "{text:?}");
    }
    let text = |text: &str| match parse(text).unwrap().content {
        Content::Scalar(text, _) => text.to_string(),
        other => panic!("{other:?}"),
    };
    for block in ["|\n  a\n  b", ">\n  a\n  b", "|-\n  a", "|+\n  a\n\n  b"] {
        let known: String = serde_yaml::from_str(block).unwrap();
        assert_eq!(text(block), known, "{block:?}");
    }
}
