//! How a task of the user has ended.

/// The result of a task. The program turns it into its exit code. The result of several
/// tasks is the worst of them: a later variant is worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TaskResult {
    /// Every request was fulfilled.
    Success,
    /// A command has the wrong form.
    Usage,
    /// No node has the file, no program listens at the address, or no reply came.
    NotFound,
    /// The file was not found, or not all files of a folder or glob, and some nodes or relays
    /// failed.
    NodesFailed,
    /// The download failed after a part of the file was printed or saved.
    Incomplete,
    /// Nodes have several contents under the name, or none has sent the right one.
    SeveralContents,
    /// What was printed has another hash than the node had announced.
    WrongContent,
    /// The content could not be stored.
    StoreError,
    /// The content could not be stored, because the disk is full: no further one can be.
    DiskFull,
    /// The relay could not be reached, or refused the request.
    Relay,
    /// The user or a signal stopped the task.
    Interrupted,
}
