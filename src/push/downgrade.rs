//! Remote write from version 2 to version 1, for receivers that do not know the
//! newer one: requests that are encoded already are decoded and written anew, by
//! the generated types.

use prost::Message;

use crate::proto::{remote_write_v1 as v1, remote_write_v2 as v2};

/// A compressed request of version 2 as one of version 1; `None` if it is none.
pub(super) fn to_version_1(body: &[u8]) -> Option<Vec<u8>> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).ok()?;
    let request = v2::Request::decode(plain.as_slice()).ok()?;
    let plain = rewritten(&request)?.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&plain).ok()
}

fn rewritten(request: &v2::Request) -> Option<v1::WriteRequest> {
    let text = |number: u32| request.symbols.get(number as usize).cloned();
    let labels_of = |references: &[u32]| -> Option<Vec<v1::Label>> {
        let pairs = references.chunks_exact(2).map(|pair| {
            Some(v1::Label {
                name: text(pair[0])?,
                value: text(pair[1])?,
            })
        });
        pairs.collect()
    };
    let series = request.timeseries.iter().map(|series| {
        let samples = series.samples.iter().map(|sample| v1::Sample {
            value: sample.value,
            timestamp: sample.timestamp,
        });
        let exemplars = series.exemplars.iter().map(|exemplar| {
            Some(v1::Exemplar {
                labels: labels_of(&exemplar.labels_refs)?,
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            })
        });
        Some(v1::TimeSeries {
            labels: labels_of(&series.labels_refs)?,
            samples: samples.collect(),
            exemplars: exemplars.collect::<Option<_>>()?,
        })
    });
    Some(v1::WriteRequest {
        timeseries: series.collect::<Option<_>>()?,
        metadata: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use super::*;
    use crate::engine::random_frames::frames;
    use crate::remote_write::{Encoder, EncoderOptions, Version};
    use proptest::prelude::*;

    proptest! {
        /// For every frame, requests of version 2 written anew are those of
        /// version 1.
        #[test]
        fn requests_are_those_of_version_1(frame in frames()) {
            let bodies = |version| {
                let options = EncoderOptions {
                    version,
                    ..EncoderOptions::default()
                };
                let mut encoder = Encoder::new(Arc::clone(frame.catalog()), options);
                let mut bodies = Vec::new();
                let _: ControlFlow<()> = encoder.encode(&frame, false, &mut |body, _| {
                    bodies.push(snap::raw::Encoder::new().compress_vec(body).unwrap());
                    ControlFlow::Continue(())
                });
                bodies
            };
            let plain = |body: &Vec<u8>| {
                let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
                v1::WriteRequest::decode(plain.as_slice()).unwrap().encode_to_vec()
            };
            let rewritten: Vec<Vec<u8>> = bodies(Version::V2)
                .iter()
                .map(|body| plain(&to_version_1(body).unwrap()))
                .collect();
            let expected: Vec<Vec<u8>> = bodies(Version::V1).iter().map(plain).collect();
            prop_assert!(rewritten == expected);
        }
    }

    #[test]
    fn what_is_no_request_gives_none() {
        assert_eq!(to_version_1(b"\xff\xff"), None);
        let plain = v2::Request {
            symbols: Vec::new(),
            timeseries: vec![v2::TimeSeries {
                labels_refs: vec![1, 2],
                ..v2::TimeSeries::default()
            }],
        };
        let body = snap::raw::Encoder::new().compress_vec(&plain.encode_to_vec());
        assert_eq!(to_version_1(&body.unwrap()), None);
    }
}
