//! A job of Windows that this process is in, with all that it starts from then on.
#![expect(unsafe_code, reason = "Win32 is C")]

use std::io;
use std::mem::size_of;
use std::ptr::null;

use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// Puts this process into a job that ends with it, however it ends: the system kills all that is in it then.
///
/// # Errors
/// Windows refuses.
pub(super) fn hold() -> io::Result<()> {
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    // SAFETY: both places may be null, which means a job without a name that no child inherits. The handle is never
    // closed but by the end of this process, which is what ends the job.
    let job = unsafe { CreateJobObjectW(null(), null()) };
    if job.is_null() {
        return Err(io::Error::last_os_error());
    }
    let size = size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32;
    // SAFETY: the handle is that of the job; Windows reads `size` bytes of `limits`, which is of the type that belongs to
    // the class, and keeps no pointer. The handle of the current process is a constant that is always valid.
    let done = unsafe {
        SetInformationJobObject(job, JobObjectExtendedLimitInformation, (&raw const limits).cast(), size) != 0
            && AssignProcessToJobObject(job, GetCurrentProcess()) != 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
