//! The access list of a file on Windows, as text in the system's own language for it (SDDL).
#![expect(unsafe_code, reason = "Win32 is C")]

use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
    GetSecurityInfo, SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SetKernelObjectSecurity};

/// What the system has allocated, and wants back.
struct Local(*mut core::ffi::c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: the system made it with `LocalAlloc`, and nothing else frees it.
        unsafe { LocalFree(self.0) };
    }
}

/// The access list of an open file: who may do what, and whether it takes from its folder.
pub(super) fn read(file: &File) -> io::Result<String> {
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: the handle is open; the system fills `descriptor`, and the other places may be null.
    let code = unsafe {
        GetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    let descriptor = Local(descriptor);
    let (mut text, mut length) = (null_mut(), 0);
    // SAFETY: the descriptor is one of the system's; it fills `text` and `length`.
    let is_told = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor.0,
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &raw mut text,
            &raw mut length,
        )
    };
    if is_told == 0 {
        return Err(io::Error::last_os_error());
    }
    let text = Local(text.cast());
    // SAFETY: `length` characters are there, the zero at the end among them.
    let characters = unsafe { std::slice::from_raw_parts(text.0.cast::<u16>(), length as usize) };
    let characters = characters.split(|character| *character == 0).next().unwrap_or_default();
    String::from_utf16(characters).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Whether the file system has no access lists (`ERROR_INVALID_FUNCTION`, `ERROR_NOT_SUPPORTED`).
pub(super) fn has_none(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(1 | 50))
}

/// Gives an access list to a file that is open with the right to change it, entry by entry as it was read: with those that
/// came from the folder, and no others.
pub(super) fn give(file: &File, list: &str) -> io::Result<()> {
    // Without being asked (AR), the system forgets that the list takes from its folder (AI).
    let asked = list.replacen("D:AI", "D:ARAI", 1).replacen("D:PAI", "D:PARAI", 1);
    let text: Vec<u16> = asked.encode_utf16().chain([0]).collect();
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: `text` ends with a zero; the system fills `descriptor`.
    let is_read = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        )
    };
    if is_read == 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = Local(descriptor);
    // SAFETY: the handle is open, and the descriptor is one of the system's.
    let is_given = unsafe { SetKernelObjectSecurity(file.as_raw_handle(), DACL_SECURITY_INFORMATION, descriptor.0) };
    if is_given == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
