//! An engine for tests that gives fixed answers.

use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex};

use crate::registry::connection::{EngineConnection, REPLY_TIMEOUT};

/// A connection to such an engine.
pub(super) struct ScriptedEngine {
    pub(super) connection: EngineConnection,
    written: Arc<Mutex<Vec<u8>>>,
}

/// A stream that answers in this way, and keeps what is written.
struct ScriptedStream(Cursor<Vec<u8>>, Arc<Mutex<Vec<u8>>>);

impl ScriptedEngine {
    pub(super) fn new(replies: &[u8]) -> Self {
        let written = Arc::default();
        let stream = ScriptedStream(Cursor::new(replies.to_vec()), Arc::clone(&written));
        let connection = EngineConnection::over(Box::new(stream), REPLY_TIMEOUT);
        Self {
            connection,
            written,
        }
    }

    /// What was written to the engine.
    pub(super) fn written(&self) -> String {
        let written = self.written.lock().expect("no panic").clone();
        String::from_utf8(written).expect("a text")
    }
}

impl Read for ScriptedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for ScriptedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
