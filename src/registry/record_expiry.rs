//! Records that the engine has lost, and of which a relay has written a part again.

use crate::registry::connection::{EngineConnection, EngineError};
use crate::registry::node_key;
use crate::registry::resp::{Commands, RespValue};
use crate::relay::shared_directory::MissingRecords;

/// Fields of a record that is lost otherwise, and that its relay does not make again, are
/// forgotten after this time, in milliseconds.
const REST_LIFETIME: &str = "60000";
/// How often that is tried for a record which other relays change meanwhile.
const EXPIRY_TRIES: u32 = 10;
/// The most records for which that is done at once.
const MAX_EXPIRED: usize = 64;

/// Lets records expire that have no header, and therefore no lease; not one that another
/// relay makes whole meanwhile.
pub(super) fn expire_rests(
    connection: &mut EngineConnection,
    missing: &[MissingRecords],
) -> Result<(), EngineError> {
    let nodes = missing.iter().flat_map(|records| &records.nodes);
    let keys: Vec<String> = nodes.map(|node| node_key(*node)).collect();
    for keys in keys.chunks(MAX_EXPIRED) {
        let mut open = vec![(keys, EXPIRY_TRIES)];
        while let Some((keys, tries)) = open.pop() {
            if try_to_expire(connection, keys)? {
                continue;
            }
            // One that is changed again and again delays itself only.
            match keys.split_at(keys.len() / 2) {
                ([], one) if tries > 1 => open.push((one, tries - 1)),
                ([], _) => {}
                (left, right) => open.extend([(right, tries), (left, tries)]),
            }
        }
    }
    Ok(())
}

/// Lets those of these records expire that have no lease. Returns false, and has done nothing,
/// if one of them was changed meanwhile.
fn try_to_expire(connection: &mut EngineConnection, keys: &[String]) -> Result<bool, EngineError> {
    let mut commands = Commands::default();
    let mut watch = vec![&b"WATCH"[..]];
    watch.extend(keys.iter().map(String::as_bytes));
    commands.push(watch);
    for key in keys {
        commands.push_words(["PTTL", key]);
    }
    let times = connection.exchange(&commands)?.into_iter().skip(1);
    let mut commands = Commands::default();
    commands.push_words(["MULTI"]);
    for (key, time) in keys.iter().zip(times) {
        if time == RespValue::Integer(-1) {
            commands.push_words(["PEXPIRE", key, REST_LIFETIME]);
        }
    }
    commands.push_words(["EXEC"]);
    Ok(connection.exchange(&commands)?.pop() != Some(RespValue::Nil))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::NodeAddress;
    use crate::registry::scripted_engine::ScriptedEngine;
    use crate::relay::shared_directory::InstanceId;

    const EXPIRY: &str = "PEXPIRE\r\n$28\r\npeerline:node:192.0.2.1 9000\r\n$5\r\n60000\r\n";
    /// What the engine answers if a record has no lease, and if the record is changed before it
    /// expires.
    const EXPIRED: &[u8] = b"+OK\r\n:-1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n";
    const CHANGED: &[u8] = b"+OK\r\n:-1\r\n+OK\r\n+QUEUED\r\n*-1\r\n";

    /// Lets the records of these nodes expire. Returns what was written to the engine, which
    /// answers so.
    fn expire(nodes: &[&str], replies: &[u8]) -> String {
        let mut engine = ScriptedEngine::new(replies);
        let nodes = nodes.iter().map(|node| NodeAddress::parse(node));
        let missing = MissingRecords {
            origin: InstanceId(1),
            number: 7,
            nodes: nodes.map(|node| node.expect("an address")).collect(),
        };
        expire_rests(&mut engine.connection, &[missing]).expect("the engine answers");
        engine.written()
    }

    /// Whether the last try lets the record of 192.0.2.1 expire.
    fn expires_at_last(written: &str) -> bool {
        let last = written.rsplit_once("WATCH").map(|(_, last)| last);
        last.is_some_and(|last| last.contains(EXPIRY))
    }

    #[test]
    fn a_record_that_another_relay_makes_whole_does_not_expire() {
        // It has no lease, then it is changed, and then it has a lease of ten minutes.
        let with_lease = b"+OK\r\n:602000\r\n+OK\r\n*0\r\n";
        let written = expire(&["192.0.2.1 9000"], &[CHANGED, with_lease].concat());
        assert_eq!(written.matches(EXPIRY).count(), 1, "{written}");
        assert!(!expires_at_last(&written), "{written}");
    }

    #[test]
    fn a_record_that_is_changed_again_and_again_delays_no_other() {
        let both = b"+OK\r\n:-1\r\n:-1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n";
        let alone = CHANGED.repeat(EXPIRY_TRIES as usize);
        let nodes = ["192.0.2.2 9000", "192.0.2.1 9000"];
        let written = expire(&nodes, &[both, &alone[..], EXPIRED].concat());
        let tries = 1 + EXPIRY_TRIES as usize + 1;
        assert_eq!(written.matches("WATCH").count(), tries, "{written}");
        assert_eq!(written.matches(EXPIRY).count(), 2, "{written}");
        assert!(expires_at_last(&written), "{written}");
    }
}
