//! Scaled dot-product attention, one row of scores at a time.

use super::call::{Call, Counter, Gradients};
use super::space::unravel;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::attention::{Attention, OPERANDS};

/// A tensor that is added to the scores.
struct Term<'a, S> {
    data: &'a [S],
    /// As many axes as the scores have, the batch included.
    sizes: Vec<usize>,
}

/// One call: sizes with the batch among the `outer` axes, and the terms that are added to the scores.
struct Plan<'a, S> {
    query: &'a Tensor<S>,
    key: &'a Tensor<S>,
    value: &'a Tensor<S>,
    outer: Vec<usize>,
    queries: usize,
    keys: usize,
    features: usize,
    values: usize,
    terms: Vec<Term<'a, S>>,
    /// `None` for 1: no multiplication is done then.
    scale: Option<S>,
}

/// First elements of the matrices at one index of the outer axes.
struct Starts {
    query: usize,
    key: usize,
    value: usize,
    terms: Vec<usize>,
}

/// Returns the flat index of `at` in axes of these sizes; axes of size 1 are broadcast.
fn place(at: &[usize], sizes: &[usize]) -> usize {
    at.iter().zip(sizes).fold(0, |flat, (&index, &size)| flat * size + if size == 1 { 0 } else { index })
}

impl<'a, S: Scalar> Plan<'a, S> {
    fn new(layer: &Attention, call: Call<'a, S>) -> Result<Self, Problem> {
        let [query, key, value, more @ ..] = call.inputs else {
            return Err(Problem::shape("attention reads queries, keys and values"));
        };
        let (q, k, v) = (query.sizes(), key.sizes(), value.sizes());
        let rank = q.len();
        let terms = more.iter().map(|&term| Term { data: term.data(), sizes: term.sizes().to_vec() });
        // Weights have no batch axis.
        let own = ["bias", "mask"].into_iter().filter_map(|name| call.weight(name));
        let own = own.map(|term| Term { data: term.data(), sizes: [&[1], term.sizes()].concat() });
        let terms: Vec<Term<'a, S>> = terms.chain(own).collect();
        let fits = rank > 2
            && [k.len(), v.len()] == [rank; 2]
            && k[rank - 1] == q[rank - 1]
            && v[rank - 2] == k[rank - 2]
            && terms.iter().all(|term| term.sizes.len() == rank);
        if !fits {
            return Err(Problem::shape(
                "queries, keys, values and the terms added to the scores have incompatible shapes",
            ));
        }
        let scale = layer.factor(q[rank - 1] as u64);
        Ok(Self {
            query,
            key,
            value,
            outer: (0..rank - 2).map(|axis| q[axis].max(k[axis]).max(v[axis])).collect(),
            queries: q[rank - 2],
            keys: k[rank - 2],
            features: q[rank - 1],
            values: v[rank - 1],
            terms,
            scale: (scale != 1.0).then(|| S::from_f64(scale)),
        })
    }

    fn starts(&self) -> Vec<Starts> {
        let outer = self.outer.len();
        let mut at = vec![0; outer];
        let all = 0..self.outer.iter().product();
        let one = |flat: usize| {
            unravel(flat, &self.outer, &mut at);
            let matrix = |sizes: &[usize]| place(&at, &sizes[..outer]) * sizes[outer] * sizes[outer + 1];
            Starts {
                query: matrix(self.query.sizes()),
                key: matrix(self.key.sizes()),
                value: matrix(self.value.sizes()),
                terms: self.terms.iter().map(|term| matrix(&term.sizes)).collect(),
            }
        };
        all.map(one).collect()
    }

    /// Returns the index, in term `index`, of the score of query `n` and key `m`.
    fn added(&self, starts: &Starts, index: usize, n: usize, m: usize) -> usize {
        let sizes = &self.terms[index].sizes;
        starts.terms[index] + place(&[n, m], &sizes[sizes.len() - 2..])
    }

