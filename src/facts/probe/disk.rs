//! The disk where the models lie: its size, what is free on it, and its kind.
//!
//! Size and free space are those of the file system that holds a folder. The kind is found below the mount: by the type of
//! the file system, then by the block devices that it lies on, down to the disks themselves.

use std::fmt;
use std::fs;
use std::path::{self, Path, PathBuf};

use sysinfo::{Disk, DiskKind, DiskRefreshKind, Disks};

use super::mounts::Mount;
use crate::facts::{Facts, Origin};

/// File systems that reach their disk through a protocol: a server's, or the host's of a virtual machine. WSL's `/mnt/c`
/// is one (`9p`): the disk may be fast, the way to it is not. A FUSE file system is named after `fuse.`.
#[rustfmt::skip]
const NETWORK: &[&str] = &[
    "9p", "afs", "beegfs", "blobfuse2", "ceph", "ceph-fuse", "cifs", "davfs", "drvfs", "gcsfuse", "geesefs",
    "glusterfs", "goofys", "gpfs", "juicefs", "lustre", "mfs", "nfs", "nfs4", "pvfs2", "rclone", "s3fs", "smb3", "sshfs",
    "vboxsf", "virtiofs", "vmhgfs-fuse", "wekafs",
];

/// File systems that no disk can be found below, and why.
const HIDDEN: &[(&str, &str)] = &[
    ("overlay", "the layers of a container hide their disk"),
    ("ramfs", "the folder lies in memory, not on a disk"),
    ("tmpfs", "the folder lies in memory, not on a disk"),
    ("zfs", "ZFS does not tell the kernel which disks it lies on"),
];

/// Models of disks that lie in a data centre's network and look like NVMe or SCSI disks.
///
/// Sources: Amazon EC2 user guide, "EBS volumes and NVMe"; Azure/azure-vm-utils `udev/80-azure-disk.rules`; the disks of
/// Google Compute Engine (`nvme_card-pd` beside `nvme_card` for a local one, `PersistentDisk` on SCSI).
const REMOTE: &[&str] = &["Amazon Elastic Block Store", "MSFT NVMe Accelerator", "PersistentDisk", "nvme_card-pd"];

/// Words in the vendor or model of disks that a hypervisor makes up, and with them whether they rotate.
const VIRTUAL: &[&str] = &["QEMU", "VBOX", "VMware", "Virtual"];

/// Words in the vendor or model of volumes that a RAID controller makes of its disks. Like adapters for USB, many call
/// every disk one that rotates.
const CONTROLLERS: &[&str] = &["AVAGO", "BROADCOM", "LOGICAL VOLUME", "LSI", "PERC", "RAID"];

/// Deepest stack of block devices that is followed (LVM on LUKS on RAID has four).
const MAX_DEPTH: usize = 16;

/// The kind of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A solid-state disk on PCIe.
    Nvme,
    /// Any other solid-state disk.
    Ssd,
    /// A disk that rotates.
    Hdd,
    /// A disk behind a protocol: a server's, or the host's.
    Network,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvme => "nvme",
            Self::Ssd => "ssd",
            Self::Hdd => "hdd",
            Self::Network => "network",
        })
    }
}

/// `disk.free`, `disk.total` and `disk.kind` of the file system that holds a folder.
pub fn probe(folder: &Path) -> Facts {
    let mut facts = Facts::new("no probe reports it");
    let real = match fs::canonicalize(folder) {
        Ok(real) => real,
        Err(error) => {
            facts.unknown("disk", format!("the folder cannot be opened: {error}"));
            return facts;
        }
    };
    match fs4::statvfs(&real) {
        // Some FUSE file systems do not count.
        Ok(space) if space.total_space() > 0 => {
            facts.know("disk.free", space.available_space(), Origin::Sysinfo);
            facts.know("disk.total", space.total_space(), Origin::Sysinfo);
        }
        Ok(_) => facts.unknown("disk", "the file system does not say"),
        Err(error) => facts.unknown("disk", format!("the file system cannot be asked: {error}")),
    }
    let kind = if cfg!(target_os = "linux") { kind(Path::new("/"), &real) } else { listed_kind(folder) };
    facts.know_or("disk.kind", kind.map(|kind| kind.to_string()), Origin::Sysinfo);
    facts
}

