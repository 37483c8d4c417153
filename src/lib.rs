//! Mockingbird: synthetic metrics at very high cardinality, with ground truth.
//!
//! One YAML file describes metrics; every tick the engine computes the value of
//! every series and publishes them as one immutable frame; encoders turn a
//! frame into the bytes that a backend reads.
//!
//! # Map
//!
//! A module uses itself and the ones above it, never one below.
//!
//! | module | in | out |
//! |---|---|---|
//! | [`config`] | a YAML file, the environment | a checked [`config::Config`], or every mistake with its place |
//! | [`model`] | labels, caps | the [`model::Catalog`]: families, label spaces, identities |
//! | [`timeline`] | a configuration, commands | what is in effect at a tick |
//! | [`engine`] | a tick number | a [`engine::Frame`]: columns of values |
//! | [`journal`] | what was done to a run | its record, and the run again |
//! | [`otlp`], [`proto`] | a frame | requests that OTLP receivers take |
//! | [`exposition`] | a frame | Prometheus text, `OpenMetrics`, gzip |
//! | [`remote_write`] | a frame | requests that Prometheus remote-write receivers take |
//! | [`plan`] | a configuration | what it will cost |
//! | [`clock`], [`logging`], [`http`] | | the time of day; lines; requests and responses |
//! | [`faults`] | what is in effect | what goes wrong between a frame and its readers |
//! | `credentials`, `causes` | files of tokens and passwords; errors | what headers take; a line of text |
//! | [`push`] | frames that are due | requests to a receiver, and a ledger of them |
//! | [`selfmetrics`] | what happens in the process | columns of its own families |
//! | [`server`] | a frame, a request | `/metrics` |
//! | [`control`] | requests | wishes to the clock's thread, and what became of them |
//! | [`backfill`] | a run, two times | all its points between them, in a file or at a receiver |
//! | [`app`] | a configuration | a running process, its start, ticks and end |
//! | [`verify`] | a run, a backend | what differs between them |
//! | [`cli`] | arguments | exit codes |
//! | [`twin`] | a configuration, a tick | the same samples by the definitions, for tests |
//!
//! # Threads
//!
//! All are there from the start; no runtime schedules them, and nothing but
//! bounded queues lies between them.
//!
//! ```text
//!                     wishes (one at a time)
//!   control API ───────────────┐
//!   (http:PORT threads)        ▼
//!                        main: the clock ── tick n ──► shard-0 … shard-N  (engine)
//!                              │    ◄───── columns ────┘
//!                              │ Arc<Frame>
//!              ┌───────────────┼──────────────────────────┐
//!              ▼ board         ▼ mailbox of one           ▼ … per receiver
//!   scrapes (http:PORT)   push-encode ► push-gzip-N ► outbox (bytes) ► push-0 … push-N
//!         │  ▲
//!         ▼  │ chunks
//!   render-0 … render-N
//! ```
//!
//! A frame is shared, never copied: a slow scrape or push holds an old one and
//! the clock goes on. What does not fit into a queue is dropped and counted
//! (pushes), refused (scrapes, requests) or waited for (`backfill`, which has no
//! clock). `verify` is another process: it runs the same engine again and asks.
//!
//! # Invariants
//!
//! - A value depends on seed, series identity, tick, epoch and on what was done
//!   to the run at which tick, and on nothing else: not on threads, order in the
//!   file, other metrics, platform or clock.
//! - What is done to a run acts at one tick, for all series and every exporter.
//! - After `config` there is no fallback: an unknown word is an error there.
//! - The engine names no wire format. Encoders do no I/O and read no clock;
//!   only [`clock`] reads the time of day.
//! - A published frame never changes. A reader holds it as long as it likes and
//!   delays nobody.
//! - A steady tick allocates nothing; no string or map exists per series.
//! - Every queue, body, connection and wait is bounded.

pub mod app;
pub mod backfill;
mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
mod credentials;
pub mod engine;
pub mod exposition;
pub mod faults;
pub mod http;
pub mod journal;
pub mod logging;
pub mod model;
pub mod otlp;
pub mod plan;
pub mod proto;
pub mod push;
pub mod remote_write;
pub mod selfmetrics;
pub mod server;
pub mod timeline;
pub mod twin;
pub mod verify;
