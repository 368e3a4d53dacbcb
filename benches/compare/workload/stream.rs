//! One large file over one connection, to /dev/null and into files. The clients are
//! whole programs, from start to exit.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::ScratchFolders;
use crate::command;
use crate::host::{CONGESTION_CONTROL, congestion_control};
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::rounds::{Contender, RoundResult, Series, run_rounds};
use crate::{limit, other_servers, own_programs};

const ROUNDS: usize = 5;
/// The name of the file.
pub(super) const NAME: &str = "large.bin";
/// Its size in MiB.
pub(super) const PIECES: u64 = 1024;

pub(super) const RATE: Unit = Unit {
    name: "GiB/s",
    more_is_better: true,
    each: "GiB",
};

/// Transfers whose content is discarded.
pub(super) fn discarded(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let usual = congestion_control();
    let title = format!("1 GiB in one stream to /dev/null, under {usual}");
    let target = Target::Nothing;
    let outcome = Comparison::new("stream", title, RATE, compare(scratch, &target)?)
        .at_least(1.0, "nginx+curl")
        .at_least(0.9, "limit")
        .processor_at_most(1.1, "nginx+curl");
    let mut comparisons = vec![outcome];
    match fs::write(CONGESTION_CONTROL, "reno") {
        Ok(()) => {
            let title = "the same under reno: the code rather than the kernel's timers";
            let series = compare(scratch, &target);
            fs::write(CONGESTION_CONTROL, &usual)?;
            comparisons.push(
                Comparison::new("stream-reno", title, RATE, series?)
                    .at_least(1.2, "nginx+curl")
                    .at_least(0.9, "limit")
                    .processor_at_most(1.1, "nginx+curl"),
            );
        }
        Err(error) => eprintln!("stream-reno is left out: reno cannot be chosen: {error}"),
    }
    Ok(comparisons)
}

/// Transfers into files.
pub(super) fn stored(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let file = |folder: &Path, checked| Target::File {
        path: folder.join("got"),
        checked,
    };
    let memory = compare(scratch, &file(scratch.memory(), false))?;
    let disk = compare(scratch, &file(scratch.disk(), false))?;
    let checked = compare(scratch, &file(scratch.memory(), true))?;
    let by_hash = "1 GiB into a file on tmpfs, checked by its BLAKE3 hash";
    Ok(vec![
        Comparison::new("file-tmpfs", "1 GiB into a file on tmpfs", RATE, memory)
            .at_least(1.3, "nginx+curl")
            .at_least(0.85, "limit"),
        Comparison::new("file-disk", "1 GiB into a file on disk", RATE, disk)
            .at_least(2.0, "nginx+curl")
            .at_least(0.85, "limit"),
        Comparison::new("file-checked", by_hash, RATE, checked),
    ])
}

/// Where the client writes the content.
enum Target {
    Nothing,
    File {
        path: PathBuf,
        /// The client verifies the hash of the content.
        checked: bool,
    },
}

