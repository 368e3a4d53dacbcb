//! What the honest users do.

use std::net::Ipv4Addr;

use crate::network::Network;
use crate::servers::Target;

/// What a user does again and again.
pub(crate) struct Habit {
    pub(crate) name: &'static str,
    pub(crate) server: Target,
    /// The habit belongs to the rows that attack one of these.
    pub(crate) rows: &'static [Target],
    /// The request; `IP` stands for the address of the user.
    pub(crate) request: &'static str,
    pub(crate) repeats: Repeats,
}

/// How often a user sends its request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Once; then it reads what arrives.
    Never,
    /// Again and again, on one connection.
    OnConnection,
    /// Again and again, on a new connection each time.
    Reconnecting,
}

/// The group of the users' addresses.
const GROUP: u8 = 1;

/// The first user receives the messages of the attackers.
pub(crate) const HABITS: [Habit; 8] = [
    Habit {
        name: "LISTEN",
        server: Target::Relay,
        rows: &[Target::Relay],
        request: "REGISTER * 7000\nLISTEN\n",
        repeats: Repeats::Never,
    },
    Habit {
        name: "PING",
        server: Target::Relay,
        rows: &[Target::Relay],
        request: "PING\n",
        repeats: Repeats::OnConnection,
    },
    Habit {
        name: "FIND",
        server: Target::Relay,
        rows: &[Target::Relay, Target::Node],
        request: "FIND small.txt\n",
        repeats: Repeats::Reconnecting,
    },
    Habit {
        name: "REGISTER, SHARE",
        server: Target::Relay,
        rows: &[Target::Relay],
        request: "REGISTER * 7001\nSHARE 1 - news of a user\nUNSHARE news of a user\n",
        repeats: Repeats::Reconnecting,
    },
    Habit {
        name: "SEND to itself",
        server: Target::Relay,
        rows: &[Target::Relay],
        request: "REGISTER * 7002\nLISTEN\nSEND IP 7002 hello\n",
        repeats: Repeats::OnConnection,
    },
    Habit {
        name: "PING node",
        server: Target::Node,
        rows: &[Target::Node],
        request: "PING\n",
        repeats: Repeats::OnConnection,
    },
    Habit {
        name: "GET",
        server: Target::Node,
        rows: &[Target::Node],
        request: "GET small.txt\n",
        repeats: Repeats::Reconnecting,
    },
    Habit {
        name: "LIST node",
        server: Target::Node,
        rows: &[Target::Node],
        request: "LIST\n",
        repeats: Repeats::OnConnection,
    },
];

/// The address and port at which the first user receives messages.
pub(crate) fn listener(network: Network) -> String {
    format!("{} 7000", user_address(network, 1))
}

/// The address of a user. The first one has the number 1.
pub(crate) fn user_address(network: Network, number: u8) -> Ipv4Addr {
    network.address(GROUP, number)
}
