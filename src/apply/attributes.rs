//! What a file has besides its bytes: owner, permission bits, access control list, extended attributes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

#[cfg(windows)]
use super::access;
use super::root::Place;
use super::{ApplyError, disk};

/// What the new file gets that takes the place of another; each system fills what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attributes {
    /// Permission bits.
    #[serde(default, with = "octal", skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Numbers of user and group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<[u32; 2]>,
    /// Extended attributes, access control lists among them; values in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extended: BTreeMap<String, String>,
    /// The access list of Windows, in its own language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

/// Whether a file is not the same without this extended attribute. Labels of security modules follow rules of the
/// system, and only it may give them.
#[cfg(unix)]
fn matters(name: &str) -> bool {
    name.starts_with("user.") || name.starts_with("system.posix_acl")
}

impl Attributes {
    /// Those of a file; `None` when there is none.
    pub fn of(place: &Place) -> Result<Option<Self>, ApplyError> {
        let Some(file) = disk::open(place)? else { return Ok(None) };
        Self::read(&file).map(Some).map_err(|error| disk::io_error("read the attributes of", &place.path, error))
    }

    #[cfg(unix)]
    fn read(file: &File) -> io::Result<Self> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let found = file.metadata()?;
        Ok(Self {
            mode: Some(found.permissions().mode() & 0o7777),
            owner: Some([found.uid(), found.gid()]),
            extended: extended(file)?,
            access: None,
        })
    }

    #[cfg(windows)]
    fn read(file: &File) -> io::Result<Self> {
        let access = match access::read(file) {
            Ok(list) => Some(list),
            // FAT has none.
            Err(error) if access::has_none(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { access, ..Self::default() })
    }

    /// Gives them to a new file.
    ///
    /// # Errors
    /// [`ApplyError::NotKept`] when the system does not let this user give one of them.
    #[cfg(unix)]
    pub fn give(&self, file: &File, path: &Path) -> Result<(), ApplyError> {
        use std::os::unix::fs::{PermissionsExt, fchown};
        use xattr::FileExt;

        let now = Self::read(file).map_err(|error| disk::io_error("read the attributes of", path, error))?;
        let not_kept =
            |what: String| move |error: io::Error| ApplyError::NotKept { what, path: path.to_owned(), error };
        if let Some([user, group]) = self.owner.filter(|_| self.owner != now.owner) {
            disk::step("change the owner of", path)?;
            fchown(file, Some(user), Some(group)).map_err(not_kept(format!("owner {user}:{group}")))?;
        }
        if let Some(mode) = self.mode {
            disk::step("change the mode of", path)?;
            let permissions = std::fs::Permissions::from_mode(mode);
            file.set_permissions(permissions).map_err(not_kept(format!("mode {mode:04o}")))?;
        }
        // A folder may give its new files a list that the old one does not have.
        for name in now.extended.keys().filter(|name| matters(name) && !self.extended.contains_key(*name)) {
            disk::step("change the attributes of", path)?;
            file.remove_xattr(name).map_err(not_kept(format!("absence of `{name}`")))?;
        }
        for (name, value) in self.extended.iter().filter(|(name, value)| now.extended.get(*name) != Some(value)) {
            disk::step("change the attributes of", path)?;
            let given = bytes(value).and_then(|value| file.set_xattr(name, &value));
            if matters(name) {
                given.map_err(not_kept(format!("attribute `{name}`")))?;
            }
        }
        Ok(())
    }

    /// Gives them to a new file.
    ///
    /// # Errors
    /// [`ApplyError::NotKept`] when the system does not let this user give one of them.
    #[cfg(windows)]
    pub fn give(&self, file: &File, path: &Path) -> Result<(), ApplyError> {
        let now = Self::read(file).map_err(|error| disk::io_error("read the attributes of", path, error))?;
        let Some(list) = self.access.as_ref().filter(|_| self.access != now.access) else { return Ok(()) };
        disk::step("change the access list of", path)?;
        let not_kept = |error| ApplyError::NotKept { what: "access list".to_owned(), path: path.to_owned(), error };
        access::give(file, list).map_err(not_kept)
    }
}

// None where the file system has none.
#[cfg(unix)]
fn extended(file: &File) -> io::Result<BTreeMap<String, String>> {
    use xattr::FileExt;
    let names = match file.list_xattr() {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for name in names {
        // Some may be listed and not read; who may not read them cannot keep them either.
        if let Ok(Some(value)) = file.get_xattr(&name) {
            let digits = value.iter().map(|byte| format!("{byte:02x}")).collect();
            found.insert(name.to_string_lossy().into_owned(), digits);
        }
    }
    Ok(found)
}

#[cfg(unix)]
fn bytes(digits: &str) -> io::Result<Vec<u8>> {
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not written in hexadecimal"))
}

/// A mode as `"0644"`.
mod octal {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(mode: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
        mode.map(|mode| format!("{mode:04o}")).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| u32::from_str_radix(&text, 8).map_err(serde::de::Error::custom)).transpose()
    }
}
