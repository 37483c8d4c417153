//! Signals to the process, as messages.

use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::app::{RunError, Signals};

/// While nobody takes a signal to stop, the process ends by itself after this.
const NOTICED_WITHIN: Duration = Duration::from_millis(900);
/// One Ctrl-C may reach the process twice, by its group and by its parent.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// Channels on which SIGINT and SIGTERM arrive, and SIGHUP. While nobody takes
/// the former from there (a long start or tick), the process ends by itself
/// within a second. A further signal ends it at once.
pub(super) fn listen() -> Result<Signals, RunError> {
    let failed =
        |error: std::io::Error| RunError::Run(format!("cannot listen for signals: {error}"));
    let (send, stop) = crossbeam_channel::bounded(1);
    let (send_reload, reload) = crossbeam_channel::bounded(1);
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut first: Option<Instant> = None;
            for signal in signals.forever() {
                if signal == SIGHUP {
                    // One that waits already is enough.
                    let _ = send_reload.try_send(());
                    continue;
                }
                if let Some(at) = first {
                    if at.elapsed() > SAME_SIGNAL {
                        std::process::exit(128 + signal);
                    }
                    continue;
                }
                first = Some(Instant::now());
                log::info!("signal {signal}: stopping");
                let _ = send.try_send(());
                let send = send.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(NOTICED_WITHIN);
                    if send.is_full() {
                        log::warn!("in the middle of a start or a long tick: ending without it");
                        std::process::exit(0);
                    }
                });
            }
        })
        .map_err(failed)?;
    Ok(Signals { stop, reload })
}
