//! Memory figures of the system.

/// Returns the bytes of available memory; those of a large workstation where the system does not report them.
pub fn available_memory() -> u64 {
    kilobytes("/proc/meminfo", "MemAvailable:").unwrap_or(64 << 30)
}

/// Returns the peak resident memory of this process in bytes, where the system reports it.
pub fn resident_peak() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Reads the figure of a line `KEY 1234 kB`, in bytes.
fn kilobytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}
