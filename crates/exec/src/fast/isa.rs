//! The vector instruction set of this machine, detected at run time.

use pulp::{Arch, Simd, WithSimd};

/// Elements of the widest vector of any instruction set.
pub(super) const WIDEST: usize = 16;

/// A set of vector instructions that this machine supports.
#[derive(Debug, Clone, Copy)]
pub struct Isa(Arch);

impl Isa {
    /// Returns the widest set.
    pub fn best() -> Self {
        Self(Arch::new())
    }

    /// Returns all sets that this machine supports, scalar code included; the tests iterate over them.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self(Arch::new())];
        #[cfg(target_arch = "x86_64")]
        if let (Arch::V4(_), Some(v3)) = (Arch::new(), pulp::x86::V3::try_new()) {
            all.push(Self(Arch::V3(v3)));
        }
        if !matches!(all[0].0, Arch::Scalar) {
            all.push(Self(Arch::Scalar));
        }
        all
    }

    /// Returns it and the narrower sets that it includes, the widest first.
    pub(super) fn parts(self) -> impl Iterator<Item = Self> {
        let lanes = self.lanes();
        Self::all().into_iter().filter(move |other| other.lanes() <= lanes)
    }

    /// Returns its display name.
    pub fn name(self) -> &'static str {
        match self.lanes() {
            16 => "AVX-512",
            8 => "AVX2",
            4 => "128-bit vectors",
            _ => "plain code",
        }
    }

    /// Returns the elements of one vector.
    pub(super) fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> usize {
                S::F32_LANES
            }
        }
        self.run(Lanes)
    }

    /// Runs `work`, compiled for these instructions.
    pub(super) fn run<W: WithSimd>(self, work: W) -> W::Output {
        self.0.dispatch(work)
    }
}

/// Computes `a * b + c` of single numbers, as [`multiply_add`] does: loops over it become vector instructions.
#[inline(always)]
pub(super) fn fused<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    if S::IS_SCALAR || cfg!(target_family = "wasm") { a * b + c } else { a.mul_add(b, c) }
}

/// Computes `a * b + c`, rounded once where the machine has a fused multiply-add.
#[inline(always)]
pub(super) fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    // Without such an instruction, emulating the fused result would be about a hundred times slower.
    if S::IS_SCALAR { simd.add_f32s(simd.mul_f32s(a, b), c) } else { simd.mul_add_e_f32s(a, b, c) }
}
