//! Mockingbird: synthetic metrics at very high cardinality, with ground truth.
//!
//! One YAML file describes metrics. At every tick the engine computes the value of
//! every series and publishes them as one immutable frame; encoders turn a frame
//! into the bytes that a backend reads. Because a value is a function of the
//! configuration, the tick and what was done to the run, any run can be computed
//! again: to replay it, to fill a backend with its past, or to judge what a backend
//! has stored.
//!
//! This crate is the program `mockingbird` and the library below it. The library
//! serves the program, its tests and its benchmarks; it promises no stable API.
//!
//! # The way of a value
//!
//! ```text
//! file ─► config ─► model ─┐                                      ┌─► exposition ─► server ─► scrapes
//!                          ├─► engine ─► Frame, one for each tick ┼─► otlp ─────────┐
//! control ─► timeline ─────┘                                      └─► remote_write ─┴─► push ─► receivers
//! ```
//!
//! # Map
//!
//! In reading order. A module uses itself and those above it, never one below; the
//! files of a module use one another in one direction as well, never in a circle.
//! `tests/layers.rs` reads this table and checks both.
//!
//! | module | in | out |
//! |---|---|---|
//! | `quantity` | texts | durations, counts and sizes |
//! | `readable` | numbers | numbers as people read them |
//! | [`random`] | keys | draws, and tables of distributions that turn them into values |
//! | [`algorithm`] | parameters, keys of series | values of one tick |
//! | [`layout`] | the type of a metric | the samples of each series: names, labels, order |
//! | [`escaping`] | names of metrics and labels, any UTF-8 | as readers take them that cannot take every name |
//! | [`config`] | a YAML file, the environment | a checked [`config::Config`], or every mistake with its place |
//! | [`churn`] | laws of a configuration, keys, a time | which entity there is, and since when |
//! | [`exporters`] | a configuration | its exporters: their names, and what each needs of the engine |
//! | [`model`] | metrics, their labels and caps | the [`model::Catalog`]: families, label spaces, identities; [`model::fleet`]: the entities that labels make, and their lives; [`model::population`]: which series exist at a tick; [`model::division`]: what a shard has of them |
//! | [`timeline`] | a configuration, commands | what is in effect at a tick |
//! | [`engine`] | a tick number | an [`engine::Frame`]: columns of values |
//! | [`clock`] | | the time of day; times as text |
//! | [`logging`] | records | lines on standard error |
//! | `locks` | a file | whether this process alone writes it |
//! | [`journal`] | what was done to a run | its record, and the run again |
//! | [`proto`] | | the messages of protobuf exposition, OTLP and remote write as types |
//! | [`exposition`] | a frame | Prometheus text, `OpenMetrics`, protobuf, gzip |
//! | [`otlp`] | a frame | requests that OTLP receivers take |
//! | [`remote_write`] | a frame | requests that Prometheus remote-write receivers take |
//! | [`http`] | connections | requests for a handler, and its replies |
//! | [`faults`] | what is in effect | what goes wrong between a frame and its readers |
//! | [`instance`] | a configuration, the host's name | what tells replicas of a run apart |
//! | `credentials`, `causes` | files of tokens and passwords; errors | what headers take; a line of text |
//! | [`push`] | frames that are due | requests to a receiver, and a ledger of their points |
//! | [`selfmetrics`] | what happens in the process | columns of its own families |
//! | [`plan`] | a configuration | what it will cost |
//! | [`server`] | a request, the latest frame | `/metrics`, the pages of targets and the list of them |
//! | [`control`] | requests | changes to the run, made by the clock's thread, and their answers |
//! | [`backfill`] | a run, two times | all its points between them, in a file or at a receiver |
//! | [`app`] | a configuration | a running process: its start, ticks and end |
//! | [`verify`] | a run, a backend | what differs between them |
//! | [`cli`] | arguments | exit codes |
//! | [`twin`] | a configuration, a tick | the same samples by the definitions, slowly; for tests |
//!
//! Which samples a type of metric has is in [`layout`] alone, and once more, on purpose,
//! in the twins that tests compare with. `layout` knows formats and nothing of a
//! configuration, and stands above [`config`], whose check of colliding names reads it
//! as encoders do.
//!
//! # Where new things go
//!
//! | what | where |
//! |---|---|
//! | an algorithm | a file in [`algorithm`], a line in the list of its type, its words in `configs/reference.yaml` |
//! | an exporter | its section in [`config`], its entry in [`exporters`], its encoder; [`exporters`] says how |
//! | a type of metric | its row in [`layout`], its columns and its kernel in [`engine`]; the compiler asks for the rest |
//! | a law by which entities come and go | a file in [`churn`], its mode in [`config`]; [`model::fleet`] asks it |
//! | another reason for series to begin or end | the [`model::population`] of a frame |
//! | a wire of single observations | [`engine::Frame::observed`] draws them again, as exemplars ([`engine::Frame::exemplars`]) are |
//!
//! # Processes
//!
//! Several processes can share a run ([`config::Shard`]). None knows of another: which rows
//! one has follows from its number and the values of labels ([`model::division`]), and is
//! decided where label spaces and fleets are built. Whoever walks series sees those of the
//! shard alone, and what is drawn for one is what it would be in the whole: a slot's rank
//! and texts go by its place there, a weight is that among all rows. The threads of an engine
//! have shards as well, of its rows.
//!
//! # Threads
//!
//! Those of `mockingbird --config FILE`; there is no async runtime.
//!
//! ```text
//!   control API              changes, one at a time
//!   http:PORT  ──────────────────┐
//!   (one per connection)         ▼
//!                     main: the clock ── tick n ──► shard-0 … shard-N   (engine)
//!                                │    ◄── columns ──┘
//!                                │ Arc<Frame>
//!              ┌─────────────────┴─────────┐
//!              ▼ board: the latest one     ▼ mailbox of one, for each receiver
//!     scrapes: http:PORT              push-encode ─► push-gzip-0 … N ─► outbox ─► push-0 … push-N
//!        │ chunks    ▲
//!        ▼           │ bytes
//!     render-0 … render-N
//! ```
//!
//! The page of a target is written by the connection's own thread, with memory that the
//! pool lends to as many as it has threads.
//!
//! Shards, rendering and pushing have all their threads from the start; an HTTP
//! connection has one of its own, and of connections there is a maximum. Between
//! threads there are bounded queues, the board that shows the latest frame, and
//! counters.
//!
//! A frame is shared, never copied: a slow scrape or push holds an old one and the
//! clock goes on. What does not fit into a queue is dropped and counted (pushes),
//! refused (scrapes, requests) or waited for (`backfill`, which has no clock).
//! `verify` is another process: it runs the same engine again, and asks the backend.
//!
//! # Invariants
//!
//! - A value depends on seed, series identity, tick, epoch and on what was done
//!   to the run at which tick, and on nothing else: not on threads, order in the
//!   file, other metrics, platform or clock.
//! - The shards of a run are the whole, whatever their number: no value depends on how it is
//!   divided, and neither entities nor targets are.
//! - Values follow from no tick before the birth of their series: a late tick is reached
//!   in the time that the series have lived which exist then ([`engine`]).
//! - What is done to a run acts from one tick on, for all series and every exporter,
//!   and is in the journal before the tick's frame is published.
//! - Processes that share a run are told the same by whoever changes it, at one tick, or
//!   nothing; none of them knows of another.
//! - After `config` there is no fallback: an unknown word is an error there.
//! - The engine names no wire format. Encoders do no I/O and read no clock;
//!   only [`clock`] reads the time of day.
//! - Which series exist at a tick, who they are and since when, the frame's
//!   populations tell; whoever walks series asks them.
//! - A published frame never changes. A reader holds it as long as it likes and
//!   delays nobody.
//! - A steady tick allocates nothing; no string or map exists per series.
//! - Every queue, body, connection and wait is bounded.
//! - A late tick is run late, never skipped.

pub mod algorithm;
pub mod app;
pub mod backfill;
mod causes;
pub mod churn;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
mod credentials;
pub mod engine;
pub mod escaping;
pub mod exporters;
pub mod exposition;
pub mod faults;
pub mod http;
pub mod instance;
pub mod journal;
pub mod layout;
mod locks;
pub mod logging;
pub mod model;
pub mod otlp;
pub mod plan;
pub mod proto;
pub mod push;
mod quantity;
pub mod random;
mod readable;
pub mod remote_write;
pub mod selfmetrics;
pub mod server;
pub mod timeline;
pub mod twin;
pub mod verify;
