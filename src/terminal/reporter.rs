//! What the client says about its work: lines for people, or JSON for programs.

use std::fmt;
use std::time::Duration;

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::jobs::{Failure, JobId, Offer, Query, UserEvent};
use crate::protocol::NodeAddress;
use crate::terminal::TerminalOutput;
use crate::terminal::listing::address_as_json;

/// Nodes of a list that are shown unsolicited.
const SHOWN_NODES: usize = 16;

/// How to talk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Lines on stderr.
    People {
        /// Only what went wrong.
        quiet: bool,
        /// A progress bar, if stderr is a terminal.
        progress: bool,
    },
    /// Results, and one line at the end of each file: there may be several at once.
    Console,
    /// One JSON object a result.
    Json {
        /// On stdout, as no content goes there; else on stderr.
        on_stdout: bool,
    },
}

/// Says what happens.
pub struct Reporter {
    style: Style,
    voice: TerminalOutput,
    /// Of several files at once, the first one has it.
    bar: Option<(JobId, ProgressBar)>,
    nodes_shown: bool,
}

impl Reporter {
    /// Talks in this style, with this voice.
    #[must_use]
    pub fn new(style: Style, voice: TerminalOutput) -> Self {
        Self {
            style,
            voice,
            bar: None,
            nodes_shown: false,
        }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    pub(crate) fn voice(&self) -> &TerminalOutput {
        &self.voice
    }

    /// A file of this size begins.
    pub(crate) fn open(&mut self, job: JobId, size: u64) {
        if let (Style::People { progress: true, .. }, None) = (self.style, &self.bar) {
            const TEMPLATE: &str = "{bar:30} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
            let bar = ProgressBar::new(size);
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            self.bar = Some((job, bar));
        }
    }

    /// A file has ended, one way or the other.
    pub(crate) fn end_of_content(&mut self, job: JobId) {
        if let Some((_, bar)) = self.bar.take_if(|(owner, _)| *owner == job) {
            bar.finish_and_clear();
        }
    }

    pub(crate) fn tell(&mut self, news: &UserEvent<'_>) {
        if let (Some((owner, bar)), UserEvent::Progress { job, received, .. }) = (&self.bar, news)
            && owner == job
        {
            bar.set_position(*received);
        }
        match self.style {
            Style::Json { on_stdout } => {
                if let Some(value) = as_json(news) {
                    if on_stdout {
                        self.voice.show(value);
                    } else {
                        self.voice.say(value);
                    }
                }
            }
            Style::Console => match news {
                UserEvent::Sent | UserEvent::Fetched { .. } => self.report(news),
                UserEvent::NoNodes { name, trouble } => {
                    let name = Escaped::text(name.as_str());
                    self.voice.say(format_args!("{name}: {}", no_list(trouble)));
                }
                // Another node is asked. What comes of it is said in the end.
                UserEvent::NodeFailed(..) => {}
                news => self.tell_people(news, true),
            },
            Style::People { quiet, .. } => self.tell_people(news, quiet),
        }
    }

    fn tell_people(&mut self, news: &UserEvent<'_>, quiet: bool) {
        let voice = &self.voice;
        // What was asked for is said in any case, and so is what went wrong.
        match news {
            UserEvent::NotShown(why) => return voice.say(why),
            UserEvent::RelayFailed(Query::Nodes | Query::Files(_), trouble)
            | UserEvent::NoNodes { trouble, .. } => return voice.say(no_list(trouble)),
            UserEvent::RelayFailed(Query::Holders(name), trouble) => {
                let name = Escaped::text(name.as_str());
                return voice.say(match trouble {
                    Failure::NoHolder => format!("{name}: {trouble}"),
                    _ => format!("{name}: {}", no_list(trouble)),
                });
            }
            UserEvent::RelayFailed(Query::Message(..), trouble) => {
                let advice = advice(trouble);
                return voice.say(format_args!("not sent by the relay: {trouble}{advice}"));
            }
            UserEvent::Missing {
                name,
                nodes,
                failed,
            } => {
                let name = Escaped::text(name.as_str());
                return voice.say(match (nodes, failed) {
                    (0, _) => format!("{name}: the relay lists no node"),
                    (_, 0) => format!("{name}: not found, {nodes} asked"),
                    _ => format!("{name}: not found, {failed} of {nodes} could not be asked"),
                });
            }
            UserEvent::WhichContent {
                name,
                offers,
                numbered,
            } => return self.which_content(name.as_str(), offers, *numbered),
            UserEvent::Incomplete { name, shown, size } => {
                let name = Escaped::text(name.as_str());
                return voice.say(format_args!(
                    "{name}: incomplete: {shown} of {size} bytes were printed"
                ));
            }
            UserEvent::StoreError { name, why } => {
                return voice.say(format_args!("{}: {why}", Escaped::text(name.as_str())));
            }
            UserEvent::Wrong(why) => return voice.say(Escaped::text(why)),
            UserEvent::Surplus { word, line } => {
                let line = Escaped::text(line);
                return voice.say(format_args!(
                    "{word} takes nothing; get {line} fetches a file of that name"
                ));
            }
            UserEvent::NotHere(word) => {
                return voice.say(format_args!(
                    "{word}: only the console of a node can; get {word} fetches a file of that name"
                ));
            }
            UserEvent::Note(text) => return voice.say(Escaped::text(text)),
            UserEvent::Help(text) => return voice.say(text),
            UserEvent::NodeFailed(node, trouble) => {
                return voice.say(format_args!("  {}: {trouble}", place(*node)));
            }
            UserEvent::NotListening(trouble) => {
                let advice = advice(trouble);
                return voice.say(format_args!(
                    "no messages arrive from the relay: {trouble}{advice}"
                ));
            }
            UserEvent::NobodyYet => {
                return voice.say("not sent: nobody has written yet, and no address was given");
            }
            UserEvent::NoAnswer(wait) => {
                return voice.say(format_args!("no answer in {} s", wait.as_secs_f64()));
            }
            UserEvent::Sent
            | UserEvent::Listening(_)
            | UserEvent::Nodes(_)
            | UserEvent::RelayQuery { .. }
            | UserEvent::NotFound(_)
            | UserEvent::Found { .. }
            | UserEvent::Progress { .. }
            | UserEvent::Fetched { .. } => {}
        }
        if !quiet {
            self.report(news);
        }
    }

    /// How the work goes on.
    fn report(&mut self, news: &UserEvent<'_>) {
        let voice = &self.voice;
        match news {
            UserEvent::Nodes(nodes) => {
                let plural = if nodes.len() == 1 { "" } else { "s" };
                voice.say(format_args!("the relay lists {} node{plural}", nodes.len()));
                if !std::mem::replace(&mut self.nodes_shown, true) {
                    for (index, node) in nodes.iter().take(SHOWN_NODES).enumerate() {
                        voice.say(format_args!("  node {}: {}", index + 1, place(*node)));
                    }
                    if nodes.len() > SHOWN_NODES {
                        voice.say(format_args!("  and {} more", nodes.len() - SHOWN_NODES));
                    }
                }
            }
            UserEvent::Sent => voice.say("sent"),
            UserEvent::Listening(address) => {
                voice.say(format_args!("you are reached at {}", place(*address)));
            }
            UserEvent::RelayQuery {
                number, of, node, ..
            } => voice.say(format_args!(
                "asking node {number} of {of}: {}",
                place(*node)
            )),
            UserEvent::NotFound(_) => voice.say("  not found there"),
            UserEvent::Found { size, .. } => {
                voice.say(format_args!("  found: {}", DecimalBytes(*size)))
            }
            UserEvent::Fetched {
                name,
                node,
                size,
                took,
            } => {
                if self.style != Style::Console {
                    voice.say(format_args!("  received {size} bytes, 0 remaining"));
                }
                voice.say(format_args!(
                    "{}: {} in {} ({}/s) from {}",
                    Escaped::text(name.as_str()),
                    DecimalBytes(*size),
                    Took(*took),
                    DecimalBytes(rate(*size, *took)),
                    place(*node)
                ));
            }
            UserEvent::NotShown(_)
            | UserEvent::NotListening(_)
            | UserEvent::NobodyYet
            | UserEvent::NoAnswer(_)
            | UserEvent::Surplus { .. }
            | UserEvent::RelayFailed(..)
            | UserEvent::NoNodes { .. }
            | UserEvent::NodeFailed(..)
            | UserEvent::Progress { .. }
            | UserEvent::Missing { .. }
            | UserEvent::WhichContent { .. }
            | UserEvent::Incomplete { .. }
            | UserEvent::StoreError { .. }
            | UserEvent::Wrong(_)
            | UserEvent::NotHere(_)
            | UserEvent::Note(_)
            | UserEvent::Help(_) => {}
        }
    }

    fn which_content(&self, name: &str, offers: &[Offer], numbered: bool) {
        let voice = &self.voice;
        let name = Escaped::text(name);
        if offers.is_empty() {
            return voice.say(format_args!("{name}: no node has announced that content"));
        }
        if numbered {
            voice.say(format_args!(
                "{name}: choose a content by its number, or none by an empty line"
            ));
        } else {
            voice.say(format_args!(
                "{name}: choose a content with get --hash HASH {name}"
            ));
        }
        for (index, offer) in offers.iter().enumerate() {
            let plural = if offer.nodes == 1 { "" } else { "s" };
            let (hash, size, nodes) = (offer.hash, DecimalBytes(offer.size), offer.nodes);
            let number = match numbered {
                true => format!("{}: ", index + 1),
                false => String::new(),
            };
            voice.say(format_args!(
                "  {number}{hash}  {size}, {nodes} node{plural}"
            ));
        }
    }
}

fn no_list(trouble: &Failure<'_>) -> String {
    let advice = advice(trouble);
    format!("the relay gives no list: {trouble}{advice}")
}

/// What to do if the relay did not even say what is wrong.
fn advice(trouble: &Failure<'_>) -> &'static str {
    match trouble {
        Failure::Ended(end) if !matches!(end, CloseReason::Replaced) => {
            "; is it running, and is the address right?"
        }
        _ => "",
    }
}

fn place(node: NodeAddress) -> String {
    format!("{} port {}", node.ip(), node.port())
}

/// Bytes a second.
fn rate(size: u64, took: Duration) -> u64 {
    (size as f64 / took.as_secs_f64().max(1e-6)) as u64
}

/// A time for people: `0.8 ms`, `3.2 s`.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 1.0 {
            write!(f, "{:.1} ms", seconds * 1000.0)
        } else {
            write!(f, "{seconds:.1} s")
        }
    }
}

