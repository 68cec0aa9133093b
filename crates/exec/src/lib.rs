//! Execution of networks: values from computation, not from formulas.
//!
//! - [`reference`](mod@reference) implements every layer in plain loops, generic over the number type ([`scalar`]:
//!   f32, f64, exact integers), forwards and backwards.
//! - [`network`] allocates exactly the weights that the graph declares, seeded ([`random`]) or loaded.
//! - [`run`] executes a graph and measures multiply-adds, bytes alive and time; [`backward`] differentiates it.
//! - [`tile`] and [`stream`](mod@stream) run a network piece by piece, with the same result.
//! - [`fast`] has f32 kernels that equal the reference up to rounding, and plans whole networks with them.

pub mod arena;
pub mod backward;
pub mod fast;
pub mod network;
pub mod random;
pub mod reference;
pub mod run;
pub mod scalar;
pub mod stream;
pub mod tensor;
pub mod tile;
