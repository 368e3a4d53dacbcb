//! The servers to compare with, configured for the best rate in these workloads. All
//! are Debian packages.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::CpuRole;
use crate::process::{Server, pinned_command};

/// The cipher of all connections over TLS: what peer-node, peer-client and curl choose by
/// themselves. curl and nginx are told to accept no other one.
pub(crate) const CIPHER: &str = "TLS_AES_256_GCM_SHA384";

/// Programs and their packages.
const OTHER_SERVERS: [(&str, &str); 7] = [
    ("nginx", "nginx-light"),
    ("redis-server", "redis-server"),
    ("memcached", "memcached"),
    ("curl", "curl"),
    ("aria2c", "aria2"),
    ("b3sum", "b3sum"),
    ("rsync", "rsync"),
];

/// The longest time for a server to start.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A message about the programs that are not installed.
pub(crate) fn missing() -> Option<String> {
    let missing: Vec<_> = OTHER_SERVERS
        .iter()
        .filter(|(program, _)| !has(program))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    Some(format!(
        "missing: {}; apt-get install {}",
        programs.join(" "),
        packages.join(" ")
    ))
}

/// Whether a program is installed.
pub(crate) fn has(program: &str) -> bool {
    let version = if program == "nginx" {
        "-v"
    } else {
        "--version"
    };
    let mut command = Command::new(program);
    command.arg(version).stdin(Stdio::null());
    let found = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok()
}

/// Starts nginx for a folder: one worker, sendfile, a cache of open files, no log.
/// `tcp_nopush` is off: it would delay the first segment, which costs a third of the
/// rate.
pub(crate) fn nginx(scratch: &Path, root: &Path) -> io::Result<Option<Server>> {
    start_nginx(scratch, root, "", "")
}

/// The same over TLS 1.3, without sessions to resume. `identity` has the key and the
/// certificate as PEM.
pub(crate) fn nginx_over_tls(
    scratch: &Path,
    root: &Path,
    identity: &str,
) -> io::Result<Option<Server>> {
    let settings = format!(
        "ssl_certificate {identity}; ssl_certificate_key {identity}; ssl_protocols TLSv1.3;
         ssl_conf_command Ciphersuites {CIPHER}; ssl_session_cache off;"
    );
    start_nginx(scratch, root, "ssl", &settings)
}

fn start_nginx(
    scratch: &Path,
    root: &Path,
    listen_option: &str,
    server_settings: &str,
) -> io::Result<Option<Server>> {
    if !has("nginx") {
        return Ok(None);
    }
    let address = free_address()?;
    let folder = scratch.join("nginx");
    fs::create_dir_all(&folder)?;
    let (own, root) = (folder.display(), root.display());
    let settings = format!(
        "daemon off; master_process off; user root root; worker_processes 1; worker_rlimit_nofile 20000;
         pid {own}/pid; error_log {own}/error.log emerg;
         events {{ worker_connections 12000; use epoll; }}
         http {{
             access_log off; etag off; server_tokens off; default_type application/octet-stream;
             client_body_temp_path {own}/body; proxy_temp_path {own}/proxy;
             fastcgi_temp_path {own}/fastcgi; uwsgi_temp_path {own}/uwsgi;
             scgi_temp_path {own}/scgi;
             sendfile on; tcp_nopush off; tcp_nodelay on;
             keepalive_timeout 600s; keepalive_requests 1000000000;
             open_file_cache max=20000 inactive=600s; open_file_cache_valid 600s;
             open_file_cache_min_uses 1;
             server {{
                 listen {address} {listen_option} backlog=4096; root {root};
                 {server_settings}
             }}
         }}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, settings)?;
    let file = file.to_string_lossy();
    let prefix = folder.to_string_lossy();
    start_at(address, "nginx", &["-p", &prefix, "-c", &file]).map(Some)
}

/// Starts Redis without persistence.
pub(crate) fn redis() -> io::Result<Option<Server>> {
    if !has("redis-server") {
        return Ok(None);
    }
    let address = free_address()?;
    let port = address.port().to_string();
    let args = "--bind 127.0.0.1 --appendonly no --daemonize no --maxclients 12000 \
                --tcp-backlog 4096 --loglevel warning --port";
    let mut args: Vec<&str> = args.split_whitespace().collect();
    args.extend([port.as_str(), "--save", ""]);
    start_at(address, "redis-server", &args).map(Some)
}

/// Starts memcached with one thread and memory for a million entries.
pub(crate) fn memcached() -> io::Result<Option<Server>> {
    if !has("memcached") {
        return Ok(None);
    }
    let address = free_address()?;
    let port = address.port().to_string();
    let args = "-l 127.0.0.1 -U 0 -t 1 -m 1024 -c 12000 -b 4096 -R 1000 -u root -p";
    let mut args: Vec<&str> = args.split_whitespace().collect();
    args.push(&port);
    start_at(address, "memcached", &args).map(Some)
}

/// Starts an rsync daemon whose module `share` is a folder.
pub(crate) fn rsync(scratch: &Path, root: &Path) -> io::Result<Option<Server>> {
    if !has("rsync") {
        return Ok(None);
    }
    let address = free_address()?;
    let settings = format!(
        "use chroot = no\n[share]\npath = {}\nread only = yes\n",
        root.display()
    );
    let file = scratch.join("rsyncd.conf");
    fs::write(&file, settings)?;
    let (file, port) = (file.to_string_lossy(), address.port().to_string());
    // As root it would call setgroups(2), which our user namespace does not allow.
    let mut args = vec!["--user", "rsync", "--daemon", "--no-detach"];
    args.extend([
        "--address",
        "127.0.0.1",
        "--port",
        &*port,
        "--config",
        &*file,
    ]);
    start_at(address, "unshare", &args).map(Some)
}

/// Starts a program that listens on `address` and prints nothing.
fn start_at(address: SocketAddr, program: &str, args: &[&str]) -> io::Result<Server> {
    let child = pinned_command(CpuRole::Server, program, args)?
        .stdout(Stdio::null())
        .spawn()?;
    let mut server = Server::new(child, address);
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        server.check_running()?;
        if start.elapsed() > TIMEOUT {
            return Err(io::Error::other(format!("{program} does not listen")));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(server)
}

/// An address with a port that is free at the moment.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
