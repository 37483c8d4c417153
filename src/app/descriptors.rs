//! How many files this process may have open: every connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Beside the connections of the metrics page: those of the control API, what is pushed,
/// the journal, and connections that are being closed.
const OTHERS: u64 = 512;

/// Makes room for so many connections, as far as the system lets a process do so itself;
/// warns where it does not.
pub(super) fn allow(connections_max: usize) {
    let needed = connections_max as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let Some(raised) = raised(&limit, needed) else {
        return;
    };
    // Refused, it stays at what it is.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    if let Some(current) = current.filter(|current| *current < needed) {
        log::warn!(
            "this process may have {current} files open, which is too few for the {connections_max} \
             connections of exporters.prometheus.max_connections: beyond them idle ones are \
             closed; raise RLIMIT_NOFILE to {needed} (ulimit -n, LimitNOFILE) or allow fewer"
        );
    }
}

/// The limit that lets so many files be open, or comes nearest; `None` where the present one
/// does.
fn raised(limit: &Rlimit, needed: u64) -> Option<Rlimit> {
    limit.current.filter(|current| *current < needed)?;
    Some(Rlimit {
        current: Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed))),
        maximum: limit.maximum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_raised_as_far_as_they_may_be() {
        for (current, maximum, expected) in [
            (None, None, None),
            (Some(2000), Some(2000), None),
            (Some(1000), None, Some(Some(2000))),
            (Some(1000), Some(4000), Some(Some(2000))),
            (Some(1000), Some(1500), Some(Some(1500))),
            (Some(1000), Some(1000), Some(Some(1000))),
        ] {
            let limit = Rlimit { current, maximum };
            let found = raised(&limit, 2000);
            assert_eq!(found.as_ref().map(|limit| limit.current), expected);
            assert!(found.is_none_or(|found| found.maximum == maximum));
        }
    }
}
