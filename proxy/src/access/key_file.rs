//! The key that signs our tokens, in a configured file, or else in a file of the store's folder,
//! made at the first start.
//!
//! Invariant: a holder of the key can pose as any user. So the key is read from a place closed to
//! others, and the store's own key file belongs to this process: another user would know a key that
//! they put there.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::api_tokens::hex;
use super::line_file;
use crate::limits::TOKEN_KEY_BYTES_MIN;

/// The key file in the store's folder, used unless the configuration names another.
const KEY_FILE: &str = "token.key";
/// The mode bits of a file that apply to all other users.
const EVERYONE: u32 = 0o007;

/// The key in a configured file.
pub(crate) fn read_key(path: &Path) -> Result<Vec<u8>, String> {
    read(&File::open(path).map_err(|error| error.to_string())?)
}

fn read(file: &File) -> Result<Vec<u8>, String> {
    let mode = file.metadata().map_err(|error| error.to_string())?.mode();
    if mode & EVERYONE != 0 {
        return Err(format!(
            "everyone on this machine can read it (mode {:o}), and so sign tokens; chmod 600 it",
            mode & 0o777
        ));
    }
    let text = line_file::read_all(file).map_err(|error| error.to_string())?;
    let key = text.trim().as_bytes().to_vec();
    if key.len() < TOKEN_KEY_BYTES_MIN {
        return Err(format!(
            "a key has at least {TOKEN_KEY_BYTES_MIN} characters; make one with \
             `openssl rand -hex 32`"
        ));
    }
    Ok(key)
}

/// The key in the store's folder; made when it is missing.
pub(crate) fn key_in(store: &Path) -> Result<Vec<u8>, String> {
    let path = store.join(KEY_FILE);
    if path.symlink_metadata().is_err() {
        make(&path).map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
    }
    read_own(&path).map_err(|reason| format!("{}: {reason}", path.display()))
}

/// Removes a key that every user of the machine could read or write, and the next start makes a new
/// one. Runs before the modes of a store are repaired, because the repair hides the exposure.
pub(crate) fn drop_open_key(store: &Path) {
    let path = store.join(KEY_FILE);
    let Ok(about) = path.symlink_metadata() else { return };
    let is_ours = about.is_file() && about.uid() == geteuid().as_raw();
    if !is_ours || about.mode() & EVERYONE == 0 {
        return;
    }
    let path_shown = path.display();
    match std::fs::remove_file(&path) {
        Ok(()) => tracing::warn!(
            path = %path_shown,
            "everyone on this machine could have the key that signs tokens: there is a new one, and who has a \
             token logs in again"
        ),
        Err(error) => tracing::error!(
            path = %path_shown, %error,
            "everyone on this machine could have the key that signs tokens, and it cannot be removed"
        ),
    }
}

/// Does not read a file placed by another user, nor follow a link: its key would be theirs.
fn read_own(path: &Path) -> Result<Vec<u8>, String> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| {
        if path.is_symlink() { "it is a link".to_owned() } else { error.to_string() }
    })?;
    let about = file.metadata().map_err(|error| error.to_string())?;
    let owner = about.uid();
    if !about.is_file() || about.nlink() != 1 {
        return Err("it is no file of its own; remove it, and there will be a new key".to_owned());
    }
    if owner != geteuid().as_raw() && owner != 0 {
        return Err(format!(
            "it belongs to user {owner}, who could sign tokens as anybody; remove it, and there will be a \
             new key, or give it to the user who runs this"
        ));
    }
    read(&file)
}

fn make(path: &Path) -> std::io::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let partial = path.with_extension("new");
    // The remains of an interrupted start, or a file planted by another user to receive the key.
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(hex(&random).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    // The key must survive a power failure, for the tokens signed with it.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::Uid;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_key_of_a_store_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let key = key_in(folder.path()).unwrap();
        assert_eq!((key.len(), key_in(folder.path()).unwrap()), (64, key));
        let path = folder.path().join(KEY_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        set(&path, 0o644);
        assert!(key_in(folder.path()).unwrap_err().contains("chmod 600"));
        std::fs::write(&path, "short\n").unwrap();
        set(&path, 0o600);
        assert!(key_in(folder.path()).unwrap_err().contains("openssl rand"));
    }

    #[test]
    fn a_key_that_somebody_else_put_there_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (path, known) = (folder.path().join(KEY_FILE), folder.path().join("known"));
        std::fs::write(&known, "k".repeat(64)).unwrap();
        set(&known, 0o600);
        std::os::unix::fs::symlink(&known, &path).unwrap();
        assert!(key_in(folder.path()).unwrap_err().contains("a link"));
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(&known, &path).unwrap();
        assert!(key_in(folder.path()).unwrap_err().contains("no file of its own"));
        std::fs::remove_file(&path).unwrap();
        if !geteuid().is_root() {
            return;
        }
        std::fs::copy(&known, &path).unwrap();
        rustix::fs::chown(&path, Some(Uid::from_raw(65_532)), None).unwrap();
        assert!(key_in(folder.path()).unwrap_err().contains("user 65532"));
    }

    #[test]
    fn the_file_of_somebody_who_waits_for_the_key_does_not_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("theirs");
        std::fs::write(&theirs, "").unwrap();
        std::os::unix::fs::symlink(&theirs, folder.path().join("token.new")).unwrap();
        let key = key_in(folder.path()).unwrap();
        assert_eq!((key.len(), std::fs::read(&theirs).unwrap().len()), (64, 0));
    }

    #[test]
    fn a_key_that_everyone_could_have_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        drop_open_key(folder.path());
        let (path, before) = (folder.path().join(KEY_FILE), key_in(folder.path()).unwrap());
        set(&path, 0o660);
        drop_open_key(folder.path());
        assert!(key_in(folder.path()).unwrap() == before);
        for wide in [0o604, 0o602] {
            set(&path, wide);
            drop_open_key(folder.path());
            let after = key_in(folder.path()).unwrap();
            assert!(after != before && after.len() == 64);
        }
    }
}
