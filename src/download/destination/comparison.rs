//! How a file that is there is compared with a content that could be fetched.

use std::io;

use rustix::fs::OFlags;

use crate::download::destination::Destination;
use crate::download::existing_file::ExistingFile;
use crate::download::repair_error::RepairError;
use crate::download::save_error::SaveError;
use crate::download::target::Target;
use crate::jobs::{ContentInfo, JobId, StoreError, StoredContent};
use crate::protocol::FileName;

impl Destination {
    /// Compares the target with a content, slice by slice.
    ///
    /// # Errors
    /// There is no file that could be repaired to have the content, or it cannot be read.
    pub(crate) fn compare(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<StoredContent, StoreError> {
        let (
            Self::Save {
                target,
                rules,
                parents,
                compared,
                different,
                absent,
                ..
            },
            Some(hash),
        ) = (self, content.hash)
        else {
            return Ok(StoredContent::Other);
        };
        let opened = match compared.remove(&job) {
            Some(file) => Ok(Some(file)),
            None => ExistingFile::open(parents, target, name, content),
        };
        let mut file = match opened {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(StoredContent::Other),
            Err(SaveError::System(error)) => {
                if error.kind() == io::ErrorKind::NotFound {
                    absent.insert(job);
                }
                return Ok(StoredContent::Other);
            }
            Err(error) => return Err(target.error(&target.path(name), &error)),
        };
        let known = (hash, file.last_change.clone());
        if different.get(&job) == Some(&known) {
            return Ok(StoredContent::Other);
        }
        match file.compare(hash) {
            Err(error) if rules.replace.is_none() => Err(unreadable(target, name, error)),
            Ok(StoredContent::Unfinished) => {
                compared.insert(job, file);
                Ok(StoredContent::Unfinished)
            }
            // A content of one piece.
            Ok(StoredContent::Other) if target.repairs() => Err(different_file(target, name)),
            // A file that cannot be read will be replaced.
            Ok(StoredContent::Other) | Err(_) => {
                different.insert(job, known);
                Ok(StoredContent::Other)
            }
            // It may have been replaced meanwhile.
            Ok(StoredContent::Same) => match rules.keep_existing(&file.file, &target.path(name)) {
                true => Ok(StoredContent::Same),
                false => Ok(StoredContent::Other),
            },
        }
    }

    /// Whether the file to repair has this content. Reads it slice by slice.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn has_content(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<StoredContent, StoreError> {
        let (
            Self::Save {
                target,
                parents,
                compared,
                ..
            },
            Some(hash),
        ) = (self, content.hash)
        else {
            return Ok(StoredContent::Other);
        };
        let mut open = || {
            let file = target.open_existing(parents, name, OFlags::RDONLY)?;
            ExistingFile::of_size(file, content.size)
        };
        let opened = match compared.remove(&job) {
            Some(file) => Ok(Some(file)),
            None => open(),
        };
        let compared_slice = match opened {
            Ok(Some(mut file)) => file.compare(hash).inspect(|result| {
                if *result == StoredContent::Unfinished {
                    compared.insert(job, file);
                }
            }),
            Ok(None) => Ok(StoredContent::Other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(StoredContent::Other),
            Err(error) => Err(error),
        };
        compared_slice.map_err(|error| unreadable(target, name, error))
    }
}

fn different_file(target: &Target, name: &FileName<'_>) -> StoreError {
    let error = RepairError::Different(name.clone().into_owned());
    target.error(&target.path(name), &error.into())
}

fn unreadable(target: &Target, name: &FileName<'_>, error: io::Error) -> StoreError {
    target.error(&target.path(name), &SaveError::Unreadable(error))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::download::{SaveOptions, Target};
    use crate::protocol::ContentHash;

    #[test]
    fn a_file_with_another_content_is_read_again_only_if_it_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let content = vec![1; 3 << 20];
        fs::write(&path, vec![2; content.len()]).expect("a file");
        let target = Target::File(path.clone());
        let mut destination = Destination::save(target, SaveOptions::default());
        let name = FileName::parse("file").expect("a name");
        let info = ContentInfo::new(content.len() as u64, Some(ContentHash::of(&content)));
        let mut compare = || {
            let mut slices = 1;
            loop {
                let result = destination.compare(JobId(1), &name, &info);
                match result.expect("a file") {
                    StoredContent::Unfinished => slices += 1,
                    result => return (result, slices),
                }
            }
        };
        assert_eq!(compare(), (StoredContent::Other, 3));
        assert_eq!(compare(), (StoredContent::Other, 1));
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, &content).expect("a file");
        assert_eq!(compare(), (StoredContent::Same, 3));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_other_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, [1; 5]).expect("a file");
        let name = FileName::parse("file").expect("a name");
        let info = ContentInfo::new(5, Some(ContentHash::of(&[1; 5])));
        let write_only = || File::options().write(true).open(&path).expect("a file");
        let job = JobId(1);
        let commands = Box::default();
        let repair = Target::Repair(path.clone(), commands);
        let reason = format!("cannot read {}: Bad file descriptor", path.display());
        for (target, replace, is_refused) in [
            (Target::File(path.clone()), false, true),
            (Target::File(path.clone()), true, false),
            (repair, false, true),
        ] {
            let options = SaveOptions {
                replace,
                ..SaveOptions::default()
            };
            let mut destination = Destination::save(target, options);
            let mut results = Vec::new();
            for compare in [Destination::compare, Destination::has_content] {
                let Destination::Save { compared, .. } = &mut destination else {
                    unreachable!("it saves");
                };
                let file = ExistingFile::of_size(write_only(), 5).expect("a file");
                compared.extend(file.map(|file| (job, file)));
                let result = compare(&mut destination, job, &name, &info);
                results.push(result.map_err(|error| error.reason));
            }
            let refused = Err(reason.clone());
            let compared = match is_refused {
                true => refused.clone(),
                false => Ok(StoredContent::Other),
            };
            assert_eq!(results, [compared, refused]);
        }
    }
}
