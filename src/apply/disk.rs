//! The file operations of an apply, each on a [`Place`]. Every one that changes the disk passes [`step`], where tests
//! stop the run.

use std::fs::File;
use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{DirBuilder, Metadata, OpenOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ApplyError;
use super::attributes::Attributes;
use super::root::Place;

/// Follows the name of a state file that is being written.
pub(super) const TEMPORARY: &str = ".new";

pub(super) fn io_error(action: &'static str, path: &Path, error: io::Error) -> ApplyError {
    ApplyError::Io { action, path: path.to_owned(), error }
}

pub(super) fn step(action: &'static str, path: &Path) -> Result<(), ApplyError> {
    #[cfg(test)]
    if super::tests::faults::strike() {
        return Err(io_error(action, path, io::Error::other("stopped by the test")));
    }
    let _ = (action, path);
    Ok(())
}

fn unless_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

// No link is followed, and nobody waits for the other end of a pipe.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.follow(FollowSymlinks::No).nonblock(true);
    options
}

/// What stands there, a link itself and not what it leads to; `None` when there is nothing.
pub(super) fn found(place: &Place) -> Result<Option<Metadata>, ApplyError> {
    unless_missing(place.folder.symlink_metadata(&place.name)).map_err(|error| io_error("find", &place.path, error))
}

/// A regular file, opened for reading; `None` when there is none.
pub(super) fn open(place: &Place) -> Result<Option<File>, ApplyError> {
    let file = unless_missing(place.folder.open_with(&place.name, options().read(true)));
    let file = match file {
        Ok(Some(file)) => file.into_std(),
        Ok(None) => return Ok(None),
        Err(_) if found(place)?.is_some_and(|found| !found.is_file()) => {
            return Err(ApplyError::NotAFile { path: place.path.clone() });
        }
        Err(error) => return Err(io_error("read", &place.path, error)),
    };
    match file.metadata() {
        Ok(found) if !found.is_file() => Err(ApplyError::NotAFile { path: place.path.clone() }),
        Ok(_) => Ok(Some(file)),
        Err(error) => Err(io_error("read", &place.path, error)),
    }
}

/// Larger files are not read: no config is, nor anything that this module writes.
const MAX_FILE: u64 = 16 << 20;

/// The bytes of a file; `None` when there is none.
pub(super) fn read(place: &Place) -> Result<Option<Vec<u8>>, ApplyError> {
    let Some(file) = open(place)? else { return Ok(None) };
    let failed = |error| io_error("read", &place.path, error);
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(io::Error::other(format!("it is larger than {} MiB", MAX_FILE >> 20))));
    }
    Ok(Some(bytes))
}

/// A file of the state directory; `None` when there is none.
pub(super) fn read_json<T: DeserializeOwned>(place: &Place) -> Result<Option<T>, ApplyError> {
    let Some(bytes) = read(place)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(place, &error))
}

fn damaged(place: &Place, message: &impl ToString) -> ApplyError {
    ApplyError::State { path: place.path.clone(), message: message.to_string() }
}

/// Writes a file of the state directory so that it is always the old or the new one.
pub(super) fn write_json(place: &Place, value: &impl Serialize) -> Result<(), ApplyError> {
    let temporary = place.beside(format!(".{}{TEMPORARY}", place.name));
    remove_file(&temporary)?;
    write_new(&temporary, &to_json(place, value)?, Dress::Plain)?;
    rename(&temporary, place)?;
    sync_folder(place)
}

