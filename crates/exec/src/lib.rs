//! Running networks: numbers by computing them, not by formulas.
//!
//! - [`reference`](mod@reference) is the definition of every layer in plain loops, generic over the number type
//!   ([`scalar`]: f32, f64, exact integers), forwards and backwards.
//! - [`network`] allocates exactly the weights that the graph declares, seeded ([`random`]) or loaded.
//! - [`run`] executes a graph and measures what it does: multiply-adds, bytes alive, time; [`backward`] differentiates it.
//! - [`fast`] has kernels in f32 that are equal to the definition up to rounding, and plans whole networks with them.

pub mod backward;
pub mod fast;
pub mod network;
pub mod random;
pub mod reference;
pub mod run;
pub mod scalar;
pub mod tensor;
