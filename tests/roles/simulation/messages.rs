//! The messages through the relay: a message that is accepted is delivered once, to the
//! connection that listens at its address, and nobody gets another.

use std::collections::BTreeMap;

use peerline::protocol::Delivery;

use super::checked_relay::ClientState;
use super::model::ModelClient;

#[derive(Default)]
pub struct Messages {
    /// The connections that listen, by `ip port`.
    listeners: BTreeMap<String, u32>,
    /// The deliveries since the last check: the connection and the text.
    delivered: Vec<(u32, String)>,
    expected: Vec<(u32, String)>,
}

/// The text of messages that strangers send. The model does not know when.
const OF_STRANGERS: &str = "stranger";

impl Messages {
    /// Whether a request is about messages.
    pub fn is_about(line: &str) -> bool {
        line.starts_with("LISTEN") || line.starts_with("SEND ")
    }

    /// Reads what the relay has sent to a client.
    pub fn read(&mut self, to: u32, state: &mut ClientState, bytes: &[u8]) {
        if state.is_opaque() {
            state.replies.read(bytes);
            let (replies, lines) = (state.replies.replies(), state.lines);
            assert!(replies <= lines + 1, "{replies} replies to {lines} lines");
            return;
        }
        let text = std::str::from_utf8(bytes).expect("replies are text");
        for line in text.lines() {
            if let Some(delivery) = Delivery::parse(line) {
                if delivery.text.as_str() != OF_STRANGERS {
                    self.delivered.push((to, delivery.text.to_string()));
                }
            } else if line.starts_with("ERROR 409 ") {
                // Another connection listens in place of this one.
                self.close(to);
            } else {
                state.answers.push_back(line.to_owned());
            }
        }
    }

    /// Checks the reply to a request about messages.
    pub fn check(&mut self, number: u32, client: &ModelClient, line: &str, answer: &str) {
        match line.strip_prefix("SEND ") {
            None => {
                if let Some(address) = answer.strip_prefix("OK ") {
                    let own = client.addresses();
                    assert!(
                        own.iter().any(|own| own == address),
                        "{address} is not in {own:?}"
                    );
                    self.close(number);
                    self.listeners.insert(address.to_owned(), number);
                }
            }
            Some(message) => {
                let mut fields = message.splitn(3, ' ');
                let mut field = || fields.next().expect("ip, port and text");
                let address = format!("{} {}", field(), field());
                let text = field().to_owned();
                let listener = self.listeners.get(&address).copied();
                // Nodes on loopback are hidden from clients elsewhere.
                let is_hidden = address.starts_with("127.") && !client.ip.is_loopback();
                match (answer, listener) {
                    ("OK", Some(listener)) => self.expected.push((listener, text)),
                    ("OK", None) => panic!("{line}: nobody listens there"),
                    (answer, Some(_)) if answer.starts_with("ERROR 404 ") => {
                        assert!(is_hidden, "{line}: {answer}");
                    }
                    (answer, _) => assert!(answer.starts_with("ERROR 4"), "{line}: {answer}"),
                }
            }
        }
    }

    /// A connection is closed.
    pub fn close(&mut self, number: u32) {
        self.listeners.retain(|_, listener| *listener != number);
    }

    pub fn assert_all_delivered(&mut self) {
        assert_eq!(self.delivered, self.expected);
        self.delivered.clear();
        self.expected.clear();
    }
}
