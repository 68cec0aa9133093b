//! The library's figures (layers, networks, receptive fields, sizes) against PyTorch, papers, plain loops and
//! other tools.

mod conventions;
mod expand;
mod field_oracle;
mod field_published;
mod field_random;
mod figures;
mod layers;
mod layout;
mod networks;
mod oracle;
mod oracle_layers;
mod papers;
mod properties;
mod rf_google_nets;
mod rf_table;
mod rival_cases;
mod sizes;
#[path = "../support/mod.rs"]
mod support;
mod training;
