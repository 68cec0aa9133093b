//! The order of operators with the smallest peak.
//!
//! An operator that is comparable with every other one (each runs before it or after it, in every order) divides the
//! search: what is alive there is the same in every order. Between two of them, a best-first search visits sets of
//! executed operators, those with the smallest peak so far first; the first complete set has the smallest peak. If the
//! number of sets exceeds a limit, the smallest peak in the queue is a lower bound, and the best order found by other
//! means an upper one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::operators::Operators;

/// An order and its peak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// The operators, by their index, in the order in which they run.
    pub order: Vec<usize>,
    /// The most bytes alive at once.
    pub peak: u64,
    /// No order has a smaller peak than this.
    pub bound: u64,
    /// How many sets of executed operators were visited.
    pub visited: usize,
}

/// Number of sets that are visited between two operators that divide the search.
const MOST_SETS: usize = 60_000;
/// Number of operators beyond which no order is searched: the relation between all of them takes a bit for each pair.
const MOST_OPERATORS: usize = 20_000;

/// Tensors alive while operators run.
struct Memory<'a> {
    all: &'a Operators,
    /// For each tensor, how many of its users have not run.
    left: Vec<usize>,
    alive: u64,
}

impl<'a> Memory<'a> {
    fn new(all: &'a Operators) -> Self {
        let left = all.tensors.iter().map(|tensor| tensor.users.len()).collect();
        let inputs = all.tensors.iter().filter(|tensor| tensor.creator.is_none());
        let alive = inputs.map(|tensor| tensor.bytes).fold(0, u64::saturating_add);
        Self { all, left, alive }
    }

    /// Runs an operator and returns the bytes alive meanwhile.
    fn run(&mut self, number: usize) -> u64 {
        let all = self.all;
        let operator = &all.operators[number];
        let created =
            operator.creates.iter().map(|&tensor| all.tensors[tensor].bytes).fold(0, u64::saturating_add);
        self.alive = self.alive.saturating_add(created);
        let meanwhile = self.alive.saturating_add(operator.scratch);
        for &tensor in &operator.uses {
            self.left[tensor] -= 1;
            self.free(tensor);
        }
        operator.creates.iter().for_each(|&tensor| self.free(tensor));
        meanwhile
    }

    /// Frees the tensor if nobody needs it any more.
    fn free(&mut self, tensor: usize) {
        let info = &self.all.tensors[tensor];
        if self.left[tensor] == 0 && !info.output {
            self.alive = self.alive.saturating_sub(info.bytes);
        }
    }
}

/// Returns the most bytes alive at once if the operators run in this order.
pub(super) fn peak(all: &Operators, order: &[usize]) -> u64 {
    let mut memory = Memory::new(all);
    order.iter().fold(memory.alive, |peak, &operator| peak.max(memory.run(operator)))
}

/// A set of operators, by the bits of their numbers.
type Set = Vec<u64>;

fn insert(set: &mut Set, number: usize) {
    set[number / 64] |= 1 << (number % 64);
}

fn contains(set: &Set, number: usize) -> bool {
    set[number / 64] >> (number % 64) & 1 == 1
}

/// Returns the operators that are comparable with every other one.
fn dividers(all: &Operators) -> Vec<bool> {
    let count = all.operators.len();
    let words = count.div_ceil(64);
    let mut above: Vec<Set> = Vec::with_capacity(count);
    let mut related = vec![0usize; count];
    for number in 0..count {
        let mut set = vec![0; words];
        for &before in &all.before[number] {
            set.iter_mut().zip(&above[before]).for_each(|(word, &more)| *word |= more);
            insert(&mut set, before);
        }
        related[number] += set.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        for (word, &bits) in set.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                related[word * 64 + bits.trailing_zeros() as usize] += 1;
                bits &= bits - 1;
            }
        }
        above.push(set);
    }
    related.into_iter().map(|related| related + 1 == count).collect()
}

/// Returns the best order that is found.
pub(super) fn best(all: &Operators) -> Ordered {
    if all.operators.len() > MOST_OPERATORS {
        return unsearched(all);
    }
    let dividers = dividers(all);
    let mut found = Ordered { order: Vec::with_capacity(all.operators.len()), peak: 0, bound: 0, visited: 0 };
    let mut memory = Memory::new(all);
    (found.peak, found.bound) = (memory.alive, memory.alive);
    let mut part: Vec<usize> = Vec::new();
    for number in 0..=all.operators.len() {
        let divides = dividers.get(number).copied().unwrap_or(true);
        if !divides {
            part.push(number);
            continue;
        }
        if !part.is_empty() {
            let (order, bound, visited) = search(&memory, &part);
            found.visited += visited;
            found.bound = found.bound.max(bound);
            for &operator in &order {
                found.peak = found.peak.max(memory.run(operator));
            }
            found.order.extend(order);
            part.clear();
        }
        if number < all.operators.len() {
            let meanwhile = memory.run(number);
            (found.peak, found.bound) = (found.peak.max(meanwhile), found.bound.max(meanwhile));
            found.order.push(number);
        }
    }
    found
}

