//! Values of arguments: text in, checked values or what was expected out.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;

/// NAME=VALUE.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
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

/// The first address of a host and port; `localhost` is one, too.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found
        .next()
        .ok_or_else(|| "this host has no address".to_owned())
}

/// Milliseconds of a duration of 1s to 3660d, in one unit.
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    const DAYS_MAX: i64 = 3660;
    let wrong = || "expected a number and a unit: 90s, 10m, 2h or 1d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let unit_ms: i64 = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let ms = i64::from(number) * unit_ms;
    if ms == 0 || ms > DAYS_MAX * 86_400_000 {
        return Err("expected 1s to 3660d".to_owned());
    }
    Ok(ms)
}

/// Nanoseconds between ticks, of a duration of 1ms to 24h such as 15s.
pub(super) fn step_ns(text: &str) -> Result<u64, String> {
    const STEP_NS: RangeInclusive<i128> = 1_000_000..=86_400_000_000_000;
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "expected a number and a unit: 500ms, 15s, 1m or 1h".to_owned())?;
    let ns = duration.as_nanos();
    if !STEP_NS.contains(&ns) || ns % 1_000_000 != 0 {
        return Err("expected whole milliseconds, 1ms to 24h".to_owned());
    }
    Ok(ns as u64)
}

/// The number of a tick.
pub(super) fn tick(text: &str) -> Result<u64, String> {
    let number = text.parse();
    number.map_err(|_| "expected the number of a tick, 0 or more".to_owned())
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
    fn durations_have_a_unit() {
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(duration_ms("1d"), Ok(86_400_000));
        for wrong in ["", "s", "10", "-1m", "1.5h", "0s", "4294967295d", "1é"] {
            assert!(duration_ms(wrong).is_err(), "{wrong}");
        }
        assert_eq!(step_ns("15s"), Ok(15_000_000_000));
        assert_eq!(step_ns("500ms"), Ok(500_000_000));
        assert_eq!(step_ns("1m"), Ok(60_000_000_000));
        for wrong in ["", "15", "s", "-1s", "0s", "1us", "1.5ms", "25h", "1d"] {
            assert!(step_ns(wrong).is_err(), "{wrong}");
        }
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
        assert!(label("=b").is_err());
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
