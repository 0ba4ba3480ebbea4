//! Asks Windows about processors: it fills buffers of ours, and understands nothing.
#![expect(unsafe_code, reason = "Win32 is C")]

use std::io;
use std::mem::{offset_of, size_of};
use std::ptr;

use windows_sys::Win32::Foundation::ERROR_INSUFFICIENT_BUFFER;
use windows_sys::Win32::System::SystemInformation::{
    CACHE_RELATIONSHIP, GROUP_AFFINITY, GetLogicalProcessorInformationEx, LOGICAL_PROCESSOR_RELATIONSHIP,
    NUMA_NODE_RELATIONSHIP, PROCESSOR_RELATIONSHIP, RelationAll, RelationNumaNodeEx,
    SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessAffinityMask, GetProcessGroupAffinity};

use super::{AFFINITY, Answer, HEAD};

/// How often a buffer may turn out too small because a CPU has come in between.
const TRIES: usize = 8;

// The places that `super::read` reads from are those of Windows' own declarations.
const _: () = {
    assert!(offset_of!(SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, Anonymous) == HEAD);
    assert!(size_of::<GROUP_AFFINITY>() == AFFINITY && offset_of!(GROUP_AFFINITY, Group) == 8);
    assert!(HEAD + offset_of!(PROCESSOR_RELATIONSHIP, EfficiencyClass) == 9);
    assert!(HEAD + offset_of!(PROCESSOR_RELATIONSHIP, GroupCount) == 30);
    assert!(HEAD + offset_of!(PROCESSOR_RELATIONSHIP, GroupMask) == 32);
    assert!(HEAD + offset_of!(NUMA_NODE_RELATIONSHIP, NodeNumber) == 8);
    assert!(HEAD + offset_of!(NUMA_NODE_RELATIONSHIP, GroupCount) == 30);
    assert!(HEAD + offset_of!(NUMA_NODE_RELATIONSHIP, Anonymous) == 32);
    assert!(HEAD + offset_of!(CACHE_RELATIONSHIP, Level) == 8);
    assert!(HEAD + offset_of!(CACHE_RELATIONSHIP, CacheSize) == 12);
    assert!(HEAD + offset_of!(CACHE_RELATIONSHIP, GroupCount) == 38);
    assert!(HEAD + offset_of!(CACHE_RELATIONSHIP, Anonymous) == 40);
};

/// Asks for the processors, and where this process may run.
///
/// # Errors
/// The reason why Windows does not describe its processors.
pub fn ask() -> Result<Answer, String> {
    let mut records =
        records(RelationAll).map_err(|error| format!("Windows does not describe its processors: {error}"))?;
    // From Windows 11 on nodes of several groups name only their first one, unless they are asked for by themselves;
    // before, a node has one group and this is no question.
    records.extend(self::records(RelationNumaNodeEx).unwrap_or_default());
    let groups = groups().unwrap_or_default();
    let mask = if groups.len() <= 1 { mask().unwrap_or_default() } else { 0 };
    Ok(Answer { records, groups, mask })
}

fn records(kind: LOGICAL_PROCESSOR_RELATIONSHIP) -> io::Result<Vec<u8>> {
    let mut size = 0_u32;
    for _ in 0..TRIES {
        // Of 8 bytes each, because the records hold numbers of 8 bytes and Windows writes them where they are aligned.
        let mut buffer = vec![0_u64; (size as usize).div_ceil(8)];
        let start = if size == 0 {
            ptr::null_mut()
        } else {
            buffer.as_mut_ptr().cast::<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX>()
        };
        // SAFETY: `start` is null with a size of 0, or the start of a live buffer of at least `size` bytes with the
        // alignment of the records, which nothing else refers to; `size` is a variable of ours. Windows writes no more
        // than `size` bytes and keeps neither pointer.
        let done = unsafe { GetLogicalProcessorInformationEx(kind, start, &raw mut size) };
        if done != 0 {
            let bytes = buffer.iter().flat_map(|word| word.to_le_bytes());
            return Ok(bytes.take(size as usize).collect());
        }
        let error = io::Error::last_os_error();
        if !is_too_small(&error) {
            return Err(error);
        }
    }
    Err(io::Error::other("its answer keeps growing"))
}

fn groups() -> io::Result<Vec<u16>> {
    let mut groups = Vec::new();
    for _ in 0..TRIES {
        let mut count = u16::try_from(groups.len()).map_err(io::Error::other)?;
        // SAFETY: `groups` is live and has room for `count` numbers; `count` is a variable of ours. Windows writes no
        // more than that, says in `count` how many there are, and keeps neither pointer. The handle of the current
        // process is a constant that is always valid and need not be closed.
        let done = unsafe { GetProcessGroupAffinity(GetCurrentProcess(), &raw mut count, groups.as_mut_ptr()) };
        if done != 0 {
            groups.truncate(count.into());
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if !is_too_small(&error) {
            return Err(error);
        }
        groups.resize(count.into(), 0);
    }
    Err(io::Error::other("its answer keeps growing"))
}

fn mask() -> io::Result<u64> {
    let (mut process, mut system) = (0_usize, 0_usize);
    // SAFETY: both are variables of ours that Windows writes a number to; it keeps neither pointer. The handle is as above.
    let done = unsafe { GetProcessAffinityMask(GetCurrentProcess(), &raw mut process, &raw mut system) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(process as u64) }
}

fn is_too_small(error: &io::Error) -> bool {
    error.raw_os_error().and_then(|code| u32::try_from(code).ok()) == Some(ERROR_INSUFFICIENT_BUFFER)
}