/// Returns the given order. No order needs less than any operator with what it reads and writes.
fn unsearched(all: &Operators) -> Ordered {
    let order = all.given();
    let sum = |tensors: &[usize]| {
        tensors.iter().map(|&tensor| all.tensors[tensor].bytes).fold(0, u64::saturating_add)
    };
    let own = all.operators.iter().map(|operator| {
        sum(&operator.uses).saturating_add(sum(&operator.creates)).saturating_add(operator.scratch)
    });
    let bound = own.max().unwrap_or(0).max(Memory::new(all).alive);
    Ordered { peak: peak(all, &order), bound, visited: 0, order }
}

/// A set of executed operators of a part, and how it was reached.
struct State {
    done: Set,
    /// The state before, and the operator that ran last.
    from: Option<(usize, usize)>,
}

/// Returns an order of the operators `part` with a small peak, a lower bound of the peak, and how many sets were
/// visited. `memory` is the state before them.
fn search(memory: &Memory<'_>, part: &[usize]) -> (Vec<usize>, u64, usize) {
    let local: HashMap<usize, usize> =
        part.iter().enumerate().map(|(local, &number)| (number, local)).collect();
    let before: Vec<Vec<usize>> = part
        .iter()
        .map(|&number| {
            memory.all.before[number].iter().filter_map(|other| local.get(other).copied()).collect()
        })
        .collect();
    let fallback = simple(memory, part, &before);
    let (tensors, rest) = touched(memory, &local);
    let words = part.len().div_ceil(64);
    let mut states = vec![State { done: vec![0; words], from: None }];
    let mut known: HashMap<Set, u64> = HashMap::from([(states[0].done.clone(), memory.alive)]);
    // Of equal peaks, the set with the most operators first: it is the closest to the end.
    let mut queue = BinaryHeap::from([(Reverse(memory.alive), 0usize, 0usize)]);
    let mut visited = 0;
    while let Some((Reverse(peak), size, at)) = queue.pop() {
        if known.get(&states[at].done).is_some_and(|&best| best < peak) {
            continue;
        }
        if size == part.len() {
            return (path(&states, at, part), peak, visited);
        }
        visited += 1;
        if visited > MOST_SETS || peak >= fallback.1 {
            // Nothing in the queue is better than `peak`.
            return (fallback.0, peak.min(fallback.1), visited);
        }
        let others = rest.saturating_add(alive(&tensors, &states[at].done));
        for (local, before) in before.iter().enumerate() {
            let done = &states[at].done;
            if contains(done, local) || before.iter().any(|&other| !contains(done, other)) {
                continue;
            }
            let operator = &memory.all.operators[part[local]];
            let created = operator.creates.iter().map(|&tensor| memory.all.tensors[tensor].bytes);
            let own = created.fold(operator.scratch, u64::saturating_add);
            let meanwhile = others.saturating_add(own);
            let mut next = done.clone();
            insert(&mut next, local);
            let peak = peak.max(meanwhile);
            if known.get(&next).is_none_or(|&best| peak < best) {
                known.insert(next.clone(), peak);
                queue.push((Reverse(peak), size + 1, states.len()));
                states.push(State { done: next, from: Some((at, local)) });
            }
        }
    }
    (fallback.0, fallback.1, visited)
}

/// A tensor that operators of a part create or use, by their index in the part.
struct Touched {
    bytes: u64,
    /// The operator that creates it; none if it exists before the part.
    creator: Option<usize>,
    users: Vec<usize>,
    /// Whether it is needed after the part.
    stays: bool,
}

/// Returns the tensors that operators of the part create or use, and the bytes alive before the part without them.
fn touched(memory: &Memory<'_>, local: &HashMap<usize, usize>) -> (Vec<Touched>, u64) {
    let mut rest = memory.alive;
    let mut found = Vec::new();
    for (index, tensor) in memory.all.tensors.iter().enumerate() {
        let users: Vec<usize> = tensor.users.iter().filter_map(|user| local.get(user).copied()).collect();
        let creator = tensor.creator.and_then(|creator| local.get(&creator).copied());
        if users.is_empty() && creator.is_none() {
            continue;
        }
        if creator.is_none() {
            rest = rest.saturating_sub(tensor.bytes);
        }
        let stays = tensor.output || memory.left[index] > users.len();
        found.push(Touched { bytes: tensor.bytes, creator, users, stays });
    }
    (found, rest)
}

/// Returns the bytes alive after the operators in `done`, without those that the part does not touch.
fn alive(tensors: &[Touched], done: &Set) -> u64 {
    let exists = |tensor: &&Touched| tensor.creator.is_none_or(|creator| contains(done, creator));
    let needed = |tensor: &&Touched| tensor.stays || tensor.users.iter().any(|&user| !contains(done, user));
    tensors.iter().filter(exists).filter(needed).map(|tensor| tensor.bytes).fold(0, u64::saturating_add)
}

