//! The machine of this relay. Several relays on one machine share its nodes on loopback;
//! those on other machines must not see them, because the same addresses mean other programs
//! there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;

use crate::protocol::NodeAddress;

/// Identifies a machine since its last start, and one of its network namespaces: a container
/// with a network of its own is a machine, too. Not the machine-id of systemd, which copies of a
/// virtual machine have in common.
static ID: LazyLock<String> = LazyLock::new(|| {
    // Both are in /proc. Where there is none, all machines are one.
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::metadata("/proc/self/ns/net").map_or(0, |namespace| namespace.ino());
    let mut hasher = blake3::Hasher::new();
    hasher.update(&boot).update(&namespace.to_le_bytes());
    hasher.finalize().to_hex()[..16].to_owned()
});

/// The id of this machine. The first call must be before the sandbox.
pub(super) fn id() -> &'static str {
    &ID
}

/// The address as the engine has it: with the id of this machine if it is on loopback.
pub(super) fn shared_text(address: NodeAddress) -> String {
    match address.is_loopback() {
        true => format!("{address} {}", id()),
        false => address.to_string(),
    }
}

/// The address of such a text; none if it is on the loopback of another machine.
pub(super) fn parse_shared(text: &str) -> Option<NodeAddress> {
    let own = text
        .strip_suffix(id())
        .and_then(|own| own.strip_suffix(' '));
    // Relays of an older version write no id.
    let text = own.unwrap_or(text);
    let address = NodeAddress::parse(text).ok()?;
    // More may follow an address.
    (address.to_string() == text).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_on_the_loopback_of_another_machine_are_skipped() {
        let parse = |text: &str| parse_shared(text).map(|address| address.to_string());
        for text in ["127.0.0.1 9001", "::1 9001", "192.0.2.1 9001"] {
            let address = NodeAddress::parse(text).expect("an address");
            let shared = shared_text(address);
            assert_eq!(shared != text, address.is_loopback(), "{shared}");
            assert_eq!(parse(&shared).as_deref(), Some(text));
        }
        assert_eq!(parse("127.0.0.1 9001").as_deref(), Some("127.0.0.1 9001"));
        assert_eq!(parse("127.0.0.1 9001 0123456789abcdef"), None);
    }
}
