//! The reader against an engine of a few lines.

use std::io::{BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::registry::resp::RespValue;
use crate::registry::{RegistryAccess, RegistryClient};
use crate::relay::shared_directory::RegistryUpdate;

/// Answers as an empty database, until somebody waits for changes.
fn serve(stream: &UnixStream) {
    let mut input = BufReader::new(stream);
    while let Ok(command) = RespValue::read(&mut input) {
        let word = command.list().and_then(|words| words.into_iter().next());
        let word = word.and_then(RespValue::text).expect("a command");
        let reply: &[u8] = match word.as_slice() {
            b"SELECT" | b"SET" => b"+OK\r\n",
            b"GET" => b"$3\r\n1 7\r\n",
            b"XREVRANGE" => b"*0\r\n",
            b"SCAN" => b"*2\r\n$1\r\n0\r\n*0\r\n",
            _ => return,
        };
        let mut output = stream;
        output.write_all(reply).expect("the relay reads");
    }
}

#[test]
fn a_panic_of_the_reader_is_reported_and_it_connects_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("engine");
    let listener = UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || {
        // Two connections each time.
        for stream in listener.incoming().take(4) {
            let stream = stream.expect("a connection");
            thread::spawn(move || serve(&stream));
        }
    });
    let address = format!("unix://{}", path.display());
    let access = RegistryAccess {
        address: address.parse().expect("an address"),
        password: None,
        tls: None,
    };
    let (client, _send) = RegistryClient::new(access);
    let (sender, updates) = mpsc::channel();
    let is_first = AtomicBool::new(true);
    let on_update = move |update| {
        if is_first.swap(false, Ordering::Relaxed) {
            panic!("a fault of the reader");
        }
        // The test ends before the thread.
        let _ = sender.send(update);
    };
    client.start(|| {}, on_update).expect("a thread");
    let error = "an update";
    let reason = "a thread of the registry panicked".to_owned();
    let disconnected = RegistryUpdate::Disconnected(reason);
    assert_eq!(updates.recv().expect(error), disconnected);
    let connected = updates.recv().expect(error);
    assert!(matches!(connected, RegistryUpdate::Connected { .. }));
    assert_eq!(updates.recv().expect(error), RegistryUpdate::Loaded);
}
