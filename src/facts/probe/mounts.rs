//! The mounts of a Linux kernel, one per line of `/proc/self/mountinfo`.

/// A line of `mountinfo`: `36 35 98:0 /in/the/file/system /at options - type source its,options`.
pub struct Mount<'a> {
    /// The device as `major:minor`; the major number is 0 where no block device stands behind the mount itself.
    pub device: &'a str,
    /// The folder of the file system that is mounted.
    pub inside: &'a str,
    /// Where it is mounted.
    pub at: String,
    /// Type of the file system: `ext4`, `nfs4`, `fuse.sshfs`.
    pub kind: &'a str,
    /// What is mounted: a device, a share, or any word.
    pub source: String,
    /// Options of the file system.
    pub options: &'a str,
}

impl<'a> Mount<'a> {
    /// `None` when the line is cut short.
    pub fn parse(line: &'a str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        let (device, inside, at) = (front.next()?, front.next()?, front.next()?);
        let mut back = back.split(' ');
        let (kind, source, options) = (back.next()?, back.next()?, back.next().unwrap_or_default());
        Some(Self { device, inside, at: unescape(at), kind, source: unescape(source), options })
    }
}

// The kernel writes what would break the line in octal; the backslash comes last, as it starts the others.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\043", "#"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (octal, character)| text.replace(octal, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_optional_fields_in_its_middle() {
        let mount =
            Mount::parse("36 35 98:0 /in /at rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw,errors=continue");
        let mount = mount.unwrap();
        assert_eq!((mount.device, mount.inside, &*mount.at), ("98:0", "/in", "/at"));
        assert_eq!((mount.kind, &*mount.source, mount.options), ("ext4", "/dev/sda1", "rw,errors=continue"));
        assert!(Mount::parse("36 35 98:0 /in").is_none());
    }

    #[test]
    fn spaces_and_backslashes_are_written_in_octal() {
        let mount = Mount::parse(r"36 35 0:9 / /mnt/My\040Models rw - 9p C:\134040 rw").unwrap();
        assert_eq!((&*mount.at, &*mount.source), ("/mnt/My Models", r"C:\040"));
    }
}
