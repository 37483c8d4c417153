//! What a receiver lets in: connections with certificates, and an `Authorization`
//! header. Both are made from files, and made anew when these change, so that a
//! long run outlives its tokens and certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ureq::Agent;

use super::target::Target;
use crate::credentials::FromFiles;

/// The way to a receiver, shared by all who post to it.
#[derive(Debug, Clone)]
pub(super) struct Access {
    agent: Arc<FromFiles<Agent>>,
    authorization: Arc<FromFiles<Option<String>>>,
    /// The files are to be read even if they seem to be the same.
    doubted: Arc<AtomicBool>,
}

/// What one attempt uses.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) agent: Agent,
    /// Value of the header `Authorization`.
    pub(super) authorization: Option<String>,
    /// Of both.
    versions: (u64, u64),
}

impl Access {
    /// Reads all files for the first time; `connect` makes an agent of those for TLS.
    ///
    /// # Errors
    /// The field and what is wrong with its file.
    pub(super) fn new(
        target: &Target,
        connect: impl Fn(&Target) -> Result<Agent, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let tls = &target.tls;
        let client = tls.client.iter().flat_map(|(cert, key)| [cert, key]);
        let tls_paths = tls.ca.iter().chain(client).cloned().collect();
        let agent = {
            let target = target.clone();
            FromFiles::new(tls_paths, move || connect(&target))?
        };
        let authorization = {
            let target = target.clone();
            FromFiles::new(target.authorization.paths(), move || target.authorize())?
        };
        Ok(Self {
            agent: Arc::new(agent),
            authorization: Arc::new(authorization),
            doubted: Arc::default(),
        })
    }

    /// What is in force now.
    pub(super) fn key(&self) -> Key {
        if self.doubted.swap(false, Relaxed) {
            return Key::of(self.agent.get_anew(), self.authorization.get_anew());
        }
        Key::of(self.agent.get(), self.authorization.get())
    }

    /// Has the files read with the next attempt. Returns at once.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Relaxed);
    }

    /// What is in force, the files read whether they seem to have changed or not.
    /// `None` if that is what `used` was.
    pub(super) fn newer_than(&self, used: &Key) -> Option<Key> {
        let key = Key::of(self.agent.get_anew(), self.authorization.get_anew());
        (key.versions != used.versions).then_some(key)
    }

    /// Breaks off what is being posted; further posts fail.
    pub(super) fn shut_down(&self) {
        self.agent.get().0.shutdown();
    }
}

impl Key {
    fn of((agent, connected): (Agent, u64), (authorization, read): (Option<String>, u64)) -> Self {
        Self {
            agent,
            authorization,
            versions: (connected, read),
        }
    }
}
