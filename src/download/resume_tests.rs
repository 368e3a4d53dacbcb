//! Tests of what a download leaves behind, and of how the next one continues.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::download::output_file::{OutputFile, SaveOptions, SaveRules};
use crate::download::part_file::PartFile;
use crate::download::save_error::SaveError;
use crate::download::save_folder::SaveFolder;
use crate::download::stored_bytes::StoredBytes;
use crate::download::target_file::TargetFile;
use crate::jobs::{ContentInfo, Opened, PieceSet};
use crate::protocol::{ContentHash, PieceLayout};

pub(super) const PIECE: usize = PieceLayout::MIN_PIECE_SIZE as usize;
/// Four pieces, the last one short.
pub(super) const SIZE: usize = 3 * PIECE + 1000;

/// A folder with a target, and the content for it.
pub(super) struct Fixture {
    pub(super) folder: TempDir,
    path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) content: ContentInfo,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::named("file")
    }

    fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes: Vec<u8> = (0..SIZE).map(|n| (n / 1000 % 251) as u8).collect();
        let content = ContentInfo::new(SIZE as u64, Some(ContentHash(blake3::hash(&bytes).into())));
        Self {
            path: folder.path().join(name),
            folder,
            bytes,
            content,
        }
    }

    pub(super) fn try_open(&self, options: SaveOptions) -> Result<(OutputFile, Opened), SaveError> {
        OutputFile::open(&self.path, &self.content, &options.into())
    }

    pub(super) fn open(&self) -> (OutputFile, Opened) {
        let opened = self.try_open(SaveOptions::default());
        opened.expect("it can be opened")
    }

    /// Opens the part of a content.
    pub(super) fn open_part(&self, content: &ContentInfo) -> (PartFile, Opened) {
        let path = self.folder.path();
        let folder = SaveFolder::new(File::open(path).expect("a folder").into(), path);
        let target = TargetFile::absent(Arc::new(folder), "file".as_ref());
        PartFile::open(target, content, false).expect("it can be opened")
    }

    /// Writes and records pieces.
    pub(super) fn write(&self, file: &mut OutputFile, pieces: &[u32]) {
        for piece in pieces {
            let start = *piece as usize * PIECE;
            let bytes = &self.bytes[start..SIZE.min(start + PIECE)];
            file.write_at(start as u64, bytes).expect("written");
            file.record_piece(*piece).expect("recorded");
        }
    }

    /// A download that is broken off after these pieces.
    pub(super) fn break_off(&self, pieces: &[u32]) {
        let (mut file, _) = self.open();
        self.write(&mut file, pieces);
        file.keep();
    }

    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into()).collect();
        names.sort();
        names
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join(".file.part.state")
    }

    #[track_caller]
    fn assert_complete(&self) {
        assert!(fs::read(&self.path).expect("a file") == self.bytes);
        assert_eq!(self.names().len(), 1, "{:?}", self.names());
    }
}

/// What is kept of the file, in bytes.
pub(super) fn stored_bytes(stored: usize, unchecked: usize) -> StoredBytes {
    StoredBytes {
        stored: stored as u64,
        unchecked: unchecked as u64,
        size: SIZE as u64,
    }
}

pub(super) fn part(pieces: &[u32], unchecked: &[u32]) -> Opened {
    Opened::Part {
        pieces: pieces.iter().copied().collect(),
        unchecked: unchecked.iter().copied().collect(),
    }
}

/// Regression: the state was emptied before it was written anew. With a full disk, it was lost.
#[test]
fn a_download_that_goes_on_adds_to_the_state() {
    let fixture = Fixture::new();
    fixture.break_off(&[3, 1]);
    let state = fs::read(fixture.state()).expect("a state");
    let add = |bytes: &[u8]| {
        let mut file = File::options().append(true).open(fixture.state());
        let file = file.as_mut().expect("a state");
        file.write_all(bytes).expect("written");
    };
    add(b"a line that was cut of");
    let (file, opened) = fixture.open();
    assert_eq!(opened, part(&[1, 3], &[]));
    drop(file);
    let resumed = fs::read(fixture.state()).expect("a state");
    let added = resumed.strip_prefix(&state[..]).expect("the same lines");
    assert!(added.starts_with(b"writer ") && added.ends_with(b"\n"));

    // It does not grow for ever.
    add(&added.repeat(2 * 1024 * 1024 / added.len() + 1));
    assert_eq!(fixture.open().1, part(&[], &[1, 3]));
    assert!(fs::metadata(fixture.state()).expect("a state").len() < 1000);
    assert_eq!(fixture.open().1, part(&[], &[1, 3]));
}

