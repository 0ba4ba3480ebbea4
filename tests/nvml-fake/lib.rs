//! A library that answers as the NVIDIA driver's NVML does, with the boards of a YAML file.
//!
//! The variable `NVML_FAKE` names the file. It has the form in which the program saves what a driver answered
//! (`facts --raw`), and in place of any answer may stand `{ hangs: true }` or `{ crashes: true }`. A board may stop to
//! answer after some calls (`lost_after: 5`), and the library itself may hang or crash while it is loaded
//! (`loading: { hangs: true }`). What the file does not say is not supported.
#![allow(clippy::missing_safety_doc, reason = "every function here has the contract that NVML's own has")]

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_uint, c_ulonglong};
use std::sync::{LazyLock, Mutex};
use std::{env, fs, process, thread};

use serde_yaml::Value;

/// What a call returns when it succeeds.
const SUCCESS: c_uint = 0;

/// The codes of `nvmlReturn_t`, by their names after `NVML_ERROR_`.
const CODES: &[(&str, c_uint)] = &[
    ("invalid_argument", 2),
    ("not_supported", 3),
    ("no_permission", 4),
    ("not_found", 6),
    ("insufficient_power", 8),
    ("driver_not_loaded", 9),
    ("timeout", 10),
    ("irq_issue", 11),
    ("library_not_found", 12),
    ("function_not_found", 13),
    ("corrupted_inforom", 14),
    ("gpu_is_lost", 15),
    ("reset_required", 16),
    ("operating_system", 17),
    ("lib_rm_version_mismatch", 18),
    ("in_use", 19),
    ("memory", 20),
    ("insufficient_resources", 23),
    ("deprecated", 26),
    ("not_ready", 27),
    ("gpu_not_found", 28),
    ("unknown", 999),
];

/// The file, read once.
static BOARDS: LazyLock<Value> = LazyLock::new(|| {
    let path = env::var_os("NVML_FAKE").expect("NVML_FAKE names the file of boards");
    let text = fs::read_to_string(&path).expect("the file of boards can be read");
    serde_yaml::from_str(&text).expect("the file of boards is YAML")
});

/// Runs while the library is loaded, when the loader's lock is held.
#[used]
#[unsafe(link_section = ".init_array")]
static LOADING: extern "C" fn() = loading;

extern "C" fn loading() {
    BOARDS.get("loading").and_then(refused);
}

/// How often each board was asked.
static CALLS: Mutex<BTreeMap<usize, u64>> = Mutex::new(BTreeMap::new());

/// A device's handle is its index + 1; an instance's has its place + 1 in the high half.
type Handle = usize;

/// Bits of a handle that tell the device.
const DEVICE: usize = 0xFFFF;

/// What the file says under a key: a value, or the code to return.
fn said(map: &'static Value, key: &str) -> Result<&'static Value, c_uint> {
    let value = map.get(key).filter(|value| !value.is_null()).ok_or_else(|| code("not_supported"))?;
    refused(value).map_or(Ok(value), Err)
}

/// The code that a value stands for; never returns for one that hangs or crashes.
fn refused(value: &Value) -> Option<c_uint> {
    if value.get("hangs").is_some() {
        loop {
            thread::park();
        }
    }
    if value.get("crashes").is_some() {
        process::abort();
    }
    value.get("refused").and_then(Value::as_str).map(code)
}

fn code(name: &str) -> c_uint {
    CODES.iter().find(|(known, _)| *known == name).expect("a name of nvml.h").1
}

fn devices() -> &'static [Value] {
    BOARDS.get("devices").and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}

/// What the board of a handle says under a key.
fn ask(handle: Handle, key: &str) -> Result<&'static Value, c_uint> {
    let index = (handle & DEVICE).wrapping_sub(1);
    let board = devices().get(index).ok_or_else(|| code("invalid_argument"))?;
    let calls = {
        let mut calls = CALLS.lock().expect("nobody panics with the lock");
        let calls = calls.entry(index).or_default();
        *calls += 1;
        *calls
    };
    if board.get("lost_after").and_then(Value::as_u64).is_some_and(|last| calls > last) {
        return Err(code("gpu_is_lost"));
    }
    said(board, key)
}

/// A number or truth in the type of the caller.
fn number<T: TryFrom<i128>>(value: &Value) -> T {
    let wide = match value {
        Value::Bool(yes) => i128::from(*yes),
        value => value.as_u64().map(i128::from).or(value.as_i64().map(i128::from)).expect("a whole number"),
    };
    T::try_from(wide).ok().expect("a number that fits")
}

/// Hands out the value, or returns the code.
unsafe fn give<T>(out: *mut T, answer: Result<T, c_uint>) -> c_uint {
    match answer {
        Ok(value) => {
            unsafe { out.write(value) };
            SUCCESS
        }
        Err(code) => code,
    }
}

