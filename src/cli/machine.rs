//! What the system tells of memory.

/// Bytes that programs can have; what a large workstation has where the system does not tell.
pub fn available_memory() -> u64 {
    kilobytes("/proc/meminfo", "MemAvailable:").unwrap_or(64 << 30)
}

/// Most memory of this process that was resident at once, where the system tells.
pub fn resident_peak() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// The figure of a line `KEY 1234 kB`, in bytes.
fn kilobytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}
