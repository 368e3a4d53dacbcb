//! How a task of the client ends. The program turns it into its exit code.

/// The result of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskResult {
    /// Every request was fulfilled.
    Success,
    /// No node has the file, no program listens at the address, or no reply came.
    NotFound,
    /// A command has the wrong form.
    Usage,
    /// The relay could not be reached, or refused the request.
    Relay,
    /// The download failed after a part of the file was printed.
    Incomplete,
    /// The file was not found, and some nodes failed.
    NodesFailed,
    /// The content could not be stored.
    StoreError,
    /// Nodes have several contents under the name, or none has the wanted one.
    SeveralContents,
    /// The user or a signal stopped the task.
    Interrupted,
}

impl TaskResult {
    /// The first failure of a sequence of tasks.
    #[must_use]
    pub fn or(self, later: Self) -> Self {
        if self == Self::Success { later } else { self }
    }
}
