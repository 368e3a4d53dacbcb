//! The rights that a server keeps after its start.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, getpid, kill_process, test_kill_process};

use peerline::sandbox::{Enforcement, Sandbox};

use crate::support::{Server, ask, eventually, folder, node_command, relay, relay_command};

/// Runs `tries` in a thread that has entered a sandbox. Other tests keep their rights.
/// Without Landlock in the kernel, there is nothing to try.
fn in_sandbox(sandbox: Sandbox, tries: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let body = || match sandbox.enter().expect("the rules are valid") {
            Enforcement::Full => tries(),
            old => eprintln!("not tried: {old}"),
        };
        scope.spawn(body).join().expect("the thread has not failed");
    });
}

#[track_caller]
fn assert_denied<T>(result: std::io::Result<T>) {
    let error = result.err().expect("it is denied");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn without_rights_no_file_opens_and_no_connection() {
    let home = folder(&[("file", b"content")]);
    let file = home.path().join("file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let readable = Some(Vec::new());
    in_sandbox(
        Sandbox {
            readable,
            ..Sandbox::default()
        },
        || {
            assert_denied(File::open(&file));
            assert_denied(File::open("/etc/passwd"));
            assert_denied(fs::read_dir(home.path()));
            assert_denied(fs::write(home.path().join("new"), ""));
            assert_denied(fs::remove_file(&file));
            assert_denied(std::net::TcpStream::connect(address));
            assert_denied(TcpListener::bind("127.0.0.1:0"));
        },
    );
    assert_eq!(fs::read(&file).expect("this thread may"), b"content");
}

#[test]
fn programs_outside_of_the_sandbox_get_neither_connections_nor_signals() {
    let name = format!("peerline-sandbox-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let _listener = UnixListener::bind_addr(&address).expect("a free name");
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn();
    let other = other.as_mut().expect("it starts");
    let other_pid = Pid::from_child(other);
    in_sandbox(Sandbox::default(), || {
        assert_denied(UnixStream::connect_addr(&address));
        assert_denied(kill_process(other_pid, Signal::TERM).map_err(Into::into));
        test_kill_process(getpid()).expect("it is the own process");
    });
    let sandbox = Sandbox {
        may_signal: true,
        ..Sandbox::default()
    };
    in_sandbox(sandbox, || {
        assert_denied(UnixStream::connect_addr(&address));
        test_kill_process(other_pid).expect("it is allowed");
    });
    drop(other.stdin.take());
    let status = other.wait().expect("the input has ended");
    assert!(status.success(), "{status}");
}

#[test]
fn only_the_ports_of_the_sandbox_can_be_connected_to() {
    let listeners = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [engine, other] = listeners.each_ref().map(TcpListener::local_addr);
    let (engine, other) = (engine.expect("it is bound"), other.expect("it is bound"));
    let sandbox = Sandbox {
        readable: Some(Vec::new()),
        connect_ports: vec![engine.port()],
        ..Sandbox::default()
    };
    in_sandbox(sandbox, || {
        TcpStream::connect(engine).expect("it is allowed");
        assert_denied(TcpStream::connect(other));
        assert_denied(TcpListener::bind("127.0.0.1:0"));
    });
}

#[test]
fn a_readable_folder_is_readable_with_all_below_and_nothing_else() {
    let home = folder(&[("share/sub/file", b"content"), ("secret", b"")]);
    let (share, cache) = (home.path().join("share"), home.path().join("cache"));
    fs::create_dir(&cache).expect("a new folder");
    symlink(home.path().join("secret"), share.join("link")).expect("a new link");
    let sandbox = Sandbox {
        readable: Some(vec![share.clone(), home.path().join("none")]),
        writable: vec![cache.clone()],
        has_network: true,
        ..Sandbox::default()
    };
    in_sandbox(sandbox, || {
        assert_eq!(fs::read(share.join("sub/file")).expect("below"), b"content");
        assert_eq!(fs::read_dir(&share).expect("readable").count(), 2);
        assert_denied(File::open(share.join("link")));
        assert_denied(File::open(home.path().join("secret")));
        assert_denied(File::options().append(true).open(share.join("sub/file")));
        assert_denied(fs::write(share.join("new"), ""));
        fs::write(cache.join("hashes"), "1").expect("writable");
        fs::rename(cache.join("hashes"), cache.join("new")).expect("writable");
        assert_eq!(fs::read(cache.join("new")).expect("readable"), b"1");
        TcpListener::bind("127.0.0.1:0").expect("the network is open");
    });
}

#[test]
fn with_all_files_readable_only_writing_is_restricted() {
    let home = folder(&[("share/file", b"content"), ("other", b"other")]);
    let share = home.path().join("share");
    let writable = vec![share.clone()];
    let sandbox = Sandbox {
        writable,
        has_network: true,
        ..Sandbox::default()
    };
    in_sandbox(sandbox, || {
        assert_eq!(
            fs::read(home.path().join("other")).expect("readable"),
            b"other"
        );
        assert_denied(fs::write(home.path().join("other"), ""));
        assert_denied(fs::remove_file(home.path().join("other")));
        fs::write(share.join("new"), "").expect("writable");
        fs::remove_file(share.join("new")).expect("writable");
    });
}

/// Whether the process has given up rights.
fn is_restricted(server: &Server) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()));
    status.expect("a process").contains("NoNewPrivs:\t1")
}

