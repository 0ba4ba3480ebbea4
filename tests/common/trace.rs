//! The program under a tracer, stopped before and after each of its system calls that touch one directory.
//!
//! Whatever library makes a call, and by whichever name the system knows it, it is seen here: a path argument is read
//! from the program's memory, and a file descriptor is looked up in `/proc`. All other calls pass a filter of the kernel
//! without a stop.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, IoSliceMut, Read, Seek, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// A system call on something below the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// As the system knows it.
    pub name: &'static str,
    pub kind: Kind,
    /// What it is about, relative to the directory; of a rename the new name.
    pub path: PathBuf,
    /// How many bytes a write has.
    pub length: Option<u64>,
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks for names and attributes.
    Look,
    /// Opens what is there to read it.
    Open,
    /// Opens to write, or makes a file.
    Create,
    Read,
    Write,
    Sync,
    /// Makes, moves or removes a name.
    Name,
    /// Changes a mode, an owner, times, extended attributes.
    Attributes,
    Lock,
    /// Becomes another program.
    Run,
}

impl Kind {
    /// Whether a call may leave something else on the disk.
    pub fn changes(self) -> bool {
        matches!(self, Self::Create | Self::Write | Self::Sync | Self::Name | Self::Attributes)
    }
}

/// On which side of a call the program stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

/// What becomes of the program there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Go,
    Kill,
    /// The call is not made and answers this. Only before a call.
    Fail(Errno),
    /// Half of the bytes are written. Only before a call with a length.
    Half,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    /// How many system calls there were on a file, wherever it lies.
    pub calls: usize,
}

// Where a call names what it is about, by the numbers of its arguments.
enum At {
    Path(usize),
    Directory(usize, usize),
    File(usize),
}
use At::{Directory, File as Descriptor, Path as Named};

type Row = (libc::c_long, &'static str, Kind, &'static [At]);

// The calls that this architecture has beside those that all have.
#[cfg(target_arch = "x86_64")]
const OLD: &[Row] = &[
    (libc::SYS_open, "open", Kind::Open, &[Named(0)]),
    (libc::SYS_creat, "creat", Kind::Create, &[Named(0)]),
    (libc::SYS_rename, "rename", Kind::Name, &[Named(1), Named(0)]),
    (libc::SYS_renameat, "renameat", Kind::Name, &[Directory(2, 3), Directory(0, 1)]),
    (libc::SYS_link, "link", Kind::Name, &[Named(1), Named(0)]),
    (libc::SYS_symlink, "symlink", Kind::Name, &[Named(1)]),
    (libc::SYS_unlink, "unlink", Kind::Name, &[Named(0)]),
    (libc::SYS_mkdir, "mkdir", Kind::Name, &[Named(0)]),
    (libc::SYS_rmdir, "rmdir", Kind::Name, &[Named(0)]),
    (libc::SYS_mknod, "mknod", Kind::Name, &[Named(0)]),
    (libc::SYS_chmod, "chmod", Kind::Attributes, &[Named(0)]),
    (libc::SYS_chown, "chown", Kind::Attributes, &[Named(0)]),
    (libc::SYS_lchown, "lchown", Kind::Attributes, &[Named(0)]),
    (libc::SYS_utime, "utime", Kind::Attributes, &[Named(0)]),
    (libc::SYS_utimes, "utimes", Kind::Attributes, &[Named(0)]),
    (libc::SYS_futimesat, "futimesat", Kind::Attributes, &[Directory(0, 1)]),
    (libc::SYS_stat, "stat", Kind::Look, &[Named(0)]),
    (libc::SYS_lstat, "lstat", Kind::Look, &[Named(0)]),
    (libc::SYS_access, "access", Kind::Look, &[Named(0)]),
    (libc::SYS_readlink, "readlink", Kind::Look, &[Named(0)]),
    (libc::SYS_getdents, "getdents", Kind::Look, &[Descriptor(0)]),
];
#[cfg(target_arch = "aarch64")]
const OLD: &[Row] = &[];

