//! The settings of HTTP that come from the system.

use crate::session::http::HttpSettings;

/// Adds the name of the machine, under which browsers reach it.
pub(super) fn with_machine_name(settings: HttpSettings) -> HttpSettings {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().unwrap_or_default();
    let first = name.split('.').next().unwrap_or_default();
    HttpSettings {
        machine: first.to_owned(),
        ..settings
    }
}
