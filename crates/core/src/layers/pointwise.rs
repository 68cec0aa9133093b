//! Shared facets of layers that keep the shape and map every element by itself, and the wording of their
//! formulas. Each layer states its own operations per element.

/// Expands to `infer`, `weights`, `cost`, `reach` and `values` of a pointwise layer without weights, given
/// its arithmetic operations, comparisons and functions per element.
macro_rules! elementwise {
    ($arithmetic:expr, $comparisons:expr, $functions:expr) => {
        fn infer(
            &self,
            inputs: &[$crate::shape::Shape],
        ) -> Result<$crate::shape::Shape, $crate::diagnostic::Problem> {
            Ok(inputs[0].clone())
        }

        weightless!();

        fn cost(
            &self,
            io: $crate::layers::Io<'_>,
        ) -> Result<$crate::layers::Cost, $crate::diagnostic::Problem> {
            $crate::layers::Cost::pointwise(io.output, $arithmetic, $comparisons, $functions)
        }

        fn reach(&self, io: $crate::layers::Io<'_>) -> Vec<$crate::layers::Reach> {
            vec![$crate::layers::Reach::pointwise(0, io.input().rank())]
        }

        pointwise_values!();
    };
}

/// Expands to `values` of a pointwise layer, which follow from its function.
macro_rules! pointwise_values {
    () => {
        fn values(&self) -> $crate::layers::Values {
            $crate::layers::PointwiseKind::pointwise(self).values()
        }
    };
}

/// Expands to `values` of a layer that computes with several elements, without bounds.
macro_rules! computed {
    () => {
        fn values(&self) -> $crate::layers::Values {
            $crate::layers::Values::COMPUTED
        }
    };
}

/// Expands to `weights` of a layer that owns none.
macro_rules! weightless {
    () => {
        fn weights(
            &self,
            _: $crate::layers::Io<'_>,
        ) -> Result<Vec<$crate::layers::Weight>, $crate::diagnostic::Problem> {
            Ok(vec![])
        }
    };
}

/// Expands to `weights` and `cost` of a layer that only moves or relabels data.
macro_rules! free {
    () => {
        weightless!();

        fn cost(
            &self,
            _: $crate::layers::Io<'_>,
        ) -> Result<$crate::layers::Cost, $crate::diagnostic::Problem> {
            Ok($crate::layers::Cost::FREE)
        }
    };
}

/// Expands to the formulas of a layer without weights and MACs, given its output and its other operations.
macro_rules! formulas {
    ($ops:literal) => {
        formulas!("the input's shape", $ops)
    };
    ($output:literal, $ops:literal) => {
        &[("output", $output), ("params", "0"), ("macs", "0"), ("other ops", $ops)]
    };
}