#[test]
fn the_servers_enter_their_sandboxes_unless_told_not_to() {
    let share = folder(&[("file", b"content")]);
    let relay_server = relay(&[]);
    let node = Server::start(node_command(relay_server.address(), share.path(), &[]));
    for server in [&relay_server, &node] {
        let log = server.log_until("sandbox: ");
        assert_eq!(
            is_restricted(server),
            !log.contains("not available"),
            "{log}"
        );
    }
    for server in [
        Server::start(relay_command(&["--no-sandbox"])),
        Server::start(node_command(
            relay_server.address(),
            share.path(),
            &["--no-sandbox"],
        )),
    ] {
        assert!(!is_restricted(&server) && !server.log().contains("sandbox"));
    }
    assert_eq!(ask(node.address(), b"GET file\n"), "FOUND 7\ncontent");
}

/// A node in its sandbox still does everything that it does later than its start: it keeps
/// hashes in a new folder, opens its log anew, and shares new files and folders.
#[test]
fn a_node_in_its_sandbox_lacks_nothing() {
    let home = folder(&[("share/file", b"content")]);
    let path = |name: &str| home.path().join(name).display().to_string();
    let relay = relay(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command.current_dir(home.path()).env("HOME", home.path());
    // The name is resolved, and resolved again when the relay is gone.
    command.args(["localhost", &relay.address().port().to_string()]);
    command.args(["--share", "share", "--hash-cache", "new/deep/hashes"]);
    command.args(["--log-file", &path("log"), "--listen", "127.0.0.1"]);
    let node = Server::start(command);
    let shared = |name: &str| ask(node.address(), format!("STAT {name}\n").as_bytes());
    eventually("the hash is known", || !shared("file").contains(" - "));
    let cache = Path::new(&path("new/deep/hashes")).to_owned();
    eventually("the file of hashes is there", || cache.exists());
    fs::create_dir(path("share/sub")).expect("a new folder");
    fs::write(path("share/sub/new"), "new").expect("a new file");
    eventually("it is shared", || {
        ask(node.address(), b"GET sub/new\n") == "FOUND 3\nnew"
    });
    fs::rename(path("log"), path("log.1")).expect("the log is rotated");
    eventually("the log is new", || {
        shared("file");
        fs::read_to_string(path("log")).is_ok_and(|log| log.contains("last STAT"))
    });
}