fn as_json(news: &UserEvent<'_>) -> Option<Value> {
    Some(match news {
        UserEvent::RelayFailed(Query::Holders(name), Failure::NoHolder) => {
            json!({"name": name.as_str(), "error": "not found"})
        }
        UserEvent::RelayFailed(Query::Message(..), trouble) => {
            json!({"error": "not sent", "why": trouble.to_string()})
        }
        UserEvent::RelayFailed(_, trouble) | UserEvent::NoNodes { trouble, .. } => {
            json!({"error": "relay", "why": trouble.to_string()})
        }
        UserEvent::Fetched {
            name,
            node,
            size,
            took,
        } => json!({
            "name": name.as_str(),
            "size": size,
            "ip": node.ip().to_string(),
            "port": node.port().get(),
            "seconds": took.as_secs_f64(),
        }),
        UserEvent::Missing {
            name,
            nodes,
            failed,
        } => json!({
            "name": name.as_str(),
            "error": "not found",
            "nodes": nodes,
            "failed": failed,
        }),
        UserEvent::WhichContent { name, offers, .. } => json!({
            "name": name.as_str(),
            "error": "which content",
            "hashes": offers.iter().map(|offer| offer.hash.to_string()).collect::<Vec<_>>(),
        }),
        UserEvent::Incomplete { name, shown, size } => json!({
            "name": name.as_str(),
            "error": "incomplete",
            "shown": shown,
            "size": size,
        }),
        UserEvent::StoreError { name, why } => json!({
            "name": name.as_str(),
            "error": "not stored",
            "why": why.to_string(),
        }),
        UserEvent::NotShown(why) => json!({"error": "not shown", "why": why.to_string()}),
        UserEvent::Surplus { word, .. } => json!({"error": "unknown command", "why": word}),
        UserEvent::Wrong(why) => json!({"error": "wrong command", "why": why}),
        UserEvent::Sent => json!({"sent": true}),
        UserEvent::NotHere(word) => json!({"error": "unknown command", "why": word}),
        UserEvent::Listening(address) => json!({"listening": address_as_json(*address)}),
        UserEvent::NotListening(trouble) => {
            json!({"error": "not listening", "why": trouble.to_string()})
        }
        UserEvent::NobodyYet => json!({"error": "nobody has written yet"}),
        UserEvent::NoAnswer(_) => json!({"error": "no answer"}),
        UserEvent::Nodes(_)
        | UserEvent::RelayQuery { .. }
        | UserEvent::NotFound(_)
        | UserEvent::NodeFailed(..)
        | UserEvent::Found { .. }
        | UserEvent::Progress { .. }
        | UserEvent::Note(_)
        | UserEvent::Help(_) => return None,
    })
}