const CALLS: &[Row] = &[
    (libc::SYS_openat, "openat", Kind::Open, &[Directory(0, 1)]),
    (libc::SYS_openat2, "openat2", Kind::Open, &[Directory(0, 1)]),
    (libc::SYS_read, "read", Kind::Read, &[Descriptor(0)]),
    (libc::SYS_pread64, "pread64", Kind::Read, &[Descriptor(0)]),
    (libc::SYS_readv, "readv", Kind::Read, &[Descriptor(0)]),
    (libc::SYS_preadv, "preadv", Kind::Read, &[Descriptor(0)]),
    (libc::SYS_preadv2, "preadv2", Kind::Read, &[Descriptor(0)]),
    (libc::SYS_write, "write", Kind::Write, &[Descriptor(0)]),
    (libc::SYS_pwrite64, "pwrite64", Kind::Write, &[Descriptor(0)]),
    (libc::SYS_writev, "writev", Kind::Write, &[Descriptor(0)]),
    (libc::SYS_pwritev, "pwritev", Kind::Write, &[Descriptor(0)]),
    (libc::SYS_pwritev2, "pwritev2", Kind::Write, &[Descriptor(0)]),
    (libc::SYS_copy_file_range, "copy_file_range", Kind::Write, &[Descriptor(2), Descriptor(0)]),
    (libc::SYS_sendfile, "sendfile", Kind::Write, &[Descriptor(0), Descriptor(1)]),
    (libc::SYS_splice, "splice", Kind::Write, &[Descriptor(2), Descriptor(0)]),
    (libc::SYS_fallocate, "fallocate", Kind::Write, &[Descriptor(0)]),
    (libc::SYS_ftruncate, "ftruncate", Kind::Write, &[Descriptor(0)]),
    (libc::SYS_truncate, "truncate", Kind::Write, &[Named(0)]),
    (libc::SYS_fsync, "fsync", Kind::Sync, &[Descriptor(0)]),
    (libc::SYS_fdatasync, "fdatasync", Kind::Sync, &[Descriptor(0)]),
    (libc::SYS_sync_file_range, "sync_file_range", Kind::Sync, &[Descriptor(0)]),
    (libc::SYS_syncfs, "syncfs", Kind::Sync, &[Descriptor(0)]),
    (libc::SYS_renameat2, "renameat2", Kind::Name, &[Directory(2, 3), Directory(0, 1)]),
    (libc::SYS_linkat, "linkat", Kind::Name, &[Directory(2, 3), Directory(0, 1)]),
    (libc::SYS_symlinkat, "symlinkat", Kind::Name, &[Directory(1, 2)]),
    (libc::SYS_unlinkat, "unlinkat", Kind::Name, &[Directory(0, 1)]),
    (libc::SYS_mkdirat, "mkdirat", Kind::Name, &[Directory(0, 1)]),
    (libc::SYS_mknodat, "mknodat", Kind::Name, &[Directory(0, 1)]),
    (libc::SYS_fchmod, "fchmod", Kind::Attributes, &[Descriptor(0)]),
    (libc::SYS_fchmodat, "fchmodat", Kind::Attributes, &[Directory(0, 1)]),
    (libc::SYS_fchown, "fchown", Kind::Attributes, &[Descriptor(0)]),
    (libc::SYS_fchownat, "fchownat", Kind::Attributes, &[Directory(0, 1)]),
    (libc::SYS_utimensat, "utimensat", Kind::Attributes, &[Directory(0, 1)]),
    (libc::SYS_setxattr, "setxattr", Kind::Attributes, &[Named(0)]),
    (libc::SYS_lsetxattr, "lsetxattr", Kind::Attributes, &[Named(0)]),
    (libc::SYS_fsetxattr, "fsetxattr", Kind::Attributes, &[Descriptor(0)]),
    (libc::SYS_removexattr, "removexattr", Kind::Attributes, &[Named(0)]),
    (libc::SYS_lremovexattr, "lremovexattr", Kind::Attributes, &[Named(0)]),
    (libc::SYS_fremovexattr, "fremovexattr", Kind::Attributes, &[Descriptor(0)]),
    (libc::SYS_execve, "execve", Kind::Run, &[Named(0)]),
    (libc::SYS_execveat, "execveat", Kind::Run, &[Directory(0, 1)]),
    (libc::SYS_flock, "flock", Kind::Lock, &[Descriptor(0)]),
    (libc::SYS_fcntl, "fcntl", Kind::Lock, &[Descriptor(0)]),
    (libc::SYS_statx, "statx", Kind::Look, &[Directory(0, 1)]),
    (libc::SYS_newfstatat, "newfstatat", Kind::Look, &[Directory(0, 1)]),
    (libc::SYS_fstat, "fstat", Kind::Look, &[Descriptor(0)]),
    (libc::SYS_faccessat, "faccessat", Kind::Look, &[Directory(0, 1)]),
    (libc::SYS_faccessat2, "faccessat2", Kind::Look, &[Directory(0, 1)]),
    (libc::SYS_readlinkat, "readlinkat", Kind::Look, &[Directory(0, 1)]),
    (libc::SYS_getdents64, "getdents64", Kind::Look, &[Descriptor(0)]),
    (libc::SYS_getxattr, "getxattr", Kind::Look, &[Named(0)]),
    (libc::SYS_lgetxattr, "lgetxattr", Kind::Look, &[Named(0)]),
    (libc::SYS_fgetxattr, "fgetxattr", Kind::Look, &[Descriptor(0)]),
    (libc::SYS_listxattr, "listxattr", Kind::Look, &[Named(0)]),
    (libc::SYS_llistxattr, "llistxattr", Kind::Look, &[Named(0)]),
    (libc::SYS_flistxattr, "flistxattr", Kind::Look, &[Descriptor(0)]),
];

