//! The servers as services: reports to the service manager, and the unit files.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;

use crate::support::{
    DEADLINE, Server, ask, eventually, folder, node_command, relay, relay_command,
};

/// A service manager's socket, with a deadline.
fn service_manager(address: &SocketAddr) -> UnixDatagram {
    let socket = UnixDatagram::bind_addr(address).expect("a free name");
    let deadline = socket.set_read_timeout(Some(DEADLINE));
    deadline.expect("a deadline is possible");
    socket
}

fn report(manager: &UnixDatagram) -> String {
    let mut report = [0; 1000];
    let length = manager.recv(&mut report).expect("a report arrives");
    String::from_utf8(report[..length].to_vec()).expect("reports are text")
}

#[test]
fn a_relay_reports_that_it_is_ready_and_that_it_stops() {
    let home = folder(&[]);
    let path = home.path().join("notify").display().to_string();
    let abstract_name = format!("@peerline-relay-{}", std::process::id());
    for name in [&path, &abstract_name] {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        reports_to(&address.expect("a short name"), name);
    }
}

fn reports_to(address: &SocketAddr, name: &str) {
    let manager = service_manager(address);
    let mut command = relay_command(&[]);
    command.env("NOTIFY_SOCKET", name);
    let mut relay = Server::start(command);
    assert_eq!(report(&manager), "READY=1");
    // It accepts connections by then.
    assert_eq!(relay.stat("nodes"), 0);
    assert_eq!(relay.stop(), Some(0));
    assert_eq!(report(&manager), "STOPPING=1");
}

#[test]
fn a_node_reports_its_registration_to_an_abstract_socket() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let name = format!("peerline-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let manager = service_manager(&address);
    let mut command = node_command(relay.address(), share.path(), &[]);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let mut node = Server::start(command);
    assert_eq!(report(&manager), "READY=1");
    let registered = format!("STATUS=registered as {}, lease 60 s", node.wire_address());
    assert_eq!(report(&manager), registered);
    assert_eq!(node.stop(), Some(0));
    assert_eq!(report(&manager), "STOPPING=1");
    assert_eq!(report(&manager), "STATUS=unregistered");
}

/// Takes what is in the queue, up to a report.
fn take_until(manager: &UnixDatagram, expected: &str) {
    while report(manager) != expected {}
}

/// Other services may fill the queue of the service manager (`net.unix.max_dgram_qlen`).
#[test]
fn a_report_waits_for_a_service_manager_that_is_busy() {
    let home = folder(&[]);
    let path = home.path().join("notify");
    let address = SocketAddr::from_pathname(&path).expect("a short path");
    let manager = service_manager(&address);
    let other = UnixDatagram::unbound().expect("a socket");
    other.connect(&path).expect("it is bound");
    other.set_nonblocking(true).expect("a socket can");
    let fill_queue = || while other.send(b"WATCHDOG=1").is_ok() {};
    fill_queue();
    let mut command = relay_command(&[]);
    command.env("NOTIFY_SOCKET", &path);
    let mut relay = Server::start(command);
    let waits_in = format!("/proc/{}/wchan", relay.pid());
    eventually("the relay waits", || {
        let place = fs::read_to_string(&waits_in).unwrap_or_default();
        // "0": the system does not say where.
        place == "0" || place.contains("unix") || place.contains("sock")
    });
    take_until(&manager, "READY=1");
    // The loop does not wait.
    fill_queue();
    assert_eq!(relay.stop(), Some(0));
}

#[test]
fn a_server_runs_without_the_service_manager_that_it_cannot_reach() {
    let mut command = relay_command(&[]);
    command.env("NOTIFY_SOCKET", "/nowhere/notify");
    let mut relay = Server::start(command);
    relay.log_until("cannot reach the service manager at /nowhere/notify");
    assert_eq!(relay.stop(), Some(0));
}

/// The value of a setting of a unit, or of its file of settings.
fn setting<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default()
}

/// The command line of an installed unit as systemd expands it, with other settings.
fn unit_command(root: &Path, server: &str, settings: &[(&str, &str)]) -> Command {
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("it is installed");
    let unit = read(&format!("etc/systemd/system/peerline-{server}.service"));
    let file = read(&format!("etc/peerline/{server}.conf"));
    let value = |name: &str| {
        let other = settings.iter().find(|(other, _)| *other == name);
        other
            .map_or_else(|| setting(&file, name), |(_, value)| value)
            .to_owned()
    };
    let cache = root.join("cache").display().to_string();
    let mut words = setting(&unit, "ExecStart").split(' ');
    let program = words.next().expect("a program");
    let mut command = Command::new(root.join(program.trim_start_matches('/')));
    for word in words {
        match word.strip_prefix('$') {
            // In braces, the value is one word.
            Some(name) if name.starts_with('{') => {
                command.arg(value(name.trim_matches(['{', '}'])));
            }
            Some(name) => {
                command.args(value(name).split_whitespace());
            }
            None => {
                command.arg(word.replace("%C", &cache));
            }
        }
    }
    command
}

#[test]
fn the_installed_units_start_the_servers() {
    let root = folder(&[]);
    let share = folder(&[("a file", b"content")]);
    let programs = Path::new(env!("CARGO_BIN_EXE_relay-server")).parent();
    for _ in 0..2 {
        let status = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/install"))
            .arg(programs.expect("a folder"))
            .env("DESTDIR", root.path())
            .status();
        assert!(status.expect("the script starts").success());
        // Changed settings are kept.
        fs::write(root.path().join("etc/peerline/relay.conf"), "PORT=0\n").expect("written");
    }
    let relay = Server::start(unit_command(root.path(), "relay", &[]));
    let settings = [
        ("RELAY", &*relay.address().to_string()),
        ("SHARE", share.path().to_str().expect("text")),
        ("FLAGS", "--port 0"),
    ];
    let node = Server::start(unit_command(root.path(), "node", &settings));
    node.log_until("registered as");
    assert_eq!(ask(node.address(), b"GET a file\n"), "FOUND 7\ncontent");
}

/// The rating of the page is compared only with that of the version that the page names: each
/// version rates by rules of its own.
#[test]
fn the_documented_exposure_of_the_units_is_that_of_systemd() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/systemd.md")).expect("the page");
    let (_, table) = page.split_once("| Unit | Exposure (").expect("a table");
    let (version, rows) = table.split_once(") |\n").expect("a version");
    let analyze = |args: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        let output = command
            .args(args)
            .current_dir(root.join("systemd"))
            .output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    if !analyze(&["--version"]).starts_with(&format!("{version} ")) {
        eprintln!("not tested: systemd-analyze is not of {version}");
        return;
    }
    for unit in ["peerline-relay.service", "peerline-node.service"] {
        let (_, row) = rows.split_once(&format!("`{unit}` | ")).expect("a row");
        let (documented, _) = row.split_once(" |").expect("a figure");
        let rating = analyze(&["security", "--offline=yes", unit]);
        let expected = format!("exposure level for {unit}: {documented} ");
        assert!(rating.contains(&expected), "{documented}: {rating}");
    }
}
