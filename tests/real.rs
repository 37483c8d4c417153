//! Real servers judge the running program: Prometheus, the `OpenTelemetry` Collector and
//! `VictoriaMetrics` scrape it, take what it pushes and are verified; and the stack of
//! `compose/` is started from binaries.
//!
//! Needs the servers that `tests/servers/install.sh` builds, so `cargo test` ignores all but the
//! tests that read files only. With them: `cargo test --test real -- --include-ignored`.
//! `MOCKINGBIRD_BIN` puts another build of the program to the test.
//!
//! Most tests wait for ticks, so several may run at once on each core. Those with `_000_` in
//! their names need the machine to themselves.

mod servers;

#[path = "real/backfill.rs"]
mod backfill;
#[path = "real/compose.rs"]
mod compose;
#[path = "real/control.rs"]
mod control;
#[path = "real/exemplars.rs"]
mod exemplars;
#[path = "real/faults.rs"]
mod faults;
#[path = "real/generations.rs"]
mod generations;
#[path = "real/kubernetes.rs"]
mod kubernetes;
#[path = "real/living.rs"]
mod living;
#[path = "real/names.rs"]
mod names;
#[path = "real/native.rs"]
mod native;
#[path = "real/native_writes.rs"]
mod native_writes;
#[path = "real/otlp.rs"]
mod otlp;
#[path = "real/prometheus.rs"]
mod prometheus;
#[path = "real/remote_write.rs"]
mod remote_write;
#[path = "real/replicas.rs"]
mod replicas;
#[path = "real/rules.rs"]
mod rules;
#[path = "real/targets.rs"]
mod targets;
#[path = "real/verify.rs"]
mod verify;
