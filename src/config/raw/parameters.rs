//! Parameters of algorithms among the fields of a metric or component: their names,
//! forms and words come from the algorithms' definitions.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, de::value::StrDeserializer};
use serde_json::{Map, Value as Json};

use super::{AnyFloat, Seconds};
use crate::algorithm::{Definition, Form, Parameter, Value};

/// Fields of a fixed struct, and parameters of algorithms beside them.
#[derive(Debug, Default)]
pub(crate) struct WithParameters<T> {
    pub(crate) fixed: T,
    /// The parameters that are set, in the order of the file.
    pub(crate) parameters: Vec<(&'static str, Value)>,
}

/// A struct with fields that algorithms take beside its own.
pub(crate) trait Parametrised {
    /// The struct's name.
    const NAME: &'static str;
    /// The field that names the algorithm.
    const ALGORITHM: &'static str;

    /// The struct's own fields, then all parameters.
    fn fields() -> &'static [&'static str];

    /// The algorithms, each with the words for whose it is.
    fn algorithms() -> Vec<(String, &'static Definition)>;
}

/// All parameters of some algorithms, each name once.
fn parameters(algorithms: &[(String, &'static Definition)]) -> Vec<&'static Parameter> {
    let mut all: Vec<&Parameter> = Vec::new();
    for (_, definition) in algorithms {
        for parameter in definition.parameters {
            if all.iter().all(|known| known.name != parameter.name) {
                all.push(parameter);
            }
        }
    }
    all
}

/// The fields that a struct has of its own, as its own reader names them.
fn own_fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    /// Notes what fields are asked for.
    struct Asked<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Asked<'_> {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(Error::custom("a struct is asked for"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            Err(Error::custom("only its fields are asked for"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
            option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
            ignored_any
        }
    }

    let mut fields: &'static [&'static str] = &[];
    let asked = T::deserialize(Asked(&mut fields));
    debug_assert!(asked.is_err() && !fields.is_empty());
    fields
}

/// What [`Parametrised::fields`] gives for a struct.
pub(super) fn all_fields<'de, T: Deserialize<'de> + Parametrised>() -> Vec<&'static str> {
    let mut fields = own_fields::<T>().to_vec();
    for parameter in parameters(&T::algorithms()) {
        if !fields.contains(&parameter.name) {
            fields.push(parameter.name);
        }
    }
    fields
}

impl<'de, T: Deserialize<'de> + Parametrised> Deserialize<'de> for WithParameters<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct(T::NAME, T::fields(), Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Parametrised> Visitor<'de> for Reader<T> {
    type Value = WithParameters<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a map of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let known = parameters(&T::algorithms());
        let mut read = Vec::new();
        let own = Own {
            map,
            known: &known,
            read: &mut read,
        };
        let fixed = T::deserialize(MapAccessDeserializer::new(own))?;
        Ok(WithParameters {
            fixed,
            parameters: read,
        })
    }
}

/// The fields of a map without the parameters, which are read on the way.
struct Own<'a, A> {
    map: A,
    known: &'a [&'static Parameter],
    read: &'a mut Vec<(&'static str, Value)>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Own<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            let known = self.known.iter();
            let mut known = known.filter(|parameter| !parameter.form.is_field());
            let Some(parameter) = known.find(|parameter| parameter.name == key) else {
                let key: StrDeserializer<'_, A::Error> = key.as_str().into_deserializer();
                return seed.deserialize(key).map(Some);
            };
            let map = &mut self.map;
            let value = match parameter.form {
                Form::Number(..) => map.next_value::<Option<f64>>()?.map(Value::Number),
                Form::AnyNumber => {
                    let value: Option<AnyFloat> = map.next_value()?;
                    value.map(|AnyFloat(value)| Value::Number(value))
                }
                Form::Seconds | Form::SecondsOrNone => {
                    let value: Option<Seconds> = map.next_value()?;
                    value.map(|Seconds(value)| Value::Number(value))
                }
                // The last ones are fields of the struct, which reads them.
                Form::Switch | Form::Components | Form::Metric => {
                    map.next_value::<Option<bool>>()?.map(Value::Switch)
                }
            };
            self.read.extend(value.map(|value| (parameter.name, value)));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl<T: JsonSchema + Parametrised> JsonSchema for WithParameters<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        let algorithms = T::algorithms();
        let Some(Json::Object(properties)) = schema.get_mut("properties") else {
            return schema;
        };
        if let Some(property) = properties
            .get_mut(T::ALGORITHM)
            .and_then(Json::as_object_mut)
        {
            name_algorithms(property, &algorithms);
        }
        for parameter in parameters(&algorithms) {
            let property = property(parameter, &algorithms, generator);
            match properties
                .get_mut(parameter.name)
                .and_then(Json::as_object_mut)
            {
                Some(own) => own.extend(property),
                None => drop(properties.insert(parameter.name.to_owned(), property.into())),
            }
        }
        schema
    }
}

/// Adds what algorithms there are to the schema of the field that names one.
fn name_algorithms(property: &mut Map<String, Json>, algorithms: &[(String, &Definition)]) {
    let mut names: Vec<&str> = Vec::new();
    for (_, definition) in algorithms {
        if !names.contains(&definition.name) {
            names.push(definition.name);
        }
    }
    property.insert("enum".to_owned(), names.into());
    if let Some(Json::String(description)) = property.get_mut("description") {
        let all: Vec<&str> = algorithms.iter().map(|(owner, _)| &**owner).collect();
        description.extend([" One of: ", &all.join(", "), "."]);
    }
}

/// The schema of a parameter; of one that the struct has as a field only the words.
fn property(
    parameter: &Parameter,
    algorithms: &[(String, &'static Definition)],
    generator: &mut SchemaGenerator,
) -> Map<String, Json> {
    let schema = match parameter.form {
        Form::Number(..) => Option::<f64>::json_schema(generator),
        Form::AnyNumber => Option::<AnyFloat>::json_schema(generator),
        Form::Seconds | Form::SecondsOrNone => Option::<Seconds>::json_schema(generator),
        Form::Switch => Option::<bool>::json_schema(generator),
        Form::Components | Form::Metric => Schema::default(),
    };
    let mut property = schema.as_object().cloned().unwrap_or_default();
    property.insert(
        "description".to_owned(),
        description(parameter.name, algorithms).into(),
    );
    let (min, max) = parameter.form.told_range();
    for (keyword, end) in [("minimum", min), ("maximum", max)] {
        property.extend(end.map(|end| (keyword.to_owned(), number(end))));
    }
    property
}

/// A number as short as JSON can have it.
fn number(value: f64) -> Json {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        (value as i64).into()
    } else {
        value.into()
    }
}

/// What a parameter is, and for which algorithms it is that, in their order.
fn description(name: &str, algorithms: &[(String, &'static Definition)]) -> String {
    let mut sentences: Vec<(String, Vec<String>)> = Vec::new();
    for (owner, definition) in algorithms {
        let mut all = definition.parameters.iter();
        let Some(parameter) = all.find(|parameter| parameter.name == name) else {
            continue;
        };
        let sentence = parameter.sentence();
        let user = format!("{owner} ({})", parameter.need.words());
        match sentences.iter_mut().find(|(known, _)| *known == sentence) {
            Some((_, users)) => users.push(user),
            None => sentences.push((sentence, vec![user])),
        }
    }
    let sentences = sentences.into_iter();
    let sentences = sentences.map(|(sentence, users)| format!("{sentence}. {}.", users.join(", ")));
    sentences.collect::<Vec<_>>().join(" ")
}
