//! The protobuf exposition: families as delimited `MetricFamily` messages.
//!
//! A message begins with its length, and that of a family with thousands of series covers
//! many chunks. So whoever writes a family's first chunk measures the whole family before:
//! labels and values by their lengths, nothing is written twice. Where lengths do not
//! change from tick to tick they are counted once.
//!
//! | file | what it does |
//! |---|---|
//! | `put` | puts numbers |
//! | `pairs` | what surrounds label values |
//! | `lengths` | how long the label pairs of series are |
//! | `head` | writes the label pairs of one series after the other |
//! | `stencil` | the same of the rows of a target |
//! | `scalar`, `histogram`, `native`, `summary` | the values of a series, by type |
//! | `tail` | what follows them: when the series began, the sample's time |
//! | `exemplars` | the exemplar of a series |
//! | `series` | a series as a message: what frames labels, values and tail |
//! | `family` | a family's message |
//! | `body` | a chunk of a body |
//!
//! Every message is one of those of [`crate::proto::prometheus_client`]; a decoder reads
//! fields in any order, and here the unit comes before the series, so that nothing
//! follows them. The last bucket, which has no bound, is the count and not sent, unless it has an
//! exemplar.

mod body;
mod exemplars;
mod family;
mod head;
mod histogram;
mod lengths;
mod native;
mod pairs;
mod put;
mod scalar;
mod series;
mod stencil;
mod summary;
mod tail;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod twin;

pub(super) use family::FamilyProto;
pub(super) use pairs::Pairs;
pub(super) use stencil::Stencil;
pub(super) use tail::SampleTime;