/// As it stands in the state directory.
pub(super) fn to_json(place: &Place, value: &impl Serialize) -> Result<Vec<u8>, ApplyError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| damaged(place, &error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What a new file gets besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dress<'a> {
    /// What the system gives it.
    Plain,
    /// For the eyes of its owner only.
    Private,
    /// All that another file has.
    Like(&'a Attributes),
}

/// Writes a file that must not exist yet, down to the disk. What others may not read, they cannot read meanwhile.
pub(super) fn write_new(place: &Place, bytes: &[u8], dress: Dress<'_>) -> Result<(), ApplyError> {
    let failed = |action: &'static str| move |error: io::Error| io_error(action, &place.path, error);
    step("create", &place.path)?;
    let mut options = options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if !matches!(dress, Dress::Plain) {
        use cap_std::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(windows)]
    if matches!(dress, Dress::Like(_)) {
        use cap_std::fs::OpenOptionsExt;
        use windows_sys::Win32::Foundation::{GENERIC_READ, GENERIC_WRITE};
        use windows_sys::Win32::Storage::FileSystem::WRITE_DAC;
        options.access_mode(GENERIC_READ | GENERIC_WRITE | WRITE_DAC);
    }
    let mut file = place.folder.open_with(&place.name, &options).map_err(failed("create"))?.into_std();
    match dress {
        Dress::Like(attributes) => attributes.give(&file, &place.path)?,
        Dress::Plain | Dress::Private => belongs_to_its_folder(&file, place),
    }
    step("write", &place.path)?;
    file.write_all(bytes).map_err(failed("write"))?;
    step("sync", &place.path)?;
    file.sync_all().map_err(failed("sync"))
}

/// What root makes in a folder of somebody else is that user's, who may want to take it back; where the system does not
/// let it be given away, it stays with its maker.
#[cfg(unix)]
fn belongs_to_its_folder(made: &impl AsFd, place: &Place) {
    let owner = |found: rustix::fs::Stat| (found.st_uid, found.st_gid);
    let (folder, now) = (rustix::fs::fstat(&*place.folder).map(owner), rustix::fs::fstat(made).map(owner));
    if let (Ok(folder), Ok(now)) = (folder, now)
        && folder != now
    {
        let (user, group) = (rustix::fs::Uid::from_raw(folder.0), rustix::fs::Gid::from_raw(folder.1));
        let _ = rustix::fs::fchown(made, Some(user), Some(group));
    }
}

#[cfg(not(unix))]
fn belongs_to_its_folder(_made: &File, _place: &Place) {}

/// Puts one file in the place of another, at once.
pub(super) fn rename(from: &Place, to: &Place) -> Result<(), ApplyError> {
    step("replace", &to.path)?;
    from.folder.rename(&from.name, &to.folder, &to.name).map_err(|error| io_error("replace", &to.path, error))
}

/// Puts each of two files in the place of the other, at once. Where the file system or the operating system cannot, the
/// first takes the place of the second, which is gone: `false`.
pub(super) fn exchange(from: &Place, to: &Place) -> Result<bool, ApplyError> {
    step("replace", &to.path)?;
    let is_exchanged = unless_unable(special::exchange(from, to));
    if is_exchanged.map_err(|error| io_error("replace", &to.path, error))? {
        return Ok(true);
    }
    rename(from, to).map(|()| false)
}

/// Moves a file to a name that nothing has; `false`, and nothing is done, when something stands there.
pub(super) fn move_to_free(from: &Place, to: &Place) -> Result<bool, ApplyError> {
    step("move", &to.path)?;
    let moved = match special::move_to_free(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        moved => unless_unable(moved),
    };
    if moved.map_err(|error| io_error("move", &to.path, error))? {
        return Ok(true);
    }
    if found(to)?.is_some() {
        return Ok(false);
    }
    rename(from, to).map(|()| true)
}

fn unless_unable(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        // Linux says "invalid" where a file system does not know the flag.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Renames that only some systems have.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod special {
    use std::io;

    use rustix::fs::{RenameFlags, renameat_with};

    use super::Place;

    pub fn exchange(from: &Place, to: &Place) -> io::Result<()> {
        rename(from, to, RenameFlags::EXCHANGE)
    }

    pub fn move_to_free(from: &Place, to: &Place) -> io::Result<()> {
        rename(from, to, RenameFlags::NOREPLACE)
    }

    fn rename(from: &Place, to: &Place, flags: RenameFlags) -> io::Result<()> {
        Ok(renameat_with(&*from.folder, &from.name, &*to.folder, &to.name, flags)?)
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod special {
    use std::io;

    use super::Place;

    pub fn exchange(_from: &Place, _to: &Place) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn move_to_free(_from: &Place, _to: &Place) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Removes a file; fine when there is none.
pub(super) fn remove_file(place: &Place) -> Result<(), ApplyError> {
    if found(place)?.is_none() {
        return Ok(());
    }
    step("remove", &place.path)?;
    let removed = unless_missing(place.folder.remove_file(&place.name));
    removed.map(drop).map_err(|error| io_error("remove", &place.path, error))
}

/// Makes a directory, unless there is one.
///
/// # Errors
/// [`ApplyError::LinkInstead`] when something else stands there.
pub(super) fn create_dir(place: &Place, private: bool) -> Result<(), ApplyError> {
    let stands = || match found(place)? {
        Some(found) if found.is_dir() => Ok(true),
        Some(_) => Err(ApplyError::LinkInstead { path: place.path.clone() }),
        None => Ok(false),
    };
    if stands()? {
        return Ok(());
    }
    step("create", &place.path)?;
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use cap_std::fs::DirBuilderExt;
        builder.mode(if private { 0o700 } else { 0o777 });
    }
    #[cfg(not(unix))]
    let _ = private;
    match place.folder.create_dir_with(&place.name, &builder) {
        Ok(()) => {
            // By a handle of its own: that of a folder which is only passed through changes nothing.
            #[cfg(unix)]
            if let Ok(made) = open_dir(place).and_then(|dir| dir.open(".")) {
                belongs_to_its_folder(&made, place);
            }
            sync_folder(place)
        }
        Err(error) => match stands()? {
            true => Ok(()),
            false => Err(io_error("create", &place.path, error)),
        },
    }
}

/// Names in a directory; none when there is none.
pub(super) fn names(place: &Place) -> Result<Vec<String>, ApplyError> {
    let failed = |error| io_error("read", &place.path, error);
    let Some(found) = found(place)? else { return Ok(Vec::new()) };
    if !found.is_dir() {
        return Err(ApplyError::LinkInstead { path: place.path.clone() });
    }
    let Some(folder) = unless_missing(open_dir(place)).map_err(failed)? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in folder.entries().map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn open_dir(place: &Place) -> io::Result<cap_std::fs::Dir> {
    cap_fs_ext::DirExt::open_dir_nofollow(&*place.folder, &place.name)
}

/// Removes a directory that holds files only; fine when there is none.
pub(super) fn remove_dir_of_files(place: &Place) -> Result<(), ApplyError> {
    let names = names(place)?;
    let opened = unless_missing(open_dir(place)).map_err(|error| io_error("open", &place.path, error))?;
    let Some(folder) = opened.map(Arc::new) else { return Ok(()) };
    for name in names {
        let (path, relative) = (place.path.join(&name), format!("{}/{name}", place.relative));
        remove_file(&Place { folder: folder.clone(), name, relative, path })?;
    }
    // Windows removes no folder that is open.
    drop(folder);
    step("remove", &place.path)?;
    let removed = unless_missing(place.folder.remove_dir(&place.name));
    removed.map(drop).map_err(|error| io_error("remove", &place.path, error))
}

/// Removes a directory if there is one and it is empty.
pub(super) fn remove_empty_dir(place: &Place) -> Result<(), ApplyError> {
    if found(place)?.is_none_or(|found| !found.is_dir()) || !names(place)?.is_empty() {
        return Ok(());
    }
    step("remove", &place.path)?;
    match unless_missing(place.folder.remove_dir(&place.name)) {
        // Somebody put something there meanwhile.
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(io_error("remove", &place.path, error)),
        _ => Ok(()),
    }
}

/// Brings the names in a file's folder down to the disk. Windows does it by itself.
pub(super) fn sync_folder(place: &Place) -> Result<(), ApplyError> {
    let folder = place.path.parent().unwrap_or(&place.path);
    step("sync", folder)?;
    #[cfg(unix)]
    {
        let synced = place.folder.open(".").and_then(|opened| opened.sync_all());
        synced.map_err(|error| io_error("sync", folder, error))?;
    }
    Ok(())
}

/// Opens the lock file, made when missing; `None` when its directory is gone.
pub(super) fn open_lock(place: &Place) -> Result<Option<File>, ApplyError> {
    if found(place)?.is_some_and(|found| !found.is_file()) {
        return Err(ApplyError::NotAFile { path: place.path.clone() });
    }
    step("open", &place.path)?;
    let file = place.folder.open_with(&place.name, options().write(true).create(true));
    let file = unless_missing(file).map_err(|error| io_error("open", &place.path, error))?;
    let file = file.map(cap_std::fs::File::into_std);
    file.iter().for_each(|file| belongs_to_its_folder(file, place));
    Ok(file)
}

/// Whether an open file is the one that stands there.
pub(super) fn is_at(file: &File, place: &Place) -> Result<bool, ApplyError> {
    let held = file.try_clone().and_then(|file| cap_std::fs::File::from_std(file).metadata());
    let held = held.map_err(|error| io_error("read", &place.path, error))?;
    Ok(found(place)?.is_some_and(|there| (held.dev(), held.ino()) == (there.dev(), there.ino())))
}

/// Under how many names a file stands; 0 when there is none.
pub(super) fn hard_links(place: &Place) -> Result<u64, ApplyError> {
    Ok(found(place)?.map_or(0, |found| found.nlink()))
}
