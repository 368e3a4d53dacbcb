//! How a file that is there is compared with a content that could be fetched.

use std::io;

use rustix::fs::OFlags;

use crate::download::destination::Destination;
use crate::download::existing_file::ExistingFile;
use crate::download::repair_error::RepairError;
use crate::download::save_error::SaveError;
use crate::jobs::{ContentInfo, JobId, StoreError, StoredContent};
use crate::protocol::FileName;

impl Destination {
    /// Compares the target with a content, slice by slice.
    ///
    /// # Errors
    /// There is no file that could be repaired to have the content.
    pub(crate) fn compare(
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
            StoredContent::Unfinished => {
                compared.insert(job, file);
                Ok(StoredContent::Unfinished)
            }
            // A content of one piece.
            StoredContent::Other if target.repairs() => {
                let error = RepairError::Different(name.clone().into_owned()).into();
                Err(target.error(&target.path(name), &error))
            }
            StoredContent::Other => {
                different.insert(job, known);
                Ok(StoredContent::Other)
            }
            StoredContent::Same => Ok(StoredContent::Same),
        }
    }

    /// Whether the file to repair has this content. Reads it slice by slice.
    pub(crate) fn has_content(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> StoredContent {
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
            return StoredContent::Other;
        };
        let open = || {
            let file = target.open_existing(parents, name, OFlags::RDONLY).ok()?;
            ExistingFile::of_size(file, content.size).ok()?
        };
        let Some(mut file) = compared.remove(&job).or_else(open) else {
            return StoredContent::Other;
        };
        let result = file.compare(hash);
        if result == StoredContent::Unfinished {
            compared.insert(job, file);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
}
