//! The fair order of nodes: addresses take turns, because one stranger can run many nodes at one
//! address.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::protocol::address_group;

/// Puts one item of each address first, then a second one of each, and so on. `ip` is the address
/// of an item. Each address is the first one in turn, as `rotation` grows. The items of an address
/// stay in their order.
pub(super) fn take_turns<T>(
    items: impl Iterator<Item = T>,
    ip: impl Fn(&T) -> IpAddr,
    rotation: usize,
) -> Vec<T> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    let in_turn = items.map(|item| {
        let group = address_group(ip(&item));
        let count = counts.entry(group).or_default();
        *count += 1;
        (*count, group, item)
    });
    let mut in_turn: Vec<_> = in_turn.collect();
    in_turn.sort_by_key(|(turn, group, _)| (*turn, *group));
    let first = &mut in_turn[..counts.len()];
    first.rotate_left(rotation % first.len().max(1));
    in_turn.into_iter().map(|(.., item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_the_first_one_in_turn() {
        let node = |host: u8, port: u16| (IpAddr::from([192, 0, 2, host]), port);
        let mut nodes: Vec<_> = (1..100).map(|port| node(1, port)).collect();
        nodes.extend([node(2, 1), node(3, 1)]);
        let first = |rotation| {
            let nodes = take_turns(nodes.iter().copied(), |(ip, _)| *ip, rotation);
            assert_eq!(nodes.len(), 101);
            nodes[0].0
        };
        let expected = [1, 2, 3, 1].map(|host| IpAddr::from([192, 0, 2, host]));
        assert_eq!([0, 1, 2, 3].map(first), expected);
        let none = std::iter::empty::<(IpAddr, u16)>();
        assert_eq!(take_turns(none, |(ip, _)| *ip, 1), []);
    }
}