/// The kind of the disk that holds a folder, from the files of a Linux kernel.
///
/// `root` stands for `/`; the folder is an absolute path without links.
///
/// # Errors
/// The reason, when it cannot be told.
pub fn kind(root: &Path, folder: &Path) -> Result<Kind, String> {
    let path = "proc/self/mountinfo";
    let mounts = fs::read(root.join(path)).map_err(|error| format!("`/{path}` cannot be read: {error}"))?;
    let mounts = String::from_utf8_lossy(&mounts);
    // Of several mounts at one place the last one hides the others.
    let mount = mounts.lines().filter_map(Mount::parse).filter(|mount| folder.starts_with(&mount.at));
    let mount = mount.max_by_key(|mount| Path::new(&mount.at).components().count());
    let mount = mount.ok_or_else(|| format!("`/{path}` does not list its mount"))?;

    let file_system = match mount.kind {
        "fuse" => mount.source.split('#').next().unwrap_or_default(),
        kind => kind.strip_prefix("fuse.").unwrap_or(kind),
    };
    if NETWORK.contains(&file_system) {
        return Ok(Kind::Network);
    }
    if let Some((_, reason)) = HIDDEN.iter().find(|(name, _)| *name == file_system) {
        return Err((*reason).to_owned());
    }
    one_kind(devices(root, &mount)?.iter().map(|device| kind_of_device(device, 0)))
}

// The kind where the system lists its disks but not what they are made of.
fn listed_kind(folder: &Path) -> Result<Kind, String> {
    let unknown = || "the system does not say".to_owned();
    let folder = path::absolute(folder).map_err(|_| unknown())?;
    let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_kind());
    let disks = disks.map_err(|error| format!("the system does not say: {error}"))?;
    let disks = disks.iter().filter(|disk| folder.starts_with(disk.mount_point()));
    match disks.max_by_key(|disk| disk.mount_point().components().count()).map(Disk::kind) {
        Some(DiskKind::SSD) => Ok(Kind::Ssd),
        Some(DiskKind::HDD) => Ok(Kind::Hdd),
        _ => Err(unknown()),
    }
}

// The block devices in `/sys` that a mount lies on.
fn devices(root: &Path, mount: &Mount<'_>) -> Result<Vec<PathBuf>, String> {
    let blocks = root.join("sys/class/block");
    let found = if mount.device.starts_with("0:") {
        // Of the disks that Btrfs may span the mount names one; the others stand beside it.
        let device = fs::canonicalize(root.join(mount.source.trim_start_matches('/'))).ok();
        let name = device.as_deref().and_then(Path::file_name).unwrap_or_default();
        let pools = list(&root.join("sys/fs/btrfs")).into_iter().map(|pool| list(&pool.join("devices")));
        let pool = pools.into_iter().find(|pool| pool.iter().any(|device| device.file_name() == Some(name)));
        pool.unwrap_or_else(|| if name.is_empty() { Vec::new() } else { vec![blocks.join(name)] })
    } else {
        vec![root.join("sys/dev/block").join(mount.device)]
    };
    let real: Option<Vec<PathBuf>> = found.iter().map(|device| fs::canonicalize(device).ok()).collect();
    real.filter(|devices| !devices.is_empty())
        .ok_or_else(|| format!("the kernel does not say which disk the file system ({}) lies on", mount.kind))
}

// A partition lies on its disk; LVM, RAID and encryption on their slaves.
fn kind_of_device(device: &Path, depth: usize) -> Result<Kind, String> {
    let slaves = list(&device.join("slaves"));
    if !slaves.is_empty() && depth < MAX_DEPTH {
        let slaves = slaves.iter().filter_map(|slave| fs::canonicalize(slave).ok());
        return one_kind(slaves.map(|slave| kind_of_device(&slave, depth + 1)));
    }
    match device.parent() {
        Some(disk) if device.join("partition").exists() => kind_of_disk(disk),
        _ => kind_of_disk(device),
    }
}

