//! Running networks: the definition of every layer in plain loops, forwards and backwards.

pub mod reference;
pub mod scalar;
pub mod tensor;
