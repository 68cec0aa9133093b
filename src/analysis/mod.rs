//! Pure functions from a graph (or a list of rates) to facts.
