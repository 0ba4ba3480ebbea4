/* A driver's NVML library with four cards, for tests on machines without one:
   0: an ordinary card that answers everything; 1: one without memory of its own, which reports little;
   2: one that fell off the bus; 3: one that is split into two MIG instances.
   -DINIT=n makes the driver fail with that code; -DHANG makes it never answer. */
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, GPU_IS_LOST = 15 };
#ifndef INIT
#define INIT SUCCESS
#endif

typedef unsigned int uint;
typedef unsigned long long ull;
typedef struct { uint version; ull total, reserved, free, used; } Memory;
typedef struct { char legacy[16]; uint domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct { uint gpu, memory; } Utilization;

/* A device is its index + 1; an instance of MIG is 100 + its place. */
typedef char *Device;
static long index_of(Device device) { return (long)device - 1; }
#define IS(device, wanted) (index_of(device) == (wanted))
/* The second card reports nothing but what it must. */
#define ANSWER(name, type, value) \
    int name(Device device, type *out) { if (IS(device, 1)) return NOT_SUPPORTED; *out = (value); return SUCCESS; }

int nvmlInit_v2(void) {
#ifdef HANG
    for (;;) sleep(60);
#endif
    return INIT;
}
int nvmlShutdown(void) { return SUCCESS; }
int nvmlSystemGetDriverVersion(char *out, uint length) { strncpy(out, "580.95.05", length); return SUCCESS; }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = 13010; return SUCCESS; }
int nvmlDeviceGetCount_v2(uint *out) { *out = 4; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(uint index, Device *out) {
    if (index == 2) return GPU_IS_LOST;
    *out = (Device)(long)(index + 1);
    return SUCCESS;
}
int nvmlDeviceGetName(Device device, char *out, uint length) {
    const char *names[] = {"NVIDIA GeForce RTX 4080", "NVIDIA GB10", "", "NVIDIA H100 80GB HBM3"};
    strncpy(out, names[index_of(device)], length);
    return SUCCESS;
}
int nvmlDeviceGetUUID(Device device, char *out, uint length) {
    const char *names[] = {"GPU-aaaa", "GPU-bbbb", "", "GPU-dddd"};
    strncpy(out, names[index_of(device)], length);
    return SUCCESS;
}
/* An architecture that this binding does not know yet. */
int nvmlDeviceGetArchitecture(Device device, uint *out) { *out = IS(device, 1) ? 77 : 8; return SUCCESS; }
int nvmlDeviceGetCudaComputeCapability(Device device, int *major, int *minor) {
    *major = IS(device, 1) ? 12 : 8;
    *minor = IS(device, 1) ? 1 : 9;
    return SUCCESS;
}
int nvmlDeviceGetPciInfo_v3(Device device, Pci *out) {
    memset(out, 0, sizeof *out);
    out->id = 0x270410de + (uint)index_of(device);
    strcpy(out->bus_id, "00000000:F1:1F.7");
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(Device device, Memory *out) {
    if (IS(device, 1)) return NOT_SUPPORTED;
    if ((long)device >= 100) { out->total = ((ull)(long)device - 90) << 30; return SUCCESS; }
    *out = (Memory){out->version, 16376ULL << 20, 434ULL << 20, 15348ULL << 20, 594ULL << 20};
    return SUCCESS;
}
ANSWER(nvmlDeviceGetCurrPcieLinkGeneration, uint, 1)
ANSWER(nvmlDeviceGetCurrPcieLinkWidth, uint, 8)
ANSWER(nvmlDeviceGetMaxPcieLinkGeneration, uint, 4)
ANSWER(nvmlDeviceGetMaxPcieLinkWidth, uint, 16)
ANSWER(nvmlDeviceGetEnforcedPowerLimit, uint, 320500)
ANSWER(nvmlDeviceGetPowerManagementDefaultLimit, uint, 320000)
ANSWER(nvmlDeviceGetPowerUsage, uint, 25920)
ANSWER(nvmlDeviceGetCurrentClocksThrottleReasons, ull, 0x1 | 0x4)
ANSWER(nvmlDeviceGetPerformanceState, uint, 8)
ANSWER(nvmlDeviceGetDisplayMode, uint, 1)
ANSWER(nvmlDeviceGetDisplayActive, uint, 0)
ANSWER(nvmlDeviceGetComputeMode, uint, 3)
ANSWER(nvmlDeviceGetPersistenceMode, uint, 1)
ANSWER(nvmlDeviceGetUtilizationRates, Utilization, ((Utilization){65, 9}))
int nvmlDeviceGetPowerManagementLimitConstraints(Device device, uint *min, uint *max) {
    if (IS(device, 1)) return NOT_SUPPORTED;
    *min = 150000;
    *max = 400000;
    return SUCCESS;
}
int nvmlDeviceGetTemperature(Device device, uint sensor, uint *out) { (void)device; *out = 43 + sensor; return SUCCESS; }
/* 0 shutdown, 1 slowdown, 3 highest in operation, 5 the target. */
int nvmlDeviceGetTemperatureThreshold(Device device, uint which, uint *out) {
    if (IS(device, 1)) return NOT_SUPPORTED;
    const uint limits[] = {101, 96, 0, 90, 0, 84};
    *out = limits[which];
    return SUCCESS;
}
int nvmlDeviceGetMigMode(Device device, uint *current, uint *pending) {
    if (!IS(device, 3)) return NOT_SUPPORTED;
    *current = *pending = 1;
    return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(Device device, uint *out) { (void)device; *out = 3; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(Device device, uint place, Device *out) {
    (void)device;
    if (place == 1) return NOT_FOUND;
    *out = (Device)(long)(100 + place);
    return SUCCESS;
}
/* nvmlDeviceGetEccMode is left out: an old driver lacks getters. */
