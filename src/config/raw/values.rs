//! What fields are made of: entries of lists and maps, numbers and texts.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::quantity;
use crate::readable::float_text;

/// An entry of a list; `None` where it is null or could not be read.
#[derive(Debug)]
pub(crate) struct Item<T>(pub(crate) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Item)
    }
}

impl<T: JsonSchema> JsonSchema for Item<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// Names and their values in file order; `None` as in [`Item`].
#[derive(Debug)]
pub(crate) struct Entries<T>(pub(crate) Vec<(String, Option<T>)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

/// A number that may be infinite or NaN, also in quotes (`de` knows this type by
/// its name); whether that is right is checked later.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct AnyFloat(pub(crate) f64);

impl JsonSchema for AnyFloat {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // `.inf` and `.nan` are numbers to YAML; JSON has to quote them.
        json_schema!({ "anyOf": [
            { "type": "number" },
            { "enum": [".nan", ".inf", "-.inf"] },
        ] })
    }
}

/// Number types whose values may also be texts with units; `de` knows them by
/// their names.
macro_rules! quantities {
    ($($(#[$about:meta])* $name:ident($number:ty, $type:literal, $pattern:ident);)*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, Deserialize)]
        pub(crate) struct $name(pub(crate) $number);

        impl From<$name> for $number {
            fn from($name(number): $name) -> Self {
                number
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": [$type, "string"], "pattern": quantity::$pattern })
            }
        }
    )*};
}

quantities! {
    /// A duration: a number of seconds, or a text such as `1h30m`.
    Seconds(f64, "number", DURATION_PATTERN);
    /// How many: a number, or a text such as `1_000_000` or `10k`.
    Count(u64, "integer", COUNT_PATTERN);
    /// A whole number, negative ones included, written as a count.
    Whole(i64, "integer", WHOLE_PATTERN);
    /// A number of bytes, or a text such as `4MiB`.
    Bytes(u64, "integer", BYTES_PATTERN);
    /// Hundredths: a number, or a text such as `20%`.
    Percent(f64, "number", PERCENT_PATTERN);
}

/// A single value as text.
#[derive(Debug, Clone)]
pub(crate) struct Scalar(pub(crate) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                if value.is_finite() {
                    Ok(Scalar(float_text(value)))
                } else {
                    Err(E::custom(format!(
                        "{} is a number here; put it in quotes to use it as text",
                        float_text(value)
                    )))
                }
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
