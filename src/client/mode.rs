//! What a client is started for, and what it is doing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::chat::Chat;
use crate::jobs::{Choices, PromptKind, Query};
use crate::protocol::{ContentHash, FileName, NodeAddress, Text};

/// The task of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// See whether the relay is there, then execute the user's commands.
    Prompt,
    /// Show the answer to a query.
    Query(Query),
    /// Fetch these files; with a hash, only the content that has it.
    Get(VecDeque<FileName<'static>>, Option<ContentHash>),
    /// Send a message, and show the messages that arrive in this time.
    SendAndWait(NodeAddress, Text<'static>, Duration),
    /// Chat with this node, or with the last sender, and show messages for this time
    /// after the end of input.
    Chat(Option<NodeAddress>, Duration),
}

/// What a client is doing from its start to its end.
pub(super) enum Mode {
    /// It executes the user's commands one by one.
    Prompt {
        /// Whether the relay was there at the start.
        is_ready: bool,
        choices: Choices,
        /// The chat that the last command started.
        chat: Option<Box<Chat>>,
    },
    /// It waits for the answer to one query.
    Query(Query),
    /// It fetches files.
    Get {
        /// The files that are not fetched yet.
        names: VecDeque<FileName<'static>>,
        hash: Option<ContentHash>,
        choices: Choices,
    },
    /// It sends and receives messages.
    Chat(Box<Chat>),
}

impl Mode {
    /// The mode for a task. `relay` is not empty.
    pub(super) fn new(task: Task, relay: &[SocketAddr]) -> Self {
        match task {
            Task::Prompt => Self::Prompt {
                is_ready: false,
                choices: Choices::default(),
                chat: None,
            },
            Task::Query(query) => Self::Query(query),
            Task::Get(names, hash) => Self::Get {
                names,
                hash,
                choices: Choices::default(),
            },
            Task::SendAndWait(to, text, wait) => {
                Self::Chat(Chat::with_message(relay.to_vec(), to, text, wait).into())
            }
            Task::Chat(to, wait) => Self::Chat(Chat::new(relay.to_vec(), to, wait).into()),
        }
    }

    /// The chat that is going on.
    pub(super) fn chat(&self) -> Option<&Chat> {
        match self {
            Self::Prompt { chat, .. } => chat.as_deref(),
            Self::Chat(chat) => Some(chat),
            Self::Query(_) | Self::Get { .. } => None,
        }
    }

    /// The chat that is going on.
    pub(super) fn chat_mut(&mut self) -> Option<&mut Chat> {
        match self {
            Self::Prompt { chat, .. } => chat.as_deref_mut(),
            Self::Chat(chat) => Some(chat),
            Self::Query(_) | Self::Get { .. } => None,
        }
    }

    /// The choices that the user is to make.
    pub(super) fn choices_mut(&mut self) -> Option<&mut Choices> {
        match self {
            Self::Prompt { choices, .. } | Self::Get { choices, .. } => Some(choices),
            Self::Query(_) | Self::Chat(_) => None,
        }
    }

    /// The kind of the line that the user is to type next.
    pub(super) fn prompt_kind(&self) -> PromptKind {
        match (self.chat(), self) {
            (Some(chat), _) => chat.prompt_kind(),
            (None, Self::Prompt { choices, .. } | Self::Get { choices, .. }) => {
                choices.prompt_kind()
            }
            (None, Self::Query(_) | Self::Chat(_)) => PromptKind::Command,
        }
    }
}