#[test]
fn a_download_goes_on_where_it_was_broken_off() {
    let fixture = Fixture::new();
    let (mut file, opened) = fixture.open();
    assert_eq!(opened, Opened::Empty);
    fixture.write(&mut file, &[3, 1]);
    assert_eq!(file.keep(), Some(stored_bytes(PIECE + 1000, 0)));
    assert_eq!(fixture.names(), [".file.part", ".file.part.state"]);
    let (mut file, opened) = fixture.open();
    assert_eq!(opened, part(&[1, 3], &[]));
    fixture.write(&mut file, &[0]);
    // As after SIGKILL: nothing is called.
    drop(file);
    let (mut file, opened) = fixture.open();
    assert_eq!(opened, part(&[], &[0, 1, 3]));
    fixture.write(&mut file, &[0, 1, 2, 3]);
    file.commit(&fixture.content).expect("committed");
    fixture.assert_complete();
}

#[test]
fn a_part_without_pieces_is_removed() {
    let fixture = Fixture::new();
    let (mut file, _) = fixture.open();
    file.write_at(0, b"the head of a piece").expect("written");
    assert_eq!(file.keep(), None);
    assert!(fixture.names().is_empty());
    // After SIGKILL it stays, and holds no other content up.
    drop(fixture.open());
    let mut other = Fixture::new();
    other.path.clone_from(&fixture.path);
    other.content.hash = Some(ContentHash([1; 32]));
    let (file, opened) = other.open();
    assert_eq!(opened, Opened::Empty);
    file.discard();
    assert!(fixture.names().is_empty());
}

#[test]
fn another_content_begins_anew_only_with_restart() {
    let fixture = Fixture::new();
    fixture.break_off(&[0]);
    let mut other = Fixture::new();
    other.path.clone_from(&fixture.path);
    for (hash, size) in [([1; 32], SIZE), ([2; 32], SIZE - 1)] {
        other.content.hash = Some(ContentHash(hash));
        other.content.size = size as u64;
        let refused = other.try_open(SaveOptions::default()).err();
        assert!(matches!(refused, Some(SaveError::OtherContent(part)) if part == ".file.part"));
    }
    let (file, opened) = fixture.open();
    assert_eq!(opened, part(&[0], &[]));
    file.keep();
    let restart = SaveOptions {
        restart: true,
        ..SaveOptions::default()
    };
    let (file, opened) = other.try_open(restart).expect("it begins anew");
    assert_eq!(opened, Opened::Empty);
    file.discard();
    assert!(fixture.names().is_empty());
}

#[test]
fn a_content_without_a_hash_never_goes_on() {
    let mut fixture = Fixture::new();
    fixture.content.hash = None;
    fixture.content.mtime = Some(-5);
    fixture.break_off(&[2]);
    let refused = fixture.try_open(SaveOptions::default()).err();
    assert!(matches!(refused, Some(SaveError::UnknownContent(_))));
}

#[test]
fn a_file_is_written_by_one_program() {
    let fixture = Fixture::new();
    let (mut file, _) = fixture.open();
    let restart = SaveOptions {
        restart: true,
        ..SaveOptions::default()
    };
    for options in [SaveOptions::default(), restart] {
        let refused = fixture.try_open(options).err();
        assert!(matches!(refused, Some(SaveError::InUse)));
    }
    fixture.write(&mut file, &[0, 1, 2, 3]);
    file.commit(&fixture.content).expect("committed");
    fixture.assert_complete();
}

#[test]
fn a_file_of_the_user_is_not_used() {
    let fixture = Fixture::new();
    let part_path = fixture.folder.path().join(".file.part");
    fs::write(&part_path, "mine").expect("a file");
    let refused = |options| matches!(fixture.try_open(options), Err(SaveError::UnknownPart(_)));
    let restart = SaveOptions {
        restart: true,
        ..SaveOptions::default()
    };
    assert!(refused(SaveOptions::default()) && refused(restart));
    assert_eq!(fs::read(&part_path).expect("a file"), b"mine");
    fs::remove_file(&part_path).expect("a file");
    symlink("elsewhere", &part_path).expect("a link");
    assert!(refused(SaveOptions::default()));
    assert_eq!(fixture.names(), [".file.part"]);
}

