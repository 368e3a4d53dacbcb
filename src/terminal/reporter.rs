//! What the client says about its work: lines for people, or JSON for programs.

use std::fmt;
use std::time::Duration;

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::close_reason::End;
use crate::escaped::Visible;
use crate::jobs::{ErrandId, News, Offer, Question, Trouble};
use crate::protocol::NodeAddress;
use crate::terminal::Voice;
use crate::terminal::listing::address_as_json;

/// Nodes of a list that are shown unasked.
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
pub struct Talk {
    style: Style,
    voice: Voice,
    /// Of several files at once, the first one has it.
    bar: Option<(ErrandId, ProgressBar)>,
    nodes_shown: bool,
}

impl Talk {
    /// Talks in this style, with this voice.
    #[must_use]
    pub fn new(style: Style, voice: Voice) -> Self {
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

    pub(crate) fn voice(&self) -> &Voice {
        &self.voice
    }

    /// A file of this size begins.
    pub(crate) fn begin(&mut self, errand: ErrandId, size: u64) {
        if let (Style::People { progress: true, .. }, None) = (self.style, &self.bar) {
            const TEMPLATE: &str = "{bar:30} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
            let bar = ProgressBar::new(size);
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            self.bar = Some((errand, bar));
        }
    }

    /// A file has ended, one way or the other.
    pub(crate) fn end_of_content(&mut self, errand: ErrandId) {
        if let Some((_, bar)) = self.bar.take_if(|(owner, _)| *owner == errand) {
            bar.finish_and_clear();
        }
    }

    pub(crate) fn tell(&mut self, news: &News<'_>) {
        if let (
            Some((owner, bar)),
            News::Progress {
                errand, received, ..
            },
        ) = (&self.bar, news)
            && owner == errand
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
                News::Sent | News::Fetched { .. } => self.report(news),
                News::NoNodes { name, trouble } => {
                    let name = Visible::text(name.as_str());
                    self.voice.say(format_args!("{name}: {}", no_list(trouble)));
                }
                // Another node is asked. What comes of it is said in the end.
                News::NodeFailed(..) => {}
                news => self.tell_people(news, true),
            },
            Style::People { quiet, .. } => self.tell_people(news, quiet),
        }
    }

    fn tell_people(&mut self, news: &News<'_>, quiet: bool) {
        let voice = &self.voice;
        // What was asked for is said in any case, and so is what went wrong.
        match news {
            News::NotShown(why) => return voice.say(why),
            News::RelayFailed(Question::Nodes | Question::Files(_), trouble)
            | News::NoNodes { trouble, .. } => return voice.say(no_list(trouble)),
            News::RelayFailed(Question::Holders(name), trouble) => {
                let name = Visible::text(name.as_str());
                return voice.say(match trouble {
                    Trouble::NoHolder => format!("{name}: {trouble}"),
                    _ => format!("{name}: {}", no_list(trouble)),
                });
            }
            News::RelayFailed(Question::Message(..), trouble) => {
                let advice = advice(trouble);
                return voice.say(format_args!("not sent by the relay: {trouble}{advice}"));
            }
            News::Missing {
                name,
                nodes,
                failed,
            } => {
                let name = Visible::text(name.as_str());
                return voice.say(match (nodes, failed) {
                    (0, _) => format!("{name}: the relay lists no node"),
                    (_, 0) => format!("{name}: not found, {nodes} asked"),
                    _ => format!("{name}: not found, {failed} of {nodes} could not be asked"),
                });
            }
            News::WhichContent {
                name,
                offers,
                numbered,
            } => return self.which_content(name.as_str(), offers, *numbered),
            News::Incomplete { name, shown, size } => {
                let name = Visible::text(name.as_str());
                return voice.say(format_args!(
                    "{name}: incomplete: {shown} of {size} bytes were printed"
                ));
            }
            News::NotStored { name, why } => {
                return voice.say(format_args!("{}: {why}", Visible::text(name.as_str())));
            }
            News::Wrong(why) => return voice.say(Visible::text(why)),
            News::Surplus { word, line } => {
                let line = Visible::text(line);
                return voice.say(format_args!(
                    "{word} takes nothing; get {line} fetches a file of that name"
                ));
            }
            News::NotHere(word) => {
                return voice.say(format_args!(
                    "{word}: only the console of a node can; get {word} fetches a file of that name"
                ));
            }
            News::Note(text) => return voice.say(Visible::text(text)),
            News::Help(text) => return voice.say(text),
            News::NodeFailed(node, trouble) => {
                return voice.say(format_args!("  {}: {trouble}", place(*node)));
            }
            News::NotListening(trouble) => {
                let advice = advice(trouble);
                return voice.say(format_args!(
                    "no messages arrive from the relay: {trouble}{advice}"
                ));
            }
            News::NobodyYet => {
                return voice.say("not sent: nobody has written yet, and no address was given");
            }
            News::NoAnswer(wait) => {
                return voice.say(format_args!("no answer in {} s", wait.as_secs_f64()));
            }
            News::Sent
            | News::Listening(_)
            | News::Nodes(_)
            | News::Asking { .. }
            | News::NotFound(_)
            | News::Found { .. }
            | News::Progress { .. }
            | News::Fetched { .. } => {}
        }
        if !quiet {
            self.report(news);
        }
    }

    /// How the work goes on.
    fn report(&mut self, news: &News<'_>) {
        let voice = &self.voice;
        match news {
            News::Nodes(nodes) => {
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
            News::Sent => voice.say("sent"),
            News::Listening(address) => {
                voice.say(format_args!("you are reached at {}", place(*address)));
            }
            News::Asking {
                number, of, node, ..
            } => voice.say(format_args!(
                "asking node {number} of {of}: {}",
                place(*node)
            )),
            News::NotFound(_) => voice.say("  not found there"),
            News::Found { size, .. } => voice.say(format_args!("  found: {}", DecimalBytes(*size))),
            News::Fetched {
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
                    Visible::text(name.as_str()),
                    DecimalBytes(*size),
                    Took(*took),
                    DecimalBytes(rate(*size, *took)),
                    place(*node)
                ));
            }
            News::NotShown(_)
            | News::NotListening(_)
            | News::NobodyYet
            | News::NoAnswer(_)
            | News::Surplus { .. }
            | News::RelayFailed(..)
            | News::NoNodes { .. }
            | News::NodeFailed(..)
            | News::Progress { .. }
            | News::Missing { .. }
            | News::WhichContent { .. }
            | News::Incomplete { .. }
            | News::NotStored { .. }
            | News::Wrong(_)
            | News::NotHere(_)
            | News::Note(_)
            | News::Help(_) => {}
        }
    }

    fn which_content(&self, name: &str, offers: &[Offer], numbered: bool) {
        let voice = &self.voice;
        let name = Visible::text(name);
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

fn no_list(trouble: &Trouble<'_>) -> String {
    let advice = advice(trouble);
    format!("the relay gives no list: {trouble}{advice}")
}

/// What to do if the relay did not even say what is wrong.
fn advice(trouble: &Trouble<'_>) -> &'static str {
    match trouble {
        Trouble::Ended(end) if !matches!(end, End::Replaced) => {
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

fn as_json(news: &News<'_>) -> Option<Value> {
    Some(match news {
        News::RelayFailed(Question::Holders(name), Trouble::NoHolder) => {
            json!({"name": name.as_str(), "error": "not found"})
        }
        News::RelayFailed(Question::Message(..), trouble) => {
            json!({"error": "not sent", "why": trouble.to_string()})
        }
        News::RelayFailed(_, trouble) | News::NoNodes { trouble, .. } => {
            json!({"error": "relay", "why": trouble.to_string()})
        }
        News::Fetched {
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
        News::Missing {
            name,
            nodes,
            failed,
        } => json!({
            "name": name.as_str(),
            "error": "not found",
            "nodes": nodes,
            "failed": failed,
        }),
        News::WhichContent { name, offers, .. } => json!({
            "name": name.as_str(),
            "error": "which content",
            "hashes": offers.iter().map(|offer| offer.hash.to_string()).collect::<Vec<_>>(),
        }),
        News::Incomplete { name, shown, size } => json!({
            "name": name.as_str(),
            "error": "incomplete",
            "shown": shown,
            "size": size,
        }),
        News::NotStored { name, why } => json!({
            "name": name.as_str(),
            "error": "not stored",
            "why": why.to_string(),
        }),
        News::NotShown(why) => json!({"error": "not shown", "why": why.to_string()}),
        News::Surplus { word, .. } => json!({"error": "unknown command", "why": word}),
        News::Wrong(why) => json!({"error": "wrong command", "why": why}),
        News::Sent => json!({"sent": true}),
        News::NotHere(word) => json!({"error": "unknown command", "why": word}),
        News::Listening(address) => json!({"listening": address_as_json(*address)}),
        News::NotListening(trouble) => {
            json!({"error": "not listening", "why": trouble.to_string()})
        }
        News::NobodyYet => json!({"error": "nobody has written yet"}),
        News::NoAnswer(_) => json!({"error": "no answer"}),
        News::Nodes(_)
        | News::Asking { .. }
        | News::NotFound(_)
        | News::NodeFailed(..)
        | News::Found { .. }
        | News::Progress { .. }
        | News::Note(_)
        | News::Help(_) => return None,
    })
}