fn path(states: &[State], end: usize, part: &[usize]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut at = end;
    while let Some((from, local)) = states[at].from {
        order.push(part[local]);
        at = from;
    }
    order.reverse();
    order
}

/// Returns the better of two orders with its peak: the given one, and the one that runs next what leaves the least alive.
fn simple(memory: &Memory<'_>, part: &[usize], before: &[Vec<usize>]) -> (Vec<usize>, u64) {
    let copy = || Memory { all: memory.all, left: memory.left.clone(), alive: memory.alive };
    let cost = |order: &[usize]| {
        let mut memory = copy();
        order.iter().fold(memory.alive, |peak, &number| peak.max(memory.run(number)))
    };
    let given = (part.to_vec(), cost(part));
    let mut memory = copy();
    let mut done = vec![false; part.len()];
    let mut order = Vec::with_capacity(part.len());
    while order.len() < part.len() {
        let ready =
            (0..part.len()).filter(|&local| !done[local] && before[local].iter().all(|&other| done[other]));
        let next = ready.min_by_key(|&local| {
            let mut after = Memory { all: memory.all, left: memory.left.clone(), alive: memory.alive };
            let meanwhile = after.run(part[local]);
            (after.alive, meanwhile)
        });
        let Some(next) = next else { return given };
        done[next] = true;
        memory.run(part[next]);
        order.push(part[next]);
    }
    let peak = cost(&order);
    if peak < given.1 { (order, peak) } else { given }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::deployment::operators::{Operator, Tensor};
    use crate::graph::NodeId;

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).expect("31 bits") % limit
        }
    }

    /// Operators that each create a tensor and read one to three earlier ones, the first an input.
    fn network(random: &mut Random, count: usize) -> Operators {
        let tensor = |number: usize, bytes: usize| Tensor {
            node: NodeId::new(number),
            bytes: bytes as u64,
            inside: None,
            creator: number.checked_sub(1),
            users: vec![],
            output: false,
        };
        let mut tensors = vec![tensor(0, 1 + random.below(9))];
        let (mut operators, mut before) = (Vec::new(), Vec::new());
        for number in 0..count {
            let mut uses: Vec<usize> = (0..=random.below(3)).map(|_| random.below(number + 1)).collect();
            uses.sort_unstable();
            uses.dedup();
            uses.iter().for_each(|&used: &usize| tensors[used].users.push(number));
            before.push(uses.iter().filter_map(|used| used.checked_sub(1)).collect());
            tensors.push(tensor(number + 1, 1 + random.below(20)));
            let nodes = vec![NodeId::new(number + 1)];
            operators.push(Operator {
                nodes,
                creates: vec![number + 1],
                uses,
                scratch: random.below(4) as u64,
            });
        }
        for tensor in &mut tensors {
            tensor.output = tensor.users.is_empty();
        }
        Operators { operators, tensors, values: vec![], before, whole: vec![] }
    }

    /// Returns the smallest peak over all orders, by trying every one.
    fn smallest(all: &Operators, order: &mut Vec<usize>) -> u64 {
        if order.len() == all.operators.len() {
            return peak(all, order);
        }
        let mut best = u64::MAX;
        for number in 0..all.operators.len() {
            let ready = all.before[number].iter().all(|other| order.contains(other));
            if ready && !order.contains(&number) {
                order.push(number);
                best = best.min(smallest(all, order));
                order.pop();
            }
        }
        best
    }

    #[test]
    fn no_order_of_a_small_network_is_better() {
        let mut random = Random(11);
        let mut improved = 0;
        for case in 0..300 {
            let all = network(&mut random, 2 + case % 7);
            let found = best(&all);
            assert_eq!(found.peak, peak(&all, &found.order), "the stated peak is that of the order");
            assert_eq!(found.peak, found.bound);
            assert_eq!(found.peak, smallest(&all, &mut vec![]));
            improved += usize::from(found.peak < peak(&all, &all.given()));
        }
        assert!(improved > 20, "{improved} networks have a better order than the given one");
    }

    #[test]
    fn a_search_that_is_cut_off_gives_bounds() {
        // 24 independent operators between an input and an output have 2^24 sets.
        let mut random = Random(3);
        let mut all = network(&mut random, 1);
        for number in 1..=24 {
            let mut tensor = all.tensors[1].clone();
            (tensor.bytes, tensor.creator) = (1 + random.below(50) as u64, Some(number));
            tensor.output = true;
            all.tensors.push(tensor);
            all.tensors[0].users.push(number);
            let creates = vec![number + 1];
            let nodes = vec![NodeId::new(number + 1)];
            all.operators.push(Operator { nodes, creates, uses: vec![0], scratch: random.below(90) as u64 });
            all.before.push(vec![]);
        }
        let found = best(&all);
        assert!(found.bound <= found.peak);
        assert_eq!(found.peak, peak(&all, &found.order));
    }
}