    /// Computes the weights of the values for query `n`: the softmax of its scores.
    fn shares(&self, starts: &Starts, n: usize, counter: &mut Counter) -> Vec<S> {
        let query = &self.query.data()[starts.query + n * self.features..][..self.features];
        let mut scores = Vec::with_capacity(self.keys);
        for m in 0..self.keys {
            let key = &self.key.data()[starts.key + m * self.features..][..self.features];
            let mut sum = S::ZERO;
            for (&a, &b) in query.iter().zip(key) {
                sum += a * b;
                counter.macs += 1;
            }
            if let Some(scale) = self.scale {
                sum = sum * scale;
            }
            for (index, term) in self.terms.iter().enumerate() {
                sum += term.data[self.added(starts, index, n, m)];
            }
            scores.push(sum);
        }
        // The maximum is subtracted so that the exponential cannot overflow.
        let largest = scores.iter().copied().reduce(|most, score| if score > most { score } else { most });
        let mut total = S::ZERO;
        for score in &mut scores {
            *score = (*score - largest.unwrap_or(S::ZERO)).map(libm::exp);
            total += *score;
        }
        scores.into_iter().map(|power| power / total).collect()
    }
}

/// Computes `output[..., n, :] = sum over m of softmax over m (scale q[n] . k[m] + terms[n, m]) * v[m, :]`.
pub(super) fn forward<S: Scalar>(
    layer: &Attention,
    call: Call<'_, S>,
    counter: &mut Counter,
) -> Result<Tensor<S>, Problem> {
    let plan = Plan::new(layer, call)?;
    let sizes = [plan.outer.as_slice(), &[plan.queries, plan.values]].concat();
    let mut data = Vec::with_capacity(sizes.iter().product());
    for starts in plan.starts() {
        for n in 0..plan.queries {
            let shares = plan.shares(&starts, n, counter);
            for j in 0..plan.values {
                let mut sum = S::ZERO;
                for (m, &share) in shares.iter().enumerate() {
                    sum += share * plan.value.data()[starts.value + m * plan.values + j];
                    counter.macs += 1;
                }
                data.push(sum);
            }
        }
    }
    Tensor::new(&sizes, data)
}

pub(super) fn backward<S: Scalar>(
    layer: &Attention,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let plan = Plan::new(layer, call)?;
    let mut gradients = call.zero_gradients();
    let mut to_terms: Vec<Vec<S>> = plan.terms.iter().map(|term| vec![S::ZERO; term.data.len()]).collect();
    let [to_query, to_key, to_value, ..] = gradients.inputs.as_mut_slice() else {
        return Err(Problem::shape("attention reads queries, keys and values"));
    };
    let (query, key, value) = (plan.query.data(), plan.key.data(), plan.value.data());
    let mut rows = vector.data().chunks(plan.values.max(1));
    for starts in plan.starts() {
        for n in 0..plan.queries {
            let Some(row) = rows.next() else { break };
            let shares = plan.shares(&starts, n, &mut Counter::default());
            let mut to_shares = vec![S::ZERO; plan.keys];
            let mut mean = S::ZERO;
            for (m, (&share, to_share)) in shares.iter().zip(&mut to_shares).enumerate() {
                for (j, &gradient) in row.iter().enumerate() {
                    let at = starts.value + m * plan.values + j;
                    to_value.data_mut()[at] += share * gradient;
                    *to_share += gradient * value[at];
                }
                mean += share * *to_share;
            }
            for (m, (&share, &to_share)) in shares.iter().zip(&to_shares).enumerate() {
                let to_sum = share * (to_share - mean);
                for (index, to_term) in to_terms.iter_mut().enumerate() {
                    to_term[plan.added(&starts, index, n, m)] += to_sum;
                }
                let to_score = plan.scale.map_or(to_sum, |scale| to_sum * scale);
                for i in 0..plan.features {
                    let (a, b) = (starts.query + n * plan.features + i, starts.key + m * plan.features + i);
                    to_query.data_mut()[a] += to_score * key[b];
                    to_key.data_mut()[b] += to_score * query[a];
                }
            }
        }
    }
    let mut to_terms = to_terms.into_iter();
    for target in gradients.inputs.iter_mut().skip(OPERANDS) {
        if let Some(gradient) = to_terms.next() {
            *target = Tensor::new(target.sizes(), gradient)?;
        }
    }
    for name in ["bias", "mask"] {
        if call.weight(name).is_some()
            && let Some(gradient) = to_terms.next()
        {
            call.put(&mut gradients, name, gradient);
        }
    }
    Ok(gradients)
}