#[test]
fn a_name_of_255_bytes_has_a_part() {
    let fixture = Fixture::named(&"n".repeat(255));
    fixture.break_off(&[0, 3]);
    assert_eq!(fixture.names().len(), 2);
    let (mut file, opened) = fixture.open();
    assert_eq!(opened, part(&[0, 3], &[]));
    fixture.write(&mut file, &[1, 2]);
    file.commit(&fixture.content).expect("committed");
    fixture.assert_complete();
}

/// The permissions that the umask leaves of `mode`.
fn umasked(folder: &Path, mode: u32) -> u32 {
    let path = folder.join("probe");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).mode(mode).open(&path);
    let metadata = file.and_then(|file| file.metadata()).expect("a file");
    fs::remove_file(&path).expect("a file");
    metadata.permissions().mode() & 0o777
}

#[test]
fn a_saved_file_has_the_time_and_the_execute_permission_of_its_source() {
    for size in [10, SIZE] {
        for is_executable in [false, true] {
            let mut fixture = Fixture::new();
            fixture.bytes.truncate(size);
            fixture.content.size = size as u64;
            fixture.content.mtime = Some(1_000_000_007);
            fixture.content.is_executable = is_executable;
            // The node tells time and permission while the content is on its way.
            let mut content = fixture.content.clone();
            (content.mtime, content.is_executable) = (None, false);
            let opened = OutputFile::open(&fixture.path, &content, &SaveRules::default());
            let (mut file, _) = opened.expect("it can be opened");
            file.write_at(0, &fixture.bytes).expect("written");
            file.record_piece(0).expect("recorded");
            file.commit(&fixture.content).expect("committed");
            fixture.assert_complete();
            let metadata = fs::metadata(&fixture.path).expect("a file");
            assert_eq!(
                (metadata.mtime(), metadata.mtime_nsec()),
                (1_000_000_007, 0)
            );
            let mode = if is_executable { 0o777 } else { 0o666 };
            let mode = umasked(fixture.folder.path(), mode);
            assert_eq!(metadata.permissions().mode() & 0o777, mode);
        }
    }
}

#[test]
fn an_empty_part_goes_if_its_state_cannot_be_created() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.state()).expect("a folder");
    assert!(fixture.try_open(SaveOptions::default()).is_err());
    assert_eq!(fixture.names(), [".file.part.state"]);
}

#[test]
fn a_part_whose_target_appears_meanwhile_stays() {
    let fixture = Fixture::new();
    let (mut file, _) = fixture.open();
    fixture.write(&mut file, &[0, 1, 2, 3]);
    fs::write(&fixture.path, "mine").expect("a file");
    let error = file.commit(&fixture.content).expect_err("it exists");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    file.keep();
    assert_eq!(fs::read(&fixture.path).expect("a file"), b"mine");
    let replace = SaveOptions {
        replace: true,
        ..SaveOptions::default()
    };
    let (mut file, opened) = fixture.try_open(replace).expect("it may be replaced");
    let all: PieceSet = (0..4).collect();
    assert!(matches!(opened, Opened::Part { pieces, .. } if pieces == all));
    file.commit(&fixture.content).expect("committed");
    fixture.assert_complete();
}

#[test]
fn a_part_whose_length_another_program_has_changed_gets_no_name() {
    for length in [SIZE - 1, SIZE + 1] {
        let fixture = Fixture::new();
        let (mut file, _) = fixture.open();
        fixture.write(&mut file, &[0, 1, 2, 3]);
        let path = fixture.folder.path().join(".file.part");
        let part_file = OpenOptions::new().write(true).open(path);
        let resized = part_file.and_then(|file| file.set_len(length as u64));
        resized.expect("another length");
        file.commit(&fixture.content).expect_err("another length");
        file.keep();
        let (mut file, opened) = fixture.open();
        assert_eq!(opened, part(&[], &[0, 1, 2, 3]));
        fixture.write(&mut file, &[0, 1, 2, 3]);
        file.commit(&fixture.content).expect("committed");
        fixture.assert_complete();
    }
}