// The smallest that memory is made of.
const PAGE: usize = 4096;

// What `fcntl` locks with; it does much else.
const LOCKS: [i32; 4] = [libc::F_SETLK, libc::F_SETLKW, libc::F_OFD_SETLK, libc::F_OFD_SETLKW];

/// Why no program can be traced here; `None` when it can.
pub fn refused() -> Option<String> {
    let mut child = Command::new("/bin/sh").args(["-c", "read -r _"]).stdin(Stdio::piped()).spawn().ok()?;
    let refused = ptrace::seize(pid_of(child.id()), Options::PTRACE_O_EXITKILL).err();
    let _ = child.kill();
    let _ = child.wait();
    refused.map(|error| format!("this system does not let a process be traced ({error})"))
}

/// Runs a program; at each call that touches something below `root`, `at` is asked what becomes of it.
///
/// The number counts these calls from 0. The arguments are all that is taken from the command, with its environment
/// and directory.
pub fn run(command: &Command, root: &Path, mut at: impl FnMut(usize, &Call, Moment) -> Act) -> Ended {
    // A path is as the program was given it, and a descriptor leads to the directory itself.
    let roots = &[root.to_owned(), fs::canonicalize(root).unwrap()];
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let (main, started) = start(command, &out, &err);
    let mut entered: HashMap<Pid, Entered> = HashMap::new();
    let (mut calls, mut count) = (0, 0);
    let code = loop {
        // Only what this thread traces: other threads trace programs of their own.
        match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)).unwrap() {
            WaitStatus::Exited(pid, code) if pid == main => break Some(code),
            WaitStatus::Signaled(pid, ..) if pid == main => break None,
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_SECCOMP) => {
                calls += 1;
                // A process that was killed elsewhere answers no more, and its end comes next.
                if let Some(registers) = Registers::of(pid)
                    && let Some(call) = registers.call(pid, roots)
                {
                    let act = at(count, &call, Moment::Before);
                    match act {
                        Act::Kill => kill(main, Signal::SIGKILL).unwrap(),
                        Act::Fail(_) => registers.with_arguments([u64::MAX; 6]).set(pid),
                        Act::Half => registers.halved(&call).set(pid),
                        Act::Go => {}
                    }
                    entered.insert(pid, Entered { number: count, call, act, registers });
                    count += 1;
                }
                proceed(pid, None, entered.contains_key(&pid));
            }
            WaitStatus::PtraceSyscall(pid) => {
                if let Some(Entered { number, call, act, registers }) = entered.remove(&pid)
                    && let Some(now) = Registers::of(pid)
                {
                    match act {
                        Act::Fail(errno) => {
                            now.with_arguments(registers.arguments()).answering(errno).set(pid);
                        }
                        Act::Half => now.with_arguments_but_the_answer(&registers).set(pid),
                        Act::Kill => {}
                        Act::Go => {
                            if at(number, &call, Moment::After) == Act::Kill {
                                kill(main, Signal::SIGKILL).unwrap();
                            }
                        }
                    }
                }
                proceed(pid, None, false);
            }
            WaitStatus::PtraceEvent(pid, ..) => proceed(pid, None, entered.contains_key(&pid)),
            WaitStatus::Stopped(pid, signal) => proceed(pid, Some(signal), entered.contains_key(&pid)),
            _ => {}
        }
    };
    started.join().unwrap();
    let text = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ended { code, out: text(&mut out), err: text(&mut err), calls }
}

