//! Which file systems a database may be on: those whose locks and shared memory every opener sees alike.
//!
//! SQLite's log needs both. On a network file system locks are of one machine, or late, or not there, and a database that
//! two machines write is lost without a word; and Errand's leases are kept by the clock of one machine.

use super::{Error, Result};
use rustix::fs::statfs;
use std::path::Path;

/// Set to 1 it allows a network file system to who knows that only one machine ever uses it, with working locks.
pub const ALLOW: &str = "ERRAND_ALLOW_NETWORK_FS";

/// By the number that Linux has for them.
const NETWORK: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564C, "NCP"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0xAAD7_AAEA, "PanFS"),
    (0x1983_0326, "BeeGFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
];
const FUSE: u32 = 0x6573_5546;
/// Programs that bring a network into FUSE. Others, and `virtiofs`, are of one machine: they are let in.
const NETWORK_FUSE: &[&str] = &[
    "sshfs",
    "smbnetfs",
    "glusterfs",
    "ceph",
    "ceph-fuse",
    "s3fs",
    "goofys",
    "mount-s3",
    "gcsfuse",
    "blobfuse",
    "blobfuse2",
    "rclone",
    "davfs",
    "davfs2",
    "curlftpfs",
    "juicefs",
    "seaweedfs",
    "moosefs",
    "mfs",
    "lizardfs",
    "weed",
    "nfs",
];

/// Refuses a folder of a network file system.
pub fn allowed(folder: &Path, path: &Path) -> Result<()> {
    // Where it cannot be told, SQLite tells whether it works.
    let Ok(found) = statfs(folder) else { return Ok(()) };
    let Some(kind) = network(found.f_type as u32, || fuse_type(folder)) else { return Ok(()) };
    if std::env::var_os(ALLOW).is_some_and(|value| value == "1") {
        return Ok(());
    }
    let path = path.display();
    Err(Error::Unusable(format!(
        "database {path} is on a network file system ({kind}), where SQLite's locks and shared memory cannot be relied on: \
         put it on a local disk, and let other machines use 'errand serve'. {ALLOW}=1 allows it where only one machine ever \
         uses it"
    )))
}

/// The name of a network file system of that number; `fuse` gives the type that stands in the list of mounts.
fn network(number: u32, fuse: impl FnOnce() -> Option<String>) -> Option<String> {
    if number == FUSE {
        let kind = fuse()?;
        let program = kind.strip_prefix("fuse.").unwrap_or(&kind);
        return NETWORK_FUSE.contains(&program).then(|| kind.clone());
    }
    NETWORK.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).into())
}

/// The type of the mount that a folder is in, such as `fuse.sshfs`.
fn fuse_type(folder: &Path) -> Option<String> {
    mount_type(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, folder)
}

/// In the list of mounts the last and longest that holds the folder.
fn mount_type(mounts: &str, folder: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let (Some(point), Some((_, rest))) = (line.split(' ').nth(4), line.split_once(" - ")) else { continue };
        let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        if folder.starts_with(&point) && best.is_none_or(|(length, _)| length <= point.len()) {
            best = rest.split(' ').next().map(|kind| (point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_from_those_of_one_machine() {
        let none = || unreachable!("it is not FUSE");
        for number in [0x6969, 0xFF53_4D42, 0xFE53_4D42, 0x00C3_6400, 0x5346_414F] {
            assert!(network(number, none).is_some(), "{number:x}");
        }
        // ext4, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs, ramfs, and 9p, which sandboxes and virtual machines have.
        for number in [
            0xEF53,
            0x5846_5342,
            0x9123_683E,
            0x0102_1994,
            0x794C_7630,
            0x2FC1_2FC1,
            0xF2F5_2010,
            0x8584_58F6,
            0x0102_1997,
        ] {
            assert_eq!(network(number, none), None, "{number:x}");
        }
        let fuse = |kind: &str| network(FUSE, || Some(kind.into()));
        assert_eq!(fuse("fuse.sshfs").as_deref(), Some("fuse.sshfs"));
        for kind in ["fuse.fuse-overlayfs", "fuseblk", "virtiofs", "fuse.gocryptfs", "fuse"] {
            assert_eq!(fuse(kind), None, "{kind}");
        }
        assert_eq!(network(FUSE, || None), None);
    }

    #[test]
    fn the_mount_of_a_folder_is_the_last_of_the_nearest() {
        let mounts = "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            40 21 0:35 / /home/a\\040b rw - fuse.sshfs host:/ rw\n\
            41 21 0:36 / /srv rw - fuse.sshfs host:/ rw\n\
            42 41 0:37 / /srv rw - fuse.gocryptfs x rw\n";
        let of = |folder: &str| mount_type(mounts, Path::new(folder));
        assert_eq!(of("/home/a b/c").as_deref(), Some("fuse.sshfs"));
        assert_eq!(of("/home/a").as_deref(), Some("ext4"));
        assert_eq!(of("/srv/jobs").as_deref(), Some("fuse.gocryptfs"));
        assert_eq!(of("/srvx").as_deref(), Some("ext4"));
    }
}
