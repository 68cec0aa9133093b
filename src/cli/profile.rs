//! Times of the layers and the rates of this machine, for the page of `cnnkit report`.

use std::time::Instant;

use rayon::prelude::*;

use crate::cli::load::Loaded;
use crate::cli::run::{failed, fast};
use crate::cli::{Failure, machine};
use cnnkit::Loader;
use cnnkit_core::analysis::totals::FLOPS_PER_MAC;
use cnnkit_core::graph::Graph;
use cnnkit_exec::network::{Fill, Network, random_inputs};
use cnnkit_report::html::{Profile, Rates};
use cnnkit_report::run::{Measured, affordable};

/// The fastest of this many runs is shown.
const RUNS: u32 = 5;

/// A product of two matrices of 2048 x 2048: large enough for the full rate, over in a tenth of a second.
const PRODUCT: &str = "\
name: product
input: [2048, 2048]
layers:
  - conv: {out_channels: 2048, kernel: 1, bias: false}
";

/// Elements of an array that no cache holds: 256 MiB in f32.
const ARRAY: usize = 1 << 26;

/// Runs a network on random data, with the weights of its file or seeded ones.
pub fn profile(loaded: &Loaded, rates: Rates) -> Result<Profile, Failure> {
    let graph = &loaded.graph;
    let network = match loaded.weights().map_err(failed)? {
        Some(weights) => Network::of_weights(graph, weights),
        None => Network::seeded(graph, 0, Fill::Declared),
    };
    let measured = measured(&network.map_err(failed)?)?;
    Profile::of(graph, &measured, rayon::current_num_threads(), rates).map_err(failed)
}

/// Measures what this machine computes and moves at most, on all threads.
pub fn rates() -> Result<Rates, Failure> {
    let product = Loader::new().bytes("product.yaml", PRODUCT)?.graph;
    let network = Network::seeded(&product, 0, Fill::Declared).map_err(failed)?;
    let seconds = least(&measured(&network)?);
    Ok(Rates { flops: flops(&product) / seconds, bytes: memory_rate() })
}

fn measured(network: &Network<'_, f32>) -> Result<Measured, Failure> {
    affordable(network.graph, 1, machine::available_memory()).map_err(failed)?;
    let inputs = random_inputs(network.graph, 1, 0).map_err(failed)?;
    Ok(fast(network, &inputs, RUNS)?.0)
}

fn flops(graph: &Graph) -> f64 {
    let macs: u64 = graph.nodes().iter().map(|node| node.cost.macs).sum();
    (macs * FLOPS_PER_MAC) as f64
}

fn least(measured: &Measured) -> f64 {
    measured.times.iter().map(std::time::Duration::as_secs_f64).fold(f64::INFINITY, f64::min)
}

/// Returns the bytes per second that a copy between two arrays reads and writes.
fn memory_rate() -> f64 {
    let (from, mut to) = (vec![1f32; ARRAY], vec![0f32; ARRAY]);
    let part = ARRAY.div_ceil(rayon::current_num_threads());
    let copies = (0..RUNS).map(|_| {
        let start = Instant::now();
        to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(&mut to);
        start.elapsed().as_secs_f64()
    });
    let seconds = copies.fold(f64::INFINITY, f64::min);
    (2 * ARRAY * size_of::<f32>()) as f64 / seconds
}