// Starts the program traced. What becomes it says who it is, and waits for a byte until it is traced; the thread ends
// when it has become the program, which needs the tracer.
fn start(command: &Command, out: &File, err: &File) -> (Pid, JoinHandle<()>) {
    let (mut ids, mut id) = io::pipe().unwrap();
    let (mut go, mut tracer) = io::pipe().unwrap();
    let mut program = Command::new(command.get_program());
    program.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => program.env(name, value),
            None => program.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        program.current_dir(directory);
    }
    program.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let filter: &BpfProgram = &FILTER;
    let wait = move || {
        id.write_all(&process::id().to_ne_bytes())?;
        go.read_exact(&mut [0])?;
        seccompiler::apply_filter(filter).map_err(|_| io::Error::last_os_error())
    };
    #[expect(unsafe_code, reason = "only system calls are made, and nothing is allocated or locked")]
    unsafe {
        program.pre_exec(wait);
    }
    let started = thread::spawn(move || drop(program.spawn().unwrap()));
    let mut pid = [0; 4];
    ids.read_exact(&mut pid).unwrap();
    let pid = pid_of(u32::from_ne_bytes(pid));
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACESECCOMP
        | Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK;
    ptrace::seize(pid, options).unwrap();
    tracer.write_all(&[0]).unwrap();
    (pid, started)
}

// Stops at the calls that are listed, and lets all others pass.
static FILTER: LazyLock<BpfProgram> = LazyLock::new(|| {
    let locks = LOCKS.map(|lock| {
        let condition = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, lock as u64).unwrap();
        SeccompRule::new(vec![condition]).unwrap()
    });
    let rules = OLD.iter().chain(CALLS).map(|(number, name, ..)| match *name {
        "fcntl" => (*number, locks.to_vec()),
        _ => (*number, Vec::new()),
    });
    let architecture = env::consts::ARCH.try_into().unwrap();
    let stop = SeccompAction::Trace(0);
    SeccompFilter::new(rules.collect(), SeccompAction::Allow, stop, architecture).unwrap().try_into().unwrap()
});

fn pid_of(id: u32) -> Pid {
    Pid::from_raw(id.try_into().unwrap())
}

// To the other end of a system call, or to the next that is listed.
fn proceed(pid: Pid, signal: Option<Signal>, is_within: bool) {
    let proceeds = if is_within { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) };
    match proceeds {
        // It was killed.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("cannot go on: {error}"),
    }
}

struct Entered {
    number: usize,
    call: Call,
    act: Act,
    registers: Registers,
}

#[derive(Clone, Copy)]
struct Registers(user_regs_struct);

#[cfg(target_arch = "x86_64")]
impl Registers {
    fn number(&self) -> u64 {
        self.0.orig_rax
    }

