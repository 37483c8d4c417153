//! Values of arguments: text in, checked values or what was expected out.

use std::fmt::Display;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::quantity;

/// NAME=VALUE; a name that has an equals sign itself is in quotes: "NAME"=VALUE.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let quoted = text.strip_prefix('"');
    match quoted.map_or(text.split_once('='), |rest| rest.split_once("\"=")) {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// NAME: VALUE, without the space around them.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().into(), value.trim().into()))
        }
        _ => Err("expected NAME: VALUE".into()),
    }
}

/// A number that JSON can hold.
pub(super) fn finite(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "expected a finite number".to_owned())
}

/// Hundredths, with or without a percent sign.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    quantity::percent(text)
}

/// The first address of a host and port; `localhost` is one, too.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found
        .next()
        .ok_or_else(|| "this host has no address".to_owned())
}

/// Milliseconds of a duration of 1s to 3660d.
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    const NS_MAX: u64 = 3660 * 86_400_000_000_000;
    let ns = duration_in(text, 1_000_000_000..=NS_MAX)?;
    Ok((ns / 1_000_000) as i64)
}

/// Nanoseconds between ticks, of a duration of 1ms to 1d such as 15s.
pub(super) fn step_ns(text: &str) -> Result<u64, String> {
    duration_in(text, 1_000_000..=86_400_000_000_000)
}

/// How far ahead a change is agreed upon, 500ms to 5m.
pub(super) fn ahead(text: &str) -> Result<Duration, String> {
    let ns = duration_in(text, 500_000_000..=300_000_000_000)?;
    Ok(Duration::from_nanos(ns))
}

/// Nanoseconds of a duration within a range, in whole milliseconds.
fn duration_in(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let ns = quantity::duration_ns(text)?;
    if !range.contains(&ns) || !ns.is_multiple_of(1_000_000) {
        return Err(format!(
            "expected whole milliseconds, {} to {}",
            quantity::duration_text(*range.start()),
            quantity::duration_text(*range.end())
        ));
    }
    Ok(ns)
}

/// A duration for the control API, as JSON says it: seconds. Whether they are in
/// range is judged there.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    Ok(quantity::duration_ns(text)? as f64 / 1e9)
}

/// The number of a tick.
pub(super) fn tick(text: &str) -> Result<u64, String> {
    count(text)
}

/// How many there are of something.
pub(super) fn count(text: &str) -> Result<u64, String> {
    quantity::count(text)
}

/// How many there are of something, within a range.
pub(super) fn count_within<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: TryFrom<u64> + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let count = T::try_from(count(text)?).ok();
        count
            .filter(|count| range.contains(count))
            .ok_or_else(|| format!("expected {} to {}", range.start(), range.end()))
    }
}

/// A time with its offset.
pub(super) fn time(text: &str) -> Result<jiff::Timestamp, String> {
    let time = text.parse();
    time.map_err(|_| "expected a time with its offset, such as 2026-01-01T00:00:00Z".to_owned())
}

/// Unix nanoseconds of a time in whole milliseconds between 1970 and 2262.
pub(super) fn time_ns(text: &str) -> Result<i64, String> {
    whole_ms_ns(time(text)?)
        .ok_or_else(|| "must be in whole milliseconds, from 1970 on and before 2262".to_owned())
}

/// Unix nanoseconds of a time, if it is in whole milliseconds between 1970 and 2262.
pub(super) fn whole_ms_ns(time: jiff::Timestamp) -> Option<i64> {
    let ns = i64::try_from(time.as_nanosecond()).ok()?;
    (ns >= 0 && ns % 1_000_000 == 0).then_some(ns)
}

/// A share of points, 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    number_in(text, 0.0..=1.0)
}

/// A relative error, 0 to 0.1.
pub(super) fn tolerance(text: &str) -> Result<f64, String> {
    number_in(text, 0.0..=0.1)
}

fn number_in(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(format!("expected {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_have_units() {
        assert_eq!(duration_ms("60"), Ok(60_000));
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(duration_ms("1d"), Ok(86_400_000));
        for wrong in [
            "",
            "s",
            "-1m",
            "0s",
            "999ms",
            "1.0005",
            "3661d",
            "4294967295d",
            "1é",
        ] {
            assert!(duration_ms(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            duration_ms("0"),
            Err("expected whole milliseconds, 1s to 3660d".into())
        );
        assert_eq!(step_ns("15"), Ok(15_000_000_000));
        assert_eq!(step_ns("500ms"), Ok(500_000_000));
        assert_eq!(step_ns("1m"), Ok(60_000_000_000));
        assert_eq!(step_ns("1d"), Ok(86_400_000_000_000));
        for wrong in ["", "s", "-1s", "0s", "1us", "1.5ms", "25h"] {
            assert!(step_ns(wrong).is_err(), "{wrong}");
        }
        assert_eq!(seconds("1m30s"), Ok(90.0));
        assert_eq!(seconds("0.25"), Ok(0.25));
        for wrong in ["inf", "NaN", "-1", "1x"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_may_be_short() {
        assert_eq!(tick("1_000"), Ok(1000));
        let limit = count_within(1..=10_000_u32);
        assert_eq!(limit("10k"), Ok(10_000));
        assert_eq!(limit("0"), Err("expected 1 to 10000".into()));
        assert_eq!(limit("5G"), Err("expected 1 to 10000".into()));
        assert!(limit("x").unwrap_err().contains("10k"));
    }

    #[test]
    fn ticks_and_times_are_told_from_words() {
        assert_eq!(tick("7"), Ok(7));
        assert!(time("2026-01-01T00:00:00+01:00").is_ok());
        for wrong in ["-1", "1.5", "", "tomorrow", "2026-01-01"] {
            assert!(tick(wrong).is_err(), "{wrong}");
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_in_whole_milliseconds() {
        assert_eq!(time_ns("1970-01-01T00:00:01.5Z"), Ok(1_500_000_000));
        for wrong in [
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:01.0005Z",
            "2026-01-01",
            "2300-01-01T00:00:00Z",
        ] {
            assert!(time_ns(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_may_have_names() {
        assert!(address("localhost:8002").is_ok_and(|found| found.ip().is_loopback()));
        assert!(address("127.0.0.1:0").is_ok());
        assert!(address("8002").is_err());
    }

    #[test]
    fn names_are_told_from_values() {
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(label("a="), Ok(("a".into(), String::new())));
        assert_eq!(label("\"a=b\"=c"), Ok(("a=b".into(), "c".into())));
        assert_eq!(label("k8s.pod=c"), Ok(("k8s.pod".into(), "c".into())));
        assert!(label("=b").is_err());
        assert!(label("\"a=b").is_err());
        assert_eq!(header("A:  b: c"), Ok(("A".into(), "b: c".into())));
        assert!(header(": b").is_err());
    }

    #[test]
    fn numbers_have_a_range() {
        assert_eq!(share("0.25"), Ok(0.25));
        for wrong in ["", "-0.1", "1.1", "NaN"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(tolerance("1e-9"), Ok(1e-9));
        assert_eq!(tolerance("NaN"), Err("expected 0 to 0.1".into()));
        assert!(tolerance("1").is_err());
    }
}
