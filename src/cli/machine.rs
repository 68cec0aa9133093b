//! What the system tells of memory, and whether a network fits into it: an allocation that fails ends the program.

use crate::cli::Failure;
use cnnkit_core::graph::Graph;
use cnnkit_core::number;

/// Maximum number of threads, as `--threads` has it.
const MAX_THREADS: usize = 1024;

/// Keeps the environment from asking for more threads than a machine can start.
pub fn bound_threads() {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.trim().parse::<usize>().ok());
    if asked.is_some_and(|asked| asked > MAX_THREADS) {
        // The pool exists already only if something has used it, which nothing has.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(MAX_THREADS).build_global();
    }
}

/// Returns the bytes of available memory; those of a large workstation where the system does not report them.
pub fn available_memory() -> u64 {
    kilobytes("/proc/meminfo", "MemAvailable:").unwrap_or(64 << 30)
}

/// Refuses to do `what` with a network that needs more than the memory that programs can have.
pub fn room_for(what: &str, graph: &Graph, needed: u64) -> Result<(), Failure> {
    let available = available_memory();
    if needed <= available {
        return Ok(());
    }
    Err(Failure::usage(
        format!(
            "{what} `{}` needs about {} of memory, {} is free",
            graph.name(),
            number::bytes(needed),
            number::bytes(available)
        ),
        "use a smaller network, or a machine with more memory",
    ))
}

/// Most memory of this process that was resident at once, where the system tells.
pub fn resident_peak() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Reads the figure of a line `KEY 1234 kB`, in bytes.
fn kilobytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}
