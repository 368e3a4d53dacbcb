//! The figures that a server gives about itself, in every language.

use std::borrow::Cow;

/// A figure about a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Figure {
    /// One word, which `STATS` and HTTP share.
    pub(crate) name: &'static str,
    /// What the figure is about, if several figures have the name: the kind of thing, and
    /// which one.
    pub(crate) label: Option<(&'static str, String)>,
    pub(crate) kind: FigureKind,
    /// For people.
    pub(crate) meaning: &'static str,
    pub(crate) value: u64,
}

/// How a figure changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FigureKind {
    /// It only grows while the server runs.
    Counter,
    /// It grows and falls.
    Gauge,
}

impl Figure {
    /// The number of events since the start.
    pub(crate) fn counter(name: &'static str, value: u64, meaning: &'static str) -> Self {
        Self {
            name,
            label: None,
            kind: FigureKind::Counter,
            meaning,
            value,
        }
    }

    /// A number at this moment.
    pub(crate) fn gauge(name: &'static str, value: u64, meaning: &'static str) -> Self {
        let kind = FigureKind::Gauge;
        Self {
            kind,
            ..Self::counter(name, value, meaning)
        }
    }

    /// The name in a list without labels.
    pub(crate) fn full_name(&self) -> Cow<'static, str> {
        match &self.label {
            None => Cow::Borrowed(self.name),
            Some((_, label)) => Cow::Owned(format!("{}_{label}", self.name)),
        }
    }
}