/// Hands out a text that ends with a zero.
unsafe fn give_text(out: *mut c_char, length: usize, answer: Result<&Value, c_uint>) -> c_uint {
    match answer {
        Ok(value) => {
            let text = value.as_str().expect("a text").as_bytes();
            assert!(text.len() < length, "the buffer is large enough");
            unsafe {
                out.copy_from_nonoverlapping(text.as_ptr().cast(), text.len());
                out.add(text.len()).write(0);
            }
            SUCCESS
        }
        Err(code) => code,
    }
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlPciInfo_t`.
#[repr(C)]
pub struct Pci {
    bus_id_legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    device_id: c_uint,
    subsystem_id: c_uint,
    bus_id: [c_char; 32],
}

/// `nvmlUtilization_t`.
#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_uint {
    refused(&BOARDS).unwrap_or(SUCCESS)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_uint {
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(out: *mut c_char, length: c_uint) -> c_uint {
    unsafe { give_text(out, length as usize, said(&BOARDS, "driver_version")) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(out: *mut c_int) -> c_uint {
    unsafe { give(out, said(&BOARDS, "cuda_driver_version").map(number)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> c_uint {
    unsafe { give(out, said(&BOARDS, "device_count").map(number)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: *mut Handle) -> c_uint {
    let board = devices().get(index as usize).ok_or_else(|| code("invalid_argument"));
    let handle = board.and_then(|board| refused(board).map_or(Ok(index as usize + 1), Err));
    unsafe { give(out, handle) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(device: Handle, out: *mut c_char, length: c_uint) -> c_uint {
    unsafe { give_text(out, length as usize, ask(device, "name")) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(device: Handle, out: *mut c_char, length: c_uint) -> c_uint {
    unsafe { give_text(out, length as usize, ask(device, "uuid")) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device: Handle, out: *mut Pci) -> c_uint {
    match ask(device, "pci") {
        Ok(pci) => unsafe {
            out.write_bytes(0, 1);
            (*out).device_id = number(&pci["device_id"]);
            give_text((&raw mut (*out).bus_id).cast(), 32, Ok(&pci["bus_id"]))
        },
        Err(code) => code,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, out: *mut Memory) -> c_uint {
    let memory = match device >> 16 {
        0 => ask(device, "memory"),
        place => ask(device, "mig_devices").map(|places| &places[place - 1]),
    };
    let part = |memory: &Value, key: &str| number(&memory[key]);
    let version = unsafe { (*out).version };
    let memory = memory.map(|memory| Memory {
        version,
        total: part(memory, "total"),
        reserved: part(memory, "reserved"),
        free: part(memory, "free"),
        used: part(memory, "used"),
    });
    unsafe { give(out, memory) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: Handle,
    major: *mut c_int,
    minor: *mut c_int,
) -> c_uint {
    let capability = ask(device, "compute_capability");
    unsafe {
        give(minor, capability.map(|capability| number(&capability["minor"])));
        give(major, capability.map(|capability| number(&capability["major"])))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerManagementLimitConstraints(
    device: Handle,
    min: *mut c_uint,
    max: *mut c_uint,
) -> c_uint {
    let range = ask(device, "power_limit_range");
    unsafe {
        give(min, range.map(|range| number(&range["min"])));
        give(max, range.map(|range| number(&range["max"])))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(device: Handle, _sensor: c_uint, out: *mut c_uint) -> c_uint {
    unsafe { give(out, ask(device, "temperature").map(number)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperatureThreshold(device: Handle, which: c_uint, out: *mut c_uint) -> c_uint {
    let key = match which {
        0 => "temperature_shutdown",
        1 => "temperature_slowdown",
        3 => "temperature_gpu_max",
        5 => "temperature_acoustic",
        _ => return code("invalid_argument"),
    };
    unsafe { give(out, ask(device, key).map(number)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(device: Handle, out: *mut Utilization) -> c_uint {
    let rates = ask(device, "utilization").map(|percent| Utilization { gpu: number(percent), memory: 0 });
    unsafe { give(out, rates) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEccMode(device: Handle, current: *mut c_uint, pending: *mut c_uint) -> c_uint {
    let enabled = ask(device, "ecc_enabled").map(number);
    unsafe {
        give(pending, enabled);
        give(current, enabled)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(device: Handle, current: *mut c_uint, pending: *mut c_uint) -> c_uint {
    let mode = ask(device, "mig_mode").map(number);
    unsafe {
        give(pending, mode);
        give(current, mode)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: Handle, out: *mut c_uint) -> c_uint {
    let count = ask(device, "mig_devices").map(|places| places.as_sequence().map_or(0, Vec::len) as c_uint);
    unsafe { give(out, count) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Handle,
    place: c_uint,
    out: *mut Handle,
) -> c_uint {
    let instance = ask(device, "mig_devices").and_then(|places| {
        let handle = device | (place as usize + 1) << 16;
        refused(&places[place as usize]).map_or(Ok(handle), Err)
    });
    unsafe { give(out, instance) }
}

/// The getters that hand out one number.
macro_rules! numbers {
    ($($getter:ident($number:ty): $key:literal,)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $getter(device: Handle, out: *mut $number) -> c_uint {
            unsafe { give(out, ask(device, $key).map(number)) }
        }
    )*};
}

numbers! {
    nvmlDeviceGetArchitecture(c_uint): "architecture",
    nvmlDeviceGetCurrPcieLinkGeneration(c_uint): "pcie_generation",
    nvmlDeviceGetCurrPcieLinkWidth(c_uint): "pcie_width",
    nvmlDeviceGetMaxPcieLinkGeneration(c_uint): "pcie_generation_max",
    nvmlDeviceGetMaxPcieLinkWidth(c_uint): "pcie_width_max",
    nvmlDeviceGetEnforcedPowerLimit(c_uint): "power_limit",
    nvmlDeviceGetPowerManagementDefaultLimit(c_uint): "power_limit_default",
    nvmlDeviceGetPowerUsage(c_uint): "power_draw",
    nvmlDeviceGetCurrentClocksThrottleReasons(c_ulonglong): "throttle_reasons",
    nvmlDeviceGetPerformanceState(c_uint): "performance_state",
    nvmlDeviceGetDisplayMode(c_uint): "display_attached",
    nvmlDeviceGetDisplayActive(c_uint): "display_active",
    nvmlDeviceGetComputeMode(c_uint): "compute_mode",
    nvmlDeviceGetPersistenceMode(c_uint): "persistence_mode",
}
