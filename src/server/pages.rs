//! `/targets/ID/metrics`: the page of one target, made of its rows alone.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::asked::{Asked, delay};
use super::scrape::{Ready, Scrapes};
use super::truncation::{Truncation, send};
use crate::config::{Config, Shard, TargetLaw, Targets};
use crate::engine::Frame;
use crate::exposition::Page;
use crate::http::{Reply, Request, Sent, percent_decode};
use crate::model::division::Division;
use crate::model::shards;
use crate::model::targets::TargetMap;
use crate::selfmetrics::SelfMetrics;

/// The targets of a run.
#[derive(Debug)]
pub struct Pages {
    targets: Targets,
    /// Where they are counted.
    own: Arc<SelfMetrics>,
    /// Which part of them this process has, if not all, ...
    shard: Option<Shard>,
    /// ... and how they would be divided.
    division: Division,
    /// Those of a frame that somebody asked for, and its tick.
    latest: Mutex<Option<(u64, Arc<TargetMap>)>>,
}

impl Pages {
    /// Pages as `exporters.prometheus.targets` of a configuration asks for them; `None`
    /// where it does not. `own` counts them.
    pub fn new(config: &Config, own: Arc<SelfMetrics>) -> Option<Self> {
        let shard = config.shard.filter(|shard| shard.is_part());
        Some(Self {
            targets: config.prometheus.targets.clone()?,
            own,
            shard,
            division: shards::division_for(config, shard.unwrap_or(Shard::WHOLE)),
            latest: Mutex::default(),
        })
    }

    /// The shard whose targets the process has, if not all.
    pub(super) fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// What a shard has of targets.
    pub(super) fn division(&self, shard: Shard) -> Division {
        self.division.for_shard(shard)
    }

    /// What makes targets, and whether lines tell it.
    pub(super) fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The targets of a frame. Whoever asks first after series began or ended finds them out,
    /// while others wait.
    pub(super) fn map(&self, frame: &Frame) -> Arc<TargetMap> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = latest.as_ref();
        if let Some((_, map)) = known.filter(|(_, map)| map.is_of(frame.populations())) {
            return Arc::clone(map);
        }
        let map = Arc::new(TargetMap::of(
            frame.catalog(),
            frame.populations(),
            &self.targets.law,
            known.map(|(_, map)| &**map),
        ));
        // Somebody may ask for a frame that another has followed meanwhile.
        if known.is_none_or(|(tick, _)| *tick < frame.tick()) {
            self.own.set_targets(map.len());
            *latest = Some((frame.tick(), Arc::clone(&map)));
        }
        map
    }

    /// The labels that lines leave out.
    fn hidden(&self) -> &[String] {
        match &self.targets.law {
            TargetLaw::By(labels) if !self.targets.in_body => labels,
            _ => &[],
        }
    }

    /// Answers a scrape of the target of an ID, which is still percent-encoded.
    pub(super) fn answer(
        &self,
        scrapes: &Scrapes,
        id: &str,
        request: &Request<'_>,
        reply: Reply<'_>,
    ) -> io::Result<Sent> {
        let started = Instant::now();
        let read = percent_decode(id).and_then(|id| Ok((id, Asked::of(request)?)));
        let (id, asked) = match read {
            Ok(read) => read,
            Err(refusal) => return reply.refuse(&refusal),
        };
        let struck = scrapes.faults.scrape(Some(&id));
        if !delay(&struck, &reply) {
            return reply.text(503, "stopping");
        }
        if struck.is_closed {
            return Ok(scrapes.closed(request, reply));
        }
        let Ready { pool, latest } = match scrapes.ready(&struck) {
            Ok(ready) => ready,
            Err((status, why)) => return reply.text(status, why),
        };
        let map = self.map(&latest.frame);
        let Some(target) = map.find(&id) else {
            let text =
                "no such target at this tick; it may have ended, and /sd lists all there are";
            return reply.text(404, text);
        };
        if request.method() == "HEAD" {
            return reply.stream(200, &asked.headers()).finish();
        }
        let names = asked.names();
        let page = Page {
            target,
            format: asked.format,
            hidden: self.hidden(),
            names: names.as_deref(),
        };
        let renderer = latest.renderer.with_escaping(asked.escaping);
        let body = pool.page(&latest.frame, &renderer, &page, asked.gzip);
        // A slow reader holds no frame.
        drop((map, latest));
        if let Some(share) = struck.body_share {
            let mut truncation = Truncation::after(share, 0, 1);
            let mut writer = reply.stream(200, &asked.headers());
            return match send(&mut writer, &body, Some(&mut truncation)) {
                Err(_) if truncation.is_reached => {
                    scrapes.truncated(request);
                    Ok(writer.cut())
                }
                sent => Err(scrapes.broken_off(request, sent.expect_err("a body is cut or fails"))),
            };
        }
        match reply.send(200, &asked.headers(), &body) {
            Ok(sent) => {
                let what = format_args!("scrape of {id}");
                scrapes.answered(what, request, asked.gzip, &body.stats(), started);
                self.own.add_target_scrape();
                Ok(sent)
            }
            Err(error) => Err(scrapes.broken_off(request, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::engine::Engine;
    use crate::model::Catalog;

    fn ids(map: &TargetMap) -> Vec<String> {
        let mut ids: Vec<String> = map.iter().map(|target| target.id()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn targets_are_found_out_when_they_have_changed() {
        let text = "exporters: {prometheus: {targets: {by: [pod]}}}\n\
             profiles:\n\
             \x20 p:\n\
             \x20   labels: {pod: {range: [1, 3], fmt: 'pod{}-{id:5}'}}\n\
             \x20   churn: [{mode: replace, label: pod, lifetime: 20s}]\n\
             metrics: [{name: g, profile: p, type: gauge, algorithm: constant, start: 1}]\n";
        let config = config::load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let pages = Pages::new(&config, Arc::default()).unwrap();
        let law = pages.targets.law.clone();
        let catalog = Arc::new(Catalog::build(&config, Vec::new()).unwrap());
        let mut engine = Engine::new(&config, catalog, 0, 1).unwrap();
        let mut before: Option<(Arc<Frame>, Arc<TargetMap>)> = None;
        let (mut same, mut changed) = (0, 0);
        for _ in 0..100 {
            let frame = engine.advance(|_, _| {});
            let map = pages.map(&frame);
            let (catalog, populations) = (frame.catalog(), frame.populations());
            let expected = TargetMap::of(catalog, populations, &law, None);
            assert_eq!(ids(&map), ids(&expected), "tick {}", frame.tick());
            if let Some((earlier, earlier_map)) = &before {
                let is_same = earlier.populations().is(populations);
                assert_eq!(Arc::ptr_eq(&map, earlier_map), is_same);
                if is_same {
                    same += 1;
                } else {
                    changed += 1;
                    // Who is late gets its own, and changes nothing for the others.
                    assert_eq!(ids(&pages.map(earlier)), ids(earlier_map));
                    assert!(Arc::ptr_eq(&pages.map(&frame), &map));
                }
            }
            before = Some((frame, map));
        }
        assert!(same > 10 && changed > 5, "{same} {changed}");
    }
}