    fn arguments(&self) -> [u64; 6] {
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10, self.0.r8, self.0.r9]
    }

    fn with_arguments(mut self, arguments: [u64; 6]) -> Self {
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10, self.0.r8, self.0.r9] = arguments;
        self
    }

    fn answer(&self) -> u64 {
        self.0.rax
    }

    fn with_answer(mut self, answer: u64) -> Self {
        self.0.rax = answer;
        self
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    fn number(&self) -> u64 {
        self.0.regs[8]
    }

    fn arguments(&self) -> [u64; 6] {
        std::array::from_fn(|i| self.0.regs[i])
    }

    fn with_arguments(mut self, arguments: [u64; 6]) -> Self {
        self.0.regs[..6].copy_from_slice(&arguments);
        self
    }

    // Takes the place of the first argument.
    fn answer(&self) -> u64 {
        self.0.regs[0]
    }

    fn with_answer(mut self, answer: u64) -> Self {
        self.0.regs[0] = answer;
        self
    }
}

impl Registers {
    fn of(pid: Pid) -> Option<Self> {
        ptrace::getregs(pid).ok().map(Self)
    }

    fn set(self, pid: Pid) {
        ptrace::setregs(pid, self.0).unwrap();
    }

    // As the kernel answers: the error's number below zero.
    fn answering(self, errno: Errno) -> Self {
        self.with_answer((-i64::from(errno as i32)).cast_unsigned())
    }

    fn with_arguments_but_the_answer(self, entered: &Self) -> Self {
        self.with_arguments(entered.arguments()).with_answer(self.answer())
    }

    fn halved(self, call: &Call) -> Self {
        let mut arguments = self.arguments();
        arguments[2] = call.length.expect("only a write is halved") / 2;
        self.with_arguments(arguments)
    }

    // What is called, if it touches something below the root, by whichever of its names.
    fn call(&self, pid: Pid, roots: &[PathBuf]) -> Option<Call> {
        let arguments = self.arguments();
        let number = self.number().cast_signed();
        let (_, name, kind, places) = OLD.iter().chain(CALLS).find(|row| row.0 == number)?;
        let path = places.iter().find_map(|place| {
            let path = match *place {
                Named(path) => absolute(pid, libc::AT_FDCWD, arguments[path]),
                Directory(directory, path) => absolute(pid, arguments[directory] as i32, arguments[path]),
                Descriptor(file) => opened(pid, arguments[file] as i32),
            }?;
            roots.iter().find_map(|root| path.strip_prefix(root).ok().map(Path::to_owned))
        })?;
        let kind = match (*kind, self.flags(pid, name)) {
            (Kind::Open, Some(flags)) if flags & (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) != 0 => Kind::Create,
            (kind, _) => kind,
        };
        let length = matches!(*name, "write" | "pwrite64").then_some(arguments[2]);
        Some(Call { name, kind, path, length })
    }

    // How a file is opened.
    fn flags(&self, pid: Pid, name: &str) -> Option<i32> {
        let arguments = self.arguments();
        match name {
            "open" => Some(arguments[1] as i32),
            "openat" => Some(arguments[2] as i32),
            "openat2" => Some(i32::from_ne_bytes(memory(pid, arguments[2], 4)?.try_into().ok()?)),
            _ => None,
        }
    }
}

fn memory(pid: Pid, address: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let base = usize::try_from(address).ok()?;
    // A part is read whole or not at all: less is read where the memory ends with the page.
    let first = length.min(PAGE - base % PAGE);
    let parts = [(base, first), (base + first, length - first)].map(|(base, len)| RemoteIoVec { base, len });
    let read = process_vm_readv(pid, &mut [IoSliceMut::new(&mut bytes)], &parts).ok()?;
    bytes.truncate(read);
    Some(bytes)
}

fn opened(pid: Pid, descriptor: i32) -> Option<PathBuf> {
    match descriptor {
        libc::AT_FDCWD => fs::read_link(format!("/proc/{pid}/cwd")).ok(),
        _ => fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok(),
    }
}

// A path argument without `.` and `..`; links are not followed.
fn absolute(pid: Pid, directory: i32, address: u64) -> Option<PathBuf> {
    let mut bytes = memory(pid, address, libc::PATH_MAX as usize)?;
    bytes.truncate(bytes.iter().position(|byte| *byte == 0)?);
    let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    let path = if path.is_absolute() { path } else { opened(pid, directory)?.join(path) };
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            component => plain.push(component),
        }
    }
    Some(plain)
}
