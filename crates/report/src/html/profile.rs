//! Measured times of the layers, beside what the machine can do.

use serde::Serialize;

use crate::run::Measured;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::Graph;

/// What a machine does at most.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// FLOPs per second of the fast kernels, in a large product of matrices.
    pub flops: f64,
    /// Bytes per second that a copy of a large array reads and writes.
    pub bytes: f64,
}

/// Times of one network's layers on one machine.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Time of the fastest run, in seconds.
    seconds: f64,
    /// Number of runs.
    runs: usize,
    /// Number of threads.
    threads: usize,
    /// The machine.
    rates: Rates,
    /// The steps of the fastest run.
    steps: Vec<Timed>,
}

/// One step of a run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Timed {
    /// Index of the node.
    node: usize,
    /// Its time in seconds; 0 if another step computes it.
    seconds: f64,
    /// Index of the node whose step computes it as well, and whose time includes its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    with: Option<usize>,
}

impl Profile {
    /// Returns the times of the fastest run of `graph`.
    ///
    /// # Errors
    /// If it was never run.
    pub fn of(graph: &Graph, measured: &Measured, threads: usize, rates: Rates) -> Result<Self, Problem> {
        let fastest = measured.times.iter().min();
        let (Some(run), Some(time)) = (&measured.fastest, fastest) else {
            let message = format!("`{}` was not run", graph.name());
            return Err(Problem::new(Code::InvalidValue, message).help("run it at least once"));
        };
        let timed = |step: &cnnkit_exec::run::Step| Timed {
            node: step.node.index(),
            seconds: step.time.as_secs_f64(),
            with: step.host.map(cnnkit_core::graph::NodeId::index),
        };
        Ok(Self {
            seconds: time.as_secs_f64(),
            runs: measured.times.len(),
            threads,
            rates,
            steps: run.steps.iter().map(timed).collect(),
        })
    }
}
