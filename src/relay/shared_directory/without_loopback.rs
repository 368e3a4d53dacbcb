//! What a relay on another machine says of addresses that only programs there can reach.

use crate::relay::shared_directory::change::DirectoryChange;

/// The lines of a batch that are not about an address on loopback.
#[must_use]
pub fn without_loopback(batch: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(batch.len());
    let mut is_subject_on_loopback = false;
    for line in batch.split_inclusive(|byte| *byte == b'\n') {
        let is_on_loopback = match DirectoryChange::parse(line.trim_ascii_end()) {
            Some(DirectoryChange::Node(address)) => {
                is_subject_on_loopback = address.is_loopback();
                is_subject_on_loopback
            }
            Some(
                DirectoryChange::Renew(_, address)
                | DirectoryChange::Listen(address)
                | DirectoryChange::Unlisten(address)
                | DirectoryChange::Message(address, _),
            ) => address.is_loopback(),
            Some(DirectoryChange::Via(_)) => false,
            // Other lines are about the node before them.
            Some(_) | None => is_subject_on_loopback,
        };
        if !is_on_loopback {
            rest.extend_from_slice(line);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_about_addresses_on_loopback_are_left_out() {
        let batch = "\
            NODE 127.0.0.1 9001\n\
            KEY -\n\
            SHARE 1 - a\n\
            RENEW 60 192.0.2.1 9001\n\
            UNSHARE  b \n\
            NODE 192.0.2.1 9001\n\
            SHARE 1 -  c \n\
            REMOVE\n\
            LATER\n\
            RENEW 60 127.0.0.2 9001\n\
            LISTEN 192.0.2.1 9001\n\
            LISTEN ::1 9001\n\
            UNLISTEN 127.0.0.1 9001\n\
            NODE 127.0.0.1 9001\n\
            VIA 00000000000000ff\n\
            MESSAGE 192.0.2.1 9001 127.0.0.1 9001 to the other machine\n\
            MESSAGE 127.0.0.1 9001 192.0.2.1 9001 to itself\n\
            NODE 192.0.2.1 9001\n\
            SHARE 2 - d\n";
        let rest = "\
            RENEW 60 192.0.2.1 9001\n\
            NODE 192.0.2.1 9001\n\
            SHARE 1 -  c \n\
            REMOVE\n\
            LATER\n\
            LISTEN 192.0.2.1 9001\n\
            VIA 00000000000000ff\n\
            MESSAGE 192.0.2.1 9001 127.0.0.1 9001 to the other machine\n\
            NODE 192.0.2.1 9001\n\
            SHARE 2 - d\n";
        let text = String::from_utf8(without_loopback(batch.as_bytes()));
        assert_eq!(text.as_deref(), Ok(rest));
    }
}
