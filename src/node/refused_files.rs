//! The files that a relay does not list because it has refused their `SHARE`, or has no room for
//! them. Each that was refused is announced again only if it has changed, or if the relay has a
//! new record of the node.

use std::collections::BTreeMap;

use log::warn;

use crate::escaped::Escaped;
use crate::logging::OPERATOR;
use crate::node::share::Share;
use crate::node::update_request::FileVersion;
use crate::protocol::{ErrorCode, FileName};

/// The refused files of one relay.
#[derive(Default)]
pub(super) struct RefusedFiles {
    versions: BTreeMap<Box<str>, FileVersion>,
    /// The length of the shortest line that was too long for the relay, and the relay's text.
    /// The relay closes the connection after each, so no line of this length is sent again.
    too_long: Option<(usize, Box<str>)>,
    /// How many more files the relay has no room for.
    pub(super) over_limit: u64,
    /// One of the files that were refused since the last report, and the relay's text.
    example: Option<(Box<str>, Box<str>)>,
    /// How many of the files were reported.
    reported: u64,
}

impl RefusedFiles {
    /// How many files the relay does not list.
    pub(super) fn len(&self) -> u64 {
        self.rejected() + self.over_limit
    }

    /// How many it has refused, apart from those for which it has no room.
    pub(super) fn rejected(&self) -> u64 {
        self.versions.len() as u64
    }

    /// The relay has refused the `SHARE` of this version of a file.
    pub(super) fn on_refusal(
        &mut self,
        name: Box<str>,
        version: FileVersion,
        code: ErrorCode,
        text: &str,
    ) {
        if code == ErrorCode::LINE_TOO_LONG
            && let Ok(valid) = FileName::parse(&name)
        {
            let length = version.line_length(valid);
            let is_shortest = |(shortest, _): &(usize, _)| length < *shortest;
            if self.too_long.as_ref().is_none_or(is_shortest) {
                self.too_long = Some((length, text.into()));
            }
        }
        self.insert(name, version, text.into());
    }

    /// Whether the relay would refuse this version of a file.
    pub(super) fn includes(&mut self, name: &FileName<'_>, version: FileVersion) -> bool {
        if self.versions.get(name.as_str()) == Some(&version) {
            return true;
        }
        let Some((shortest, text)) = &self.too_long else {
            return false;
        };
        let is_too_long = version.line_length(name.clone()) >= *shortest;
        if is_too_long {
            let text = text.clone();
            self.insert(name.as_str().into(), version, text);
        }
        is_too_long
    }

    /// The relay has no room for the file, nor for those after it.
    pub(super) fn on_limit(&mut self, name: Box<str>, text: &str) {
        self.example.get_or_insert_with(|| (name, text.into()));
    }

    fn insert(&mut self, name: Box<str>, version: FileVersion, text: Box<str>) {
        self.example.get_or_insert_with(|| (name.clone(), text));
        self.versions.insert(name, version);
    }

    /// The relay lists the file now.
    pub(super) fn remove(&mut self, name: &str) {
        let removed = self.versions.remove(name);
        self.reported -= u64::from(removed.is_some()).min(self.reported);
    }

    /// Forgets the files that are no longer shared.
    pub(super) fn retain_shared(&mut self, share: &mut impl Share) {
        let before = self.len();
        self.versions.retain(|name, _| {
            let mut is_shared = false;
            share.visit_files(name, &mut |file| {
                is_shared = file.name == &**name;
                false
            });
            is_shared
        });
        self.reported = self.reported.saturating_sub(before - self.len());
    }

    /// The relay has a new record, so all files are announced again. Those that it refuses
    /// again are not reported again.
    pub(super) fn clear(&mut self) {
        *self = Self {
            reported: self.reported,
            ..Self::default()
        };
    }

    /// All files were announced: reports those that were refused, once.
    pub(super) fn report(&mut self) {
        let example = self.example.take();
        let count = self.len();
        if count == 0 {
            self.reported = 0;
        }
        // A number that goes up and down is no news.
        if count <= self.reported {
            return;
        }
        self.reported = count;
        if let Some((name, text)) = example {
            let (name, text) = (Escaped::text(&name), Escaped::text(&text));
            match count {
                1 => warn!(target: OPERATOR, "the relay does not list {name}: {text}"),
                _ => warn!(
                    target: OPERATOR,
                    "the relay does not list {count} files, for example {name}: {text}"
                ),
            }
        }
    }
}
