//! What `STATS` says about the registry.

use crate::counted::Counted;
use crate::figure::Figure;
use crate::relay::Relay;

/// Events since the start.
#[derive(Default)]
pub(super) struct RegistryCounters {
    /// Changes published.
    pub(super) published: u64,
    /// Changes of other relays and of records.
    pub(super) applied: u64,
    /// Of these, the ones that are malformed or over a limit.
    pub(super) rejected: u64,
    /// Times the relay was cut off.
    pub(super) cut_off: u64,
    /// Nodes that are new here because of other relays.
    pub(super) added: u64,
}

impl Relay {
    /// The figures of the registry, if there is one.
    pub(in crate::relay) fn registry_figures(&self) -> Vec<Figure> {
        let Some(shared) = &self.shared else {
            return Vec::new();
        };
        let counters = &shared.counters;
        let relays = shared.relays.len() as u64;
        vec![
            Figure::gauge(
                "registry_connected",
                shared.is_connected().into(),
                "1 while the registry is reached, 0 while the relay is cut off",
            ),
            Figure::counter(
                "registry_cut_off",
                counters.cut_off,
                "Times the relay was cut off from the registry",
            ),
            Figure::gauge("registry_relays", relays, "Other relays of the registry"),
            Figure::counter(
                "registry_published",
                counters.published,
                "Changes published to other relays",
            ),
            Figure::counter(
                "registry_applied",
                counters.applied,
                "Changes applied from the registry",
            ),
            Figure::counter(
                "registry_rejected",
                counters.rejected,
                "Changes from the registry that are malformed or over a limit",
            ),
        ]
    }

    /// What a page says about the registry, if there is one.
    pub(in crate::relay) fn registry_status(&self) -> Option<String> {
        let shared = self.shared.as_ref()?;
        let relays = shared.relays.len() as u64;
        Some(match shared.is_connected() {
            true => format!("shared with {}", Counted(relays, "other relay")),
            false => "cut off from the other relays".to_owned(),
        })
    }

    /// The registrations that other relays have handled.
    pub(in crate::relay) fn remote_registrations(&self) -> u64 {
        let shared = self.shared.as_ref();
        shared.map_or(0, |shared| shared.counters.added)
    }
}