fn kind_of_disk(disk: &Path) -> Result<Kind, String> {
    let name = disk.file_name().unwrap_or_default().to_string_lossy();
    let text = |path: &str| fs::read_to_string(disk.join(path)).unwrap_or_default().trim().to_owned();
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let (vendor, model) = (text("device/vendor"), text("device/model"));
    let called = |words: &[&str]| words.iter().any(|word| vendor.contains(word) || model.contains(word));
    // A step of the path to the device, such as `usb2`.
    let through = |step: &str| {
        let mut rests = disk.iter().filter_map(|part| part.to_str()?.strip_prefix(step));
        rests.any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let fabric = matches!(&*text("device/transport"), "tcp" | "rdma" | "fc");
    if called(REMOTE) || is(&["nbd", "rbd"]) || fabric || through("session") {
        return Ok(Kind::Network);
    }
    if called(VIRTUAL) || is(&["vd", "xvd"]) {
        return Err("a virtual disk does not say what it lies on".to_owned());
    }
    if is(&["loop", "zram", "ram", "dm-", "md", "zd"]) {
        return Err(format!("the kernel does not say which disk `{name}` lies on"));
    }
    if is(&["nvme"]) {
        return Ok(Kind::Nvme);
    }
    match &*text("queue/rotational") {
        "0" => Ok(Kind::Ssd),
        "1" if called(CONTROLLERS) || through("usb") => {
            Err("the disk's controller does not say whether it rotates".to_owned())
        }
        "1" => Ok(Kind::Hdd),
        _ => Err("the kernel does not say".to_owned()),
    }
}

// The kind that all have.
fn one_kind(mut kinds: impl Iterator<Item = Result<Kind, String>>) -> Result<Kind, String> {
    let first = kinds.next().unwrap_or_else(|| Err("the kernel does not say".to_owned()))?;
    for kind in kinds {
        if kind? != first {
            return Err("it spans disks of different kinds".to_owned());
        }
    }
    Ok(first)
}

fn list(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::testing;
    use super::*;

    /// A machine whose models lie in `/models`.
    struct Machine(testing::Machine);

    impl Machine {
        fn with(mounts: &[&str]) -> Self {
            let mounts: String = mounts.iter().map(|mount| format!("1 0 {mount}\n")).collect();
            Self(testing::root(&[("proc/self/mountinfo", &mounts)]))
        }

        fn file(self, path: &str, text: &str) -> Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn link(self, target: &str, at: &str) -> Self {
            let at = self.0.path().join(at);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            symlink(self.0.path().join(target), at).unwrap();
            self
        }

        /// A block device: its folder below `sys/devices`, its number, and the folders of those it lies on.
        fn device(self, folder: &str, number: &str, slaves: &[&str]) -> Self {
            let name = |folder: &str| folder.rsplit('/').next().unwrap().to_owned();
            let device = format!("sys/devices/{folder}");
            fs::create_dir_all(self.0.path().join(&device)).unwrap();
            let machine = self.link(&device, &format!("sys/class/block/{}", name(folder)));
            let machine = machine.link(&device, &format!("sys/dev/block/{number}"));
            slaves.iter().fold(machine, |machine, slave| {
                machine.link(&format!("sys/devices/{slave}"), &format!("{device}/slaves/{}", name(slave)))
            })
        }

        /// The same for a partition.
        fn partition(self, folder: &str, number: &str) -> Self {
            self.device(folder, number, &[]).file(&format!("sys/devices/{folder}/partition"), "1\n")
        }

        fn kind(&self) -> String {
            self.kind_at("/models")
        }

        fn kind_at(&self, folder: &str) -> String {
            kind(self.0.path(), Path::new(folder)).map_or_else(|reason| reason, |kind| kind.to_string())
        }
    }

    #[test]
    fn the_type_of_the_file_system_comes_first() {
        for (mount, want) in [
            ("0:50 / / rw - nfs4 server:/models rw", "network"),
            ("0:50 / / rw - cifs //server/models rw", "network"),
            ("0:50 / / rw - fuse.sshfs me@server: rw", "network"),
            (r"0:50 / / rw - fuse mfs\043server:9421 rw", "network"),
            ("0:50 / / rw - fuse something rw", "the kernel does not say which disk the file system (fuse) lies on"),
            (r"0:50 / / rw - 9p C:\134 rw,aname=drvfs", "network"),
            ("0:50 / / rw - virtiofs models rw", "network"),
            ("0:50 / / rw - tmpfs tmpfs rw", "the folder lies in memory, not on a disk"),
            ("0:50 / / rw - overlay overlay rw,upperdir=/u", "the layers of a container hide their disk"),
            ("0:50 / / rw - zfs tank/models rw", "ZFS does not tell the kernel which disks it lies on"),
            ("8:1 / / rw - ext4 /dev/sda1 rw", "the kernel does not say which disk the file system (ext4) lies on"),
            ("8:1 / /elsewhere rw - ext4 /dev/sda1 rw", "`/proc/self/mountinfo` does not list its mount"),
        ] {
            assert_eq!(Machine::with(&[mount]).kind(), want, "{mount}");
        }
        let reason = kind(Path::new("/nowhere"), Path::new("/")).unwrap_err();
        assert!(reason.starts_with("`/proc/self/mountinfo` cannot be read: "), "{reason}");
    }

    #[test]
    fn the_innermost_mount_counts_and_the_last_one_at_a_place() {
        let mounts = [
            "0:1 / / rw - tmpfs x rw",
            "0:2 / /data rw - zfs x rw",
            "0:3 / /data rw - overlay x rw",
            r"0:4 / /data/my\040models rw - nfs x rw",
        ];
        let machine = Machine::with(&mounts);
        assert_eq!(machine.kind_at("/data/my models/wan"), "network");
        assert_eq!(machine.kind_at("/data/other"), "the layers of a container hide their disk");
        assert_eq!(machine.kind_at("/database"), "the folder lies in memory, not on a disk");
    }

    #[test]
    fn a_partition_is_as_its_disk() {
        let machine = Machine::with(&["259:2 / / rw - ext4 /dev/root rw"]);
        assert_eq!(machine.partition("pci0/nvme/nvme0/nvme0n1/nvme0n1p2", "259:2").kind(), "nvme");
        for (rotational, disk, want) in [
            ("0\n", "pci0/ata1/block/sda", "ssd"),
            ("1\n", "pci0/ata1/block/sda", "hdd"),
            ("", "pci0/ata1/block/sda", "the kernel does not say"),
            ("0\n", "pci0/usb2/2-1/block/sda", "ssd"),
            ("1\n", "pci0/usb2/2-1/block/sda", "the disk's controller does not say whether it rotates"),
            ("0\n", "platform/host3/session1/block/sda", "network"),
        ] {
            let machine = Machine::with(&["8:1 / / rw - xfs /dev/sda1 rw"]).partition(&format!("{disk}/sda1"), "8:1");
            let machine = machine.file(&format!("sys/devices/{disk}/queue/rotational"), rotational);
            assert_eq!(machine.kind(), want, "{disk} {rotational}");
        }
    }

    #[test]
    fn the_model_tells_what_the_name_does_not() {
        for (name, file, text, want) in [
            ("nvme1n1", "model", "Samsung SSD 990 PRO 2TB", "nvme"),
            ("nvme1n1", "model", "Amazon EC2 NVMe Instance Storage", "nvme"),
            ("nvme1n1", "model", "Amazon Elastic Block Store", "network"),
            ("nvme0n1", "model", "nvme_card-pd", "network"),
            ("nvme0n1", "model", "nvme_card3", "nvme"),
            ("nvme0n1", "transport", "tcp", "network"),
            ("nvme0n1", "transport", "pcie", "nvme"),
            ("nvme0n1", "model", "VMware Virtual NVMe Disk", "a virtual disk does not say what it lies on"),
            ("sda", "model", "Virtual Disk", "a virtual disk does not say what it lies on"),
            ("sda", "vendor", "QEMU", "a virtual disk does not say what it lies on"),
            ("vda", "vendor", "0x1af4", "a virtual disk does not say what it lies on"),
            ("sda", "model", "ST8000DM004-2CX1", "hdd"),
            ("sda", "model", "PERC H755 Front", "the disk's controller does not say whether it rotates"),
            ("nbd0", "model", "", "network"),
            ("loop3", "model", "", "the kernel does not say which disk `loop3` lies on"),
        ] {
            let machine = Machine::with(&["8:0 / / rw - ext4 x rw"]).device(name, "8:0", &[]);
            let machine = machine.file(&format!("sys/devices/{name}/queue/rotational"), "1\n");
            let machine = machine.file(&format!("sys/devices/{name}/device/{file}"), &format!("{text}  \n"));
            assert_eq!(machine.kind(), want, "{name} {text}");
        }
    }

    #[test]
    fn stacked_devices_are_followed_down_to_their_disks() {
        let on = |slaves: &[&str]| {
            let machine = Machine::with(&["253:1 / / rw - ext4 /dev/mapper/vg-models rw"])
                .device("virtual/block/dm-1", "253:1", &["virtual/block/dm-0"])
                .device("virtual/block/dm-0", "253:0", slaves)
                .partition("pci0/nvme0n1/nvme0n1p2", "259:2")
                .device("pci0/nvme1n1", "259:3", &[])
                .device("pci0/sdb", "8:16", &[]);
            machine.file("sys/devices/pci0/sdb/queue/rotational", "1\n").kind()
        };
        assert_eq!(on(&["pci0/nvme0n1/nvme0n1p2", "pci0/nvme1n1"]), "nvme");
        assert_eq!(on(&["pci0/sdb"]), "hdd");
        assert_eq!(on(&["pci0/nvme1n1", "pci0/sdb"]), "it spans disks of different kinds");
        assert_eq!(on(&[]), "the kernel does not say which disk `dm-0` lies on");
        assert!(on(&["virtual/block/dm-1"]).starts_with("the kernel does not say which disk `dm-"), "a circle");
    }

    #[test]
    fn btrfs_may_span_disks() {
        let machine = Machine::with(&["0:30 /@home / rw - btrfs /dev/mapper/home rw"])
            .link("dev/nvme0n1p3", "dev/mapper/home")
            .file("dev/nvme0n1p3", "")
            .partition("pci0/nvme0n1/nvme0n1p3", "259:3")
            .device("pci0/sdb", "8:16", &[])
            .file("sys/devices/pci0/sdb/queue/rotational", "1\n");
        assert_eq!(machine.kind(), "nvme");
        let machine = machine.link("sys/class/block/sdb", "sys/fs/btrfs/1-2/devices/sdb");
        assert_eq!(machine.kind(), "nvme", "the disk of another file system");
        let machine = machine.link("sys/class/block/nvme0n1p3", "sys/fs/btrfs/1-2/devices/nvme0n1p3");
        assert_eq!(machine.kind(), "it spans disks of different kinds");
    }

    #[test]
    fn this_machine_has_a_disk() {
        let facts = probe(Path::new("."));
        let bytes = |name| facts.value(name).and_then(serde_json::Value::as_u64).unwrap();
        assert!(bytes("disk.free") <= bytes("disk.total"));
        assert!(facts.value("disk.kind").is_some() || facts.reason("disk.kind") != "no probe reports it");
        let facts = probe(Path::new("nowhere"));
        assert!(facts.reason("disk.kind").starts_with("the folder cannot be opened: "));
    }
}
