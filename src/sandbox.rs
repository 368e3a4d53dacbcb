//! Least rights: what the kernel still lets the current thread, and all threads that it
//! starts afterwards, open, connect to and signal (landlock(7)). Files and sockets that are
//! open already are not affected. What an old kernel cannot restrict stays allowed, and so do
//! datagrams over UDP and Unix sockets that have a path.

use std::fmt;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

/// The rights that remain.
#[derive(Default)]
pub struct Sandbox {
    /// The files and folders, with everything below, that can be read; none: all.
    pub readable: Option<Vec<PathBuf>>,
    /// The files that can be read and changed, and the folders, with everything below, in which
    /// files can also be made and removed.
    pub writable: Vec<PathBuf>,
    /// Whether sockets of TCP can be bound and connected.
    pub has_network: bool,
    /// Without a network: the ports to which TCP still connects.
    pub connect_ports: Vec<u16>,
    /// Whether processes outside can be signalled.
    pub may_signal: bool,
}

/// How much of a [`Sandbox`] the kernel enforces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Enforcement {
    /// All of it.
    Full,
    /// A part: the kernel is too old for the rest.
    Partial,
    /// Nothing: the kernel has no Landlock, or it is disabled.
    None,
}

impl Sandbox {
    /// Gives up all other rights, for ever. Paths that do not exist are skipped.
    ///
    /// # Errors
    /// The kernel refuses; then all rights remain.
    pub fn enter(&self) -> Result<Enforcement, RulesetError> {
        let read = AccessFs::from_read(ABI::V3);
        let all = AccessFs::from_all(ABI::V3);
        let restricted = match &self.readable {
            Some(_) => all,
            None => all & !read,
        };
        let mut ruleset = Ruleset::default()
            .handle_access(restricted)?
            .scope(Scope::AbstractUnixSocket)?;
        if !self.may_signal {
            ruleset = ruleset.scope(Scope::Signal)?;
        }
        if !self.has_network {
            ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4))?;
        }
        let mut rules = ruleset.create()?;
        if !self.has_network {
            let connect = AccessNet::ConnectTcp;
            let ports = self.connect_ports.iter();
            rules = rules
                .add_rules(ports.map(|port| Ok::<_, RulesetError>(NetPort::new(*port, connect))))?;
        }
        if let Some(readable) = &self.readable {
            rules = rules.add_rules(path_beneath_rules(readable, read))?;
        }
        rules = rules.add_rules(path_beneath_rules(&self.writable, restricted))?;
        Ok(match rules.restrict_self()?.ruleset {
            RulesetStatus::FullyEnforced => Enforcement::Full,
            RulesetStatus::PartiallyEnforced => Enforcement::Partial,
            RulesetStatus::NotEnforced => Enforcement::None,
        })
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "enforced by the kernel",
            Self::Partial => "enforced in part: the kernel is old",
            Self::None => "not available: the kernel has no Landlock",
        })
    }
}