fn compare(scratch: &ScratchFolders, target: &Target) -> io::Result<Vec<Series>> {
    let folder = scratch.memory().join("large");
    let file = make_file(&folder)?;
    let relay = own_programs::relay(&[])?;
    let limit = own_programs::limit("file-server", &[&folder.to_string_lossy()])?;
    let nginx = other_servers::nginx(scratch.disk(), &folder)?;
    let path = target.path();
    let (ip, port) = (relay.address.ip().to_string(), relay.address.port());
    let port = port.to_string();
    let mut get = vec![&*ip, &*port, "--quiet", "get", NAME, "-o", &*path];
    let (node, hash);
    if target.is_checked() {
        node = own_programs::hashing_nodes(&relay, &folder, 1, &[])?.remove(0);
        hash = own_programs::hash_of(&relay, NAME, 1)?;
        get.extend(["--hash", &*hash]);
    } else {
        node = own_programs::node(&relay, &folder)?;
    }
    let fetching = |name, server, client: &str, args: &[&str]| {
        fetching(name, server, client, args, &file, target)
    };
    let mut contenders = vec![fetching("peerline", &node, own_programs::CLIENT, &get)];
    if let Some(nginx) = &nginx {
        let url = format!("http://{}/{NAME}", nginx.address);
        let curl = ["-s", "-o", &*path, &*url];
        match target {
            Target::File { checked: true, .. }
                if other_servers::has("curl") && other_servers::has("b3sum") =>
            {
                let both = "curl -s -o \"$0\" \"$1\" && b3sum --num-threads 1 \"$0\"";
                let args = ["-c", both, &*path, &*url];
                contenders.push(fetching("nginx+curl+b3sum", nginx, "sh", &args));
            }
            Target::Nothing | Target::File { checked: false, .. } if other_servers::has("curl") => {
                contenders.push(fetching("nginx+curl", nginx, "curl", &curl));
            }
            _ => {}
        }
        if let Target::File {
            path,
            checked: false,
        } = target
            && other_servers::has("aria2c")
        {
            let folder = path.parent().unwrap_or(path).to_string_lossy();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let mut args = vec!["-q", "--file-allocation=none", "--allow-overwrite=true"];
            args.extend(["-d", &*folder, "-o", &*name, &*url]);
            contenders.push(fetching("nginx+aria2c", nginx, "aria2c", &args));
        }
    }
    let this = std::env::current_exe()?;
    let address = limit.address.to_string();
    let mode = if target.is_checked() {
        "fetch-checked"
    } else {
        "fetch"
    };
    let args = [limit::WORD, mode, &*address, NAME, &*path];
    contenders.push(fetching("limit", &limit, &this.to_string_lossy(), &args));
    run_rounds(ROUNDS, contenders)
}

/// A client program that fetches the file from a server.
fn fetching<'a>(
    name: &'static str,
    server: &'a Server,
    client: &str,
    args: &[&str],
    file: &'a Path,
    target: &'a Target,
) -> Contender<'a> {
    let client = client.to_owned();
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let mut is_checked = false;
    Contender::new(name, move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let before = server.processor_time();
        let time = command::run(&client, &args)?;
        let processor = server.processor_time() - before;
        let is_right = target.check(file, &mut is_checked)?;
        Ok(RoundResult {
            figure: (PIECES as f64 / 1024.0) / time.as_secs_f64(),
            units: PIECES as f64 / 1024.0,
            processor,
            faults: u64::from(!is_right),
        })
    })
}

impl Target {
    fn path(&self) -> String {
        match self {
            Self::Nothing => "/dev/null".into(),
            Self::File { path, .. } => path.to_string_lossy().into_owned(),
        }
    }

    fn is_checked(&self) -> bool {
        matches!(self, Self::File { checked: true, .. })
    }

    /// Whether the saved file equals the original: its length each time, its bytes
    /// once. Removes the file.
    fn check(&self, file: &Path, is_checked: &mut bool) -> io::Result<bool> {
        let Self::File { path, .. } = self else {
            // The exit code of the client was checked.
            return Ok(true);
        };
        let mut is_right = fs::metadata(path)?.len() == fs::metadata(file)?.len();
        if !std::mem::replace(is_checked, true) {
            is_right &= have_equal_content(path, file)?;
        }
        fs::remove_file(path)?;
        Ok(is_right)
    }
}

pub(super) fn have_equal_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut here, mut there) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let length = one.read(&mut here)?;
        if length == 0 {
            return Ok(other.read(&mut there)? == 0);
        }
        other.read_exact(&mut there[..length])?;
        if here[..length] != there[..length] {
            return Ok(false);
        }
    }
}

/// Creates the file, unless it exists. All of its pieces differ.
pub(super) fn make_file(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(NAME);
    if !path.exists() {
        fs::create_dir_all(folder)?;
        let mut file = File::create(&path)?;
        let mut piece: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(1 << 20)
            .collect();
        for number in 0..PIECES {
            piece[..8].copy_from_slice(&number.to_le_bytes());
            file.write_all(&piece)?;
        }
    }
    Ok(path)
}
