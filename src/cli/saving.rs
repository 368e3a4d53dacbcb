//! The loop of a client, beside the thread that saves many small files.

use std::thread::JoinHandle;

use crate::cli::StartupError;
use crate::client::Client;
use crate::download::FileWriterThread;
use crate::jobs::{TaskResult, TerminalEvent};
use crate::reactor::{LoopOutcome, Reactor};

/// Runs the loop until the client is done, and the thread, if there is one, until all files
/// are saved.
pub(super) fn run(
    reactor: Reactor<Client>,
    writer: Option<FileWriterThread>,
) -> Result<(TaskResult, LoopOutcome), StartupError> {
    let handle = reactor.handle();
    let on_results = move || handle.send(TerminalEvent::FilesCommitted.into());
    let thread = writer
        .map(|writer| writer.start(on_results))
        .transpose()
        .map_err(StartupError::system("cannot start a thread"))?;
    let (client, outcome) = reactor.run().map_err(StartupError::system("poll"))?;
    let result = client.result();
    // The thread ends when the client is gone. It has reported its failures to the loop.
    drop(client);
    thread.map(JoinHandle::join);
    Ok((result, outcome))
}
