//! Which part of a run a process computes.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU32;

/// Shards that a run can have, at most.
pub const SHARDS_MAX: u32 = 10_000;

/// One of the parts that processes of one configuration share a run by. None of them
/// knows of another: which series are in which part follows from these alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    index: u32,
    of: NonZeroU32,
}

impl Shard {
    /// The only one of one.
    pub const WHOLE: Self = Self {
        index: 0,
        of: NonZeroU32::MIN,
    };

    /// The shard with a number, from 0, of so many; `None` where there is none.
    pub fn new(index: u32, of: u32) -> Option<Self> {
        let of = NonZeroU32::new(of).filter(|of| of.get() <= SHARDS_MAX)?;
        (index < of.get()).then_some(Self { index, of })
    }

    /// Reads `I/N`.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, of)| Some((number(index)?, number(of)?)));
        let Some((index, of)) = numbers else {
            return Err("expected I/N, such as 0/4, the first of four shards".into());
        };
        Self::of_numbers(index, of)
    }

    /// The shard of a process that is one of a set of pods: its number is the completion
    /// index of an indexed job (`JOB_COMPLETION_INDEX`), else the ordinal at the end of the
    /// host's name, as a stateful set numbers it. How many there are `MOCKINGBIRD_SHARDS`
    /// tells. `variable` looks up environment variables, those set to nothing left out.
    ///
    /// # Errors
    /// What is missing, or is no such number.
    pub fn auto(variable: &dyn Fn(&str) -> Option<String>, host: &str) -> Result<Self, String> {
        const INDEX: &str = "JOB_COMPLETION_INDEX";
        const OF: &str = "MOCKINGBIRD_SHARDS";
        let of = variable(OF)
            .ok_or_else(|| format!("{OF} is not set; it tells auto how many shards there are"))?;
        let of = number(of.trim())
            .ok_or_else(|| format!("{OF}: expected a number of shards, found {of:?}"))?;
        let index = match variable(INDEX) {
            Some(text) => number(text.trim())
                .ok_or_else(|| format!("{INDEX}: expected a number from 0, found {text:?}"))?,
            None => ordinal(host).ok_or_else(|| {
                format!(
                    "{INDEX} is not set, and the host's name, {host:?}, does not end in a number \
                     such as that of mockingbird-0"
                )
            })?,
        };
        Self::of_numbers(index, of)
    }

    fn of_numbers(index: u64, of: u64) -> Result<Self, String> {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self::new(small(index), small(of)).ok_or_else(|| match of {
            0 => "there has to be one shard at least, such as 0/1".to_owned(),
            _ if of > SHARDS_MAX.into() => {
                format!("{of} shards are too many; at most {SHARDS_MAX}")
            }
            _ => format!(
                "there is no shard {index} of {of}: they count from 0, the last one is {}",
                of - 1
            ),
        })
    }

    /// Its number, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many shards there are, 1 to [`SHARDS_MAX`].
    pub fn of(self) -> u32 {
        self.of.get()
    }

    /// Whether it is not all there is.
    pub fn is_part(self) -> bool {
        self.of.get() > 1
    }

    /// How many are not among some shards of a run that has as many as the first one says,
    /// such as "2 of 4 shards", and which, ten at most; `None` where all are.
    pub fn missing_text(shards: &[Self]) -> Option<(String, String)> {
        const NAMED_MAX: usize = 10;
        let missing = Self::missing(shards);
        let of = missing.first()?.of;
        let named = missing.iter().take(NAMED_MAX).map(Self::to_string);
        let more = (missing.len() > NAMED_MAX).then(|| "…".to_owned());
        let names: Vec<String> = named.chain(more).collect();
        let count = format!("{} of {of} shards", missing.len());
        Some((count, names.join(", ")))
    }

    /// Those that are not among some shards of a run that has as many as the first one says.
    fn missing(shards: &[Self]) -> Vec<Self> {
        let Some(of) = shards.first().map(|shard| shard.of) else {
            return Vec::new();
        };
        let known: HashSet<u32> = shards.iter().map(|shard| shard.index).collect();
        let missing = (0..of.get()).filter(|index| !known.contains(index));
        missing.map(|index| Self { index, of }).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// A number in decimal digits alone.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // One that is too large for any count.
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The number at the end of a host's name, its domain left out.
fn ordinal(host: &str) -> Option<u64> {
    let name = host.split('.').next()?;
    number(name.rsplit_once('-')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_count_from_0() {
        for (text, index, of) in [("0/1", 0, 1), ("3/4", 3, 4), ("9999/10000", 9999, 10_000)] {
            let shard = Shard::parse(text).unwrap();
            assert_eq!((shard.index(), shard.of()), (index, of));
            assert_eq!(shard.to_string(), text);
            assert_eq!(shard.is_part(), of > 1);
        }
        let check = |text: &str, expected: &str| {
            let error = Shard::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("4/4", "the last one is 3");
        check("0/0", "one shard at least");
        check("0/10001", "at most 10000");
        check("0/99999999999999999999", "at most 10000");
        check("99999999999999999999/3", "the last one is 2");
        for text in [
            "", "1", "/4", "1/", "-1/4", "+1/4", "1/4/2", "a/4", " 1/4", "auto",
        ] {
            check(text, "expected I/N");
        }
    }

    #[test]
    fn those_that_are_not_there_are_named() {
        let missing = |texts: &[&str]| {
            let shards = texts.iter().map(|text| Shard::parse(text).unwrap());
            let missing = Shard::missing(&shards.collect::<Vec<_>>()).into_iter();
            missing.map(|shard| shard.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(missing(&[]), [""; 0]);
        assert_eq!(missing(&["0/1"]), [""; 0]);
        assert_eq!(missing(&["3/4", "0/4", "3/4"]), ["1/4", "2/4"]);
    }

    #[test]
    fn pods_know_their_numbers() {
        let auto = |variables: &[(&str, &str)], host: &str| {
            let variable = |name: &str| {
                let mut variables = variables.iter();
                let (_, value) = variables.find(|(known, _)| *known == name)?;
                Some((*value).to_owned())
            };
            Shard::auto(&variable, host).map(|shard| shard.to_string())
        };
        let of = ("MOCKINGBIRD_SHARDS", "4");
        let job = |index| [of, ("JOB_COMPLETION_INDEX", index)];
        assert_eq!(auto(&[of], "mockingbird-3").as_deref(), Ok("3/4"));
        assert_eq!(auto(&[of], "a-b-0.metrics.svc").as_deref(), Ok("0/4"));
        // The host of a job's pod is a name with its index, and more.
        assert_eq!(auto(&job("2"), "mockingbird-1").as_deref(), Ok("2/4"));
        let check = |found: Result<String, String>, expected: &str| {
            let error = found.unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(auto(&[], "mockingbird-3"), "MOCKINGBIRD_SHARDS is not set");
        check(auto(&[("MOCKINGBIRD_SHARDS", "four")], "m-3"), "\"four\"");
        check(auto(&job("x"), "m-3"), "JOB_COMPLETION_INDEX: expected");
        check(auto(&[of], "mockingbird-4"), "no shard 4 of 4");
        for host in ["localhost", "mockingbird-x7k2p", "mockingbird-", "7", ""] {
            check(auto(&[of], host), "does not end in a number");
        }
    }
}
